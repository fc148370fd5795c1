"""``resight evaluate --decide --intervals`` on synthetic people, recounted one pair at a time."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resight
from reference.pairs import every_pair
from resight.decisions.decide import Decision
from resight.decisions.model import calibrate
from resight.decisions.report import rate_text
from resight.retrieval.ranking.distance import pairwise
from resight.training import recipe as recipes

from .conftest import Shell, told

MODEL = "model.safetensors"
DRAWN = ("--as", "synthetic", "--set", "identities=30", "--set", "test_fraction=0.8")
OTHERS = ("others", *DRAWN, "--set", "seed=7")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model, the same calibrated on synthetic people, and other people."""
    folder = tmp_path_factory.mktemp("models")
    data = resight.datasets.load("synthetic", folder / "people", identities=30, test_fraction=0.8)
    resight.datasets.load("synthetic", folder / "others", identities=30, test_fraction=0.8, seed=7)
    torch.manual_seed(0)  # the same weights whatever ran before
    model = resight.load("osnet_x0_25", height=32, width=16)
    model.save(folder / "uncalibrated.safetensors")
    calibrate(model, data, false_match_rate=1e-2, coverage=0.9, device="cpu")[0].save(folder / MODEL)
    return folder


@pytest.fixture
def calibrated(shell: Shell, models: Path) -> Shell:
    """A shell in a copy of that folder."""
    shutil.copytree(models, Path.cwd(), dirs_exist_ok=True)
    return partial(shell, "evaluate")


def test_what_the_decision_does_here(calibrated: Shell) -> None:
    code, out, err = calibrated(MODEL, *OTHERS, "--decide", "--intervals", "--json")
    assert code == 0, err
    ((result,),) = (json.loads(out),)
    found = result["decision"]
    model = resight.load(MODEL)
    decision = Decision.from_card(model.card)
    data = resight.datasets.load("synthetic", "others", identities=30, test_fraction=0.8, seed=7)
    embedder = resight.Embedder(model, device="cpu")
    query, gallery = embedder(data.query), embedder(data.gallery)
    everything = list(
        every_pair(query, gallery, pairwise(query.vectors, gallery.vectors, decision.metric), "market1501")
    )
    genuine = [d for _, _, d, same in everything if same]
    impostors = [d for _, _, d, same in everything if not same]
    assert (found["genuine"], found["impostors"]) == (len(genuine), len(impostors))
    assert found["fmr"]["value"] == pytest.approx(sum(d <= decision.threshold for d in impostors) / len(impostors))
    assert found["fnmr"]["value"] == pytest.approx(sum(d > decision.threshold for d in genuine) / len(genuine))
    refused = sum(d > decision.no_match_beyond for d in genuine) / len(genuine)
    assert found["answers"]["genuine pairs"]["no_match"] == pytest.approx(refused)
    nearest, other = dict.fromkeys(range(96), np.inf), dict.fromkeys(range(96), np.inf)
    for q, _, d, same in everything:
        if same:
            nearest[q] = min(nearest[q], d)
        else:
            other[q] = min(other[q], d)
    covered = [d <= decision.set_distance for d in nearest.values()]  # each of the 24 has as many queries
    assert found["coverage"]["value"] == pytest.approx(np.mean(covered))
    assert found["fpir"]["value"] == pytest.approx(np.mean([d <= decision.threshold for d in other.values()]))
    assert (found["promised_fmr"], found["promised_coverage"], found["searches"]) == (0.01, 0.9, 96)
    assert found["drift"]["images"] == len(query) + len(gallery)

    firsts = np.array(list(nearest.values())) < np.array(list(other.values()))
    range_of = result["intervals"]["R1"]
    assert range_of["value"] == result["cmc"]["1"] == pytest.approx(firsts.mean())
    people = [firsts[query.identities == person].mean() for person in np.unique(query.identities)]
    random = np.random.default_rng(1)
    means = [random.choice(people, len(people)).mean() for _ in range(4_000)]  # people have 4 queries each
    step = 1 / len(firsts)  # the quantiles of two bootstraps differ by a query at most
    assert range_of["low"] == pytest.approx(np.quantile(means, 0.025), abs=1.01 * step)
    assert range_of["high"] == pytest.approx(np.quantile(means, 0.975), abs=1.01 * step)
    assert set(result["intervals"]) == {"mAP", "R1", "R5", "R10"}


def test_it_reads_well(calibrated: Shell) -> None:
    code, out, err = calibrated(MODEL, *OTHERS, "--decide", "--intervals")
    assert code == 0, err
    for words in ("false matches", "1%", "strangers found wrongly, of 96 searches", "top results, strangers"):
        assert words in out
    assert (
        "the promises are" in out and "95% intervals over people: mAP" in out and "like those of the calibration" in out
    )
    code, out, _ = calibrated(MODEL, *OTHERS)
    assert code == 0 and "intervals" not in out and "strangers" not in out


def test_images_unlike_the_calibration_are_noticed(calibrated: Shell) -> None:
    data = resight.datasets.load("synthetic", "others", identities=30, test_fraction=0.8, seed=7)
    for path in {*data.query.paths.tolist(), *data.gallery.paths.tolist()}:
        with Image.open(path) as picture:
            picture.point([value // 6 for value in range(256)] * 3).save(path)
    code, out, err = calibrated(MODEL, *OTHERS, "--decide", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["decision"]["drift"]["unlike"]


def test_what_cannot_be_done_is_one_sentence(calibrated: Shell) -> None:
    card = json.loads(Path("model.card.json").read_text())
    mine = json.loads(Path("uncalibrated.card.json").read_text()) | {"decision": card["decision"]}
    mine["decision"]["fingerprint"] = "another"
    resight.load(MODEL).save("stolen.safetensors")
    Path("stolen.card.json").write_text(json.dumps(mine))
    for arguments, clue in [
        (("uncalibrated.safetensors", *OTHERS, "--decide"), "has not been calibrated"),
        (("stolen.safetensors", *OTHERS, "--decide"), "distances of another, but the model is"),
        ((MODEL, *OTHERS, "--decide", "--flip"), "leave out --flip"),
        ((MODEL, *OTHERS, "--decide", "--repeats", "2"), "leave out --repeats"),
        ((MODEL, *OTHERS, "--intervals", "--repeats", "2"), "leave out --repeats"),
        ((MODEL, *OTHERS, "--decide", "--metric", "cosine"), "add --metric euclidean"),
    ]:
        code, _, err = calibrated(*arguments)
        assert code == 2 and clue in err and "Traceback" not in err, (arguments, err)
    code, out, err = calibrated(MODEL, *OTHERS, "--decide", "--metric", "cosine", "--metric", "euclidean", "--json")
    assert code == 0, err
    assert ["decision" in one for one in json.loads(out)] == [False, True]


def test_the_decision_of_a_gallery(shell: Shell, calibrated: Shell) -> None:
    """It is the one the gallery began with until it is calibrated, whatever cards the model has by then."""
    assert shell("gallery", "create", "seen", "--model", "uncalibrated.safetensors")[0] == 0
    (Path("pictures")).mkdir()
    for picture in sorted(Path("people").rglob("*.jpg"))[:3]:
        shutil.copy(picture, "pictures")
    assert shell("gallery", "add", "seen", "pictures")[0] == 0
    asked = next(Path("others").rglob("*.jpg"))

    def decided(*more: str) -> set[str | None]:
        ((one,),) = (told(shell("search", "seen", asked, "--json", *more)),)
        return {hit["decision"] for hit in one["hits"]}

    assert decided() == decided("--model", MODEL) == decided() == {None}
    wrong = [(), ("--model", MODEL, "--pairs", "p.csv"), ("--model", "uncalibrated.safetensors"), ("--model", "person")]
    clues = ["by one of four", "by one of four", "has not been calibrated", "is about|holds a decision about"]
    for arguments, clue in zip(wrong, clues, strict=True):
        code, _, err = shell("gallery", "calibrate", "seen", *arguments)
        assert code == 2 and re.search(clue, err) and "Traceback" not in err, err
    code, out, err = shell("gallery", "calibrate", "seen", "--model", MODEL)
    threshold = Decision.from_card(resight.load(MODEL).card).threshold
    assert code == 0 and f"{threshold:.4g}; before, there was none" in out, err
    assert None not in decided() and decided("--model", "uncalibrated.safetensors") == decided()
    looser = ("--false-match-rate", "0.05", "--coverage", "0.9")
    (found,) = (told(shell("gallery", "calibrate", "seen", *OTHERS, *looser, "--json")),)
    assert found["before"]["threshold"] == threshold
    own = resight.calibrate(
        tuple(
            resight.Embedder(resight.load(MODEL), device="cpu")(part)
            for part in (
                resight.datasets.load("synthetic", "others", identities=30, test_fraction=0.8, seed=7).splits[name]
                for name in ("query", "gallery")
            )
        ),
        false_match_rate=0.05,
        coverage=0.9,
        protocol="market1501",
    )
    assert found["decision"]["threshold"] == pytest.approx(own.threshold, rel=1e-4)
    with resight.Gallery.open("seen") as gallery:
        assert gallery.decision is not None and gallery.decision.plain() == found["decision"]
        *_, first, second = gallery.log()
        assert first.action == second.action == "calibrate" and "threshold_before" not in first.details
        assert second.details["threshold_before"] == first.details["threshold"] == threshold
        gallery.verify_log()


def test_the_report_of_a_calibrated_run_shows_it(shell: Shell, calibrated: Shell) -> None:
    Path("run").mkdir()
    resight.load(MODEL).save("run/model.safetensors")
    options = {"identities": 30, "test_fraction": 0.8, "seed": 7}
    content = {
        "name": "drawn",
        "data": {"name": "synthetic", "root": "others", "options": options},
        "model": {"name": "osnet_x0_25"},
        "phases": [{"epochs": 1}],
    }
    Path("run/recipe.yaml").write_text(recipes.parse(content).yaml())
    code, _, err = shell("report", "run", "--no-pictures")
    assert code == 0, err
    page = Path("run/report.html").read_text(encoding="utf-8")
    _, out, _ = calibrated(MODEL, *OTHERS, "--decide", "--json")
    found = json.loads(out)[0]["decision"]
    for words in (
        'id="decisions"',
        "Between cameras",
        rate_text(found["fmr"]["value"]),
        f"of {found['searches']} searches",
    ):
        assert words in page
    assert f"The promises are {'kept' if found['kept'] else 'not kept'} on these images" in page
    assert "quantiles" not in page
