"""``resight attributes`` as people and scripts meet it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import painted
import resight
from resight.attributes.measure import measure_attributes, official_accuracy, predict12
from resight.datasets.market_attributes import ATTRIBUTES, official_columns

from .conftest import Shell


@pytest.fixture
def attributes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run ``resight attributes ARGUMENTS`` in an empty folder, with the painted people: (code, output, errors)."""
    painted.install(monkeypatch)
    resight.load("pixels", height=8, width=4).save("pixels.safetensors")
    return partial(shell, "attributes")


PAINTED = ("pixels.safetensors", "people", "--as", "painted")


def by_hand(fold: str) -> tuple[np.ndarray, np.ndarray]:
    """(labels, probabilities) of the labelled gallery images, read with another library's eyes."""
    import cv2

    gallery = painted.painted("people", fold=fold).gallery
    known = gallery.identities > 0
    grey = np.stack([cv2.imread(path, cv2.IMREAD_GRAYSCALE).ravel() for path in gallery.paths[known]])
    return gallery.columns["attributes"][known], 1 / (1 + np.exp(-12 * (grey / 255 - 0.5)))


@pytest.mark.parametrize("fold", ["test", "validation"])
def test_the_numbers_are_those_of_the_labelled_gallery(attributes: Shell, fold: str) -> None:
    code, out, err = attributes(*PAINTED, "--fold", fold, "--json")
    assert code == 0, err
    found = json.loads(out)
    truth, chances = by_hand(fold)
    expected = measure_attributes(truth, chances, ATTRIBUTES)
    columns, average = official_accuracy(official_columns(truth), predict12(chances, ATTRIBUTES))
    assert found["images"] == len(truth) == {"test": 24, "validation": 20}[fold] and found["unknown"] == 2
    assert found["attributes"] == expected.rows() and 0.8 < found["mA"] < 1
    assert found["mA"] == pytest.approx(expected.mA)
    assert "downpurple" in found["left_out"] and found["official"]["mean"] == pytest.approx(average)
    assert list(found["official"].values())[:12] == columns.tolist()
    assert found["data"] == f"painted-{fold}" and "reid" not in found


def test_the_table_has_every_attribute(attributes: Shell) -> None:
    code, out, err = attributes(*PAINTED)
    lines = {words[1]: words for line in out.splitlines() if (words := line.split()) and len(words) > 10}
    assert code == 0, err
    assert set(ATTRIBUTES) <= set(lines) and "-" in lines["downpurple"]
    truth, chances = by_hand("test")
    expected = measure_attributes(truth, chances, ATTRIBUTES)
    hat = expected.rows()[ATTRIBUTES.index("hat")]
    assert f"{hat['positives']}" in lines["hat"] and f"{hat['recall']:.1%}" in lines["hat"]
    assert f"without {', '.join(expected.left_out)}" in out and "uppurple" in expected.left_out
    assert "official score" in out


def test_the_predictions_are_in_the_sources_format(attributes: Shell) -> None:
    code, _, err = attributes(*PAINTED, "-o", "out/predictions.csv", "--json")
    assert code == 0, err
    with Path("out/predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:5] == ["filename", "age", "backpack", "bag", "handbag"] and len(header) == 1 + 27 + 2
    gallery = painted.painted("people").gallery
    assert [row[0] for row in rows] == [Path(path).name for path in gallery.paths]
    _, chances = by_hand("test")
    for row, chance in zip(rows, chances, strict=False):  # the first 24, then those without labels
        told = dict(zip(header, row, strict=True))
        chance_of = dict(zip(ATTRIBUTES, chance, strict=True))
        ages = [chance_of[age] for age in painted.AGE]
        assert int(told.pop("age")) == 1 + ages.index(max(ages))
        told.pop("filename")
        assert told == {name: str(1 + int(chance_of[name] >= 0.5)) for name in told}


def test_people_are_found_by_their_attributes(attributes: Shell) -> None:
    code, out, err = attributes(*PAINTED, "--reid", "--results", "reid.txt", "--json")
    assert code == 0, err
    reid = json.loads(out)["reid"]
    plain, weighted, linear = reid["variants"]
    assert [one["name"] for one in reid["variants"]] == ["plain", "weighted", "linear"]
    assert plain["report"]["mAP"] == pytest.approx(evaluated("people"), abs=1e-6)
    assert all(one["report"]["mAP"] > 0.8 and one["matches"]["recall"] > 0.8 for one in (plain, weighted))
    assert linear["report"]["mAP"] > 0.5  # learned from 14 people
    assert plain["threshold"]["beta"] == 1.5 and plain["report"]["evaluated"] == plain["matches"]["evaluated"] == 12
    lines = Path("reid.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{person:04d}_c1.png" for person in range(25, 37)]
    chosen = next(one for one in reid["variants"] if one["name"] == reid["best"])
    right = sum(line.count(line[:4]) - 1 for line in lines)
    assert right / 24 == pytest.approx(chosen["matches"]["pooled_recall"])
    assert sum(line.count(".png") - 1 for line in lines) / 12 == pytest.approx(chosen["matches"]["size"])


def evaluated(root: str) -> float:
    """mAP of the network's own embedding, which is its attribute outputs."""
    data = painted.painted(root)
    embedder = resight.Embedder(resight.load("pixels.safetensors"), device="cpu")
    return resight.evaluate(embedder(data.query), embedder(data.gallery)).mAP


def test_the_ablation_as_a_table(attributes: Shell) -> None:
    code, out, err = attributes(*PAINTED, "--fold", "validation", "--reid", "--beta", "3")
    assert code == 0, err
    for name in ("plain", "weighted", "linear"):
        assert any(name in line and line.count("%") == 5 for line in out.splitlines()), out
    assert "the people measured here" in out
    assert "the people measured here" not in attributes(*PAINTED, "--reid")[1]


def test_what_cannot_be_done_is_one_sentence(attributes: Shell, tiny_market: Callable[..., Path]) -> None:
    root = tiny_market()
    for arguments, clue in [
        ((*PAINTED, "--results", "r.txt"), "--results needs --reid"),
        ((*PAINTED, "--fold", "tset"), "tset"),
        (("pixels.safetensors", root, "--as", "market_layout"), "no attribute labels"),
        (("osnet_x0_25", *PAINTED[1:]), "predicts no attributes"),
        (("gone.safetensors", *PAINTED[1:]), "gone.safetensors does not exist"),
        ((*PAINTED, "--reid", "--beta", "-1"), "beta is -1"),
    ]:
        code, _, err = attributes(*arguments)
        assert code == 2 and clue in err and "Traceback" not in err, (arguments, err)
    assert not Path("r.txt").exists()
