"""Mean and spread of several draws."""

import itertools
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

import peers
import resight
from conftest import write_noise
from reference import ranking as plain
from resight import datasets
from resight.cli.main import main
from resight.embedding.measure import measure, measure_repeats
from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.evaluation.repeats import single_shot, summarise
from resight.retrieval.ranking.distance import pairwise


@pytest.fixture
def vehicles(tmp_path: Path) -> Path:
    """VehicleID's layout with 9 test vehicles of 3 images each, under the name of its smallest list."""
    root = tmp_path / "VehicleID"
    lines = {"train_list.txt": [], "test_list_800.txt": []}
    for number in range(45):
        write_noise(root / "image" / f"{number:07d}.jpg", 24, 24, number // 3)
        lines["train_list.txt" if number < 18 else "test_list_800.txt"].append(f"{number:07d} {number // 3}")
    for name, content in lines.items():
        (root / "train_test_split").mkdir(exist_ok=True)
        (root / "train_test_split" / name).write_text("\n".join(content) + "\n")
    return root


def test_each_draw_is_what_it_would_be_alone(vehicles: Path) -> None:
    model = resight.load("osnet_x0_25", height=32, width=32)
    draws = [datasets.load("vehicleid", vehicles, strict=False, repeat=at) for at in range(3)]
    reports = measure_repeats(model, draws, device="cpu")
    for draw, report in zip(draws, reports, strict=True):
        _, _, alone = measure(model, draw, device="cpu")
        assert (report.queries, report.gallery) == (18, 9)
        assert report.mAP == pytest.approx(alone.mAP, abs=1e-6) and report.cmc[1] == pytest.approx(alone.cmc[1])
    found = summarise(reports)
    maps = [report.mAP for report in reports]
    assert found["mAP"] == (pytest.approx(mean(maps)), pytest.approx(stdev(maps)))
    assert summarise(reports[:1])["R1"] == (reports[0].cmc[1], 0.0)
    with pytest.raises(DataError, match="no report to summarise"):
        summarise([])
    with pytest.raises(DataError, match="There are draws of vehicleid and of vehicleid-validation: pass draws of one"):
        others = datasets.load("vehicleid", vehicles, strict=False, fold="validation", held_out=3)
        measure_repeats(model, [draws[0], others])


def test_draws_may_have_images_of_their_own(tmp_path: Path) -> None:
    """Each of classic CUHK03's draws leaves out most images of the second camera."""
    for number, name in enumerate(
        f"1_00{who}_{view}_{n:02d}.png" for who in (1, 2, 3) for view in (1, 2) for n in (1, 2, 3)
    ):
        write_noise(tmp_path / "images_detected" / name, 24, 24, number)
    (tmp_path / "testsets.txt").write_text("0 1 1\n0 1 2\n")
    model = resight.load("osnet_x0_25", height=32, width=32)
    draws = [datasets.load("cuhk03", tmp_path, strict=False, protocol="classic", repeat=at) for at in range(4)]
    assert len({path for draw in draws for path in draw.gallery.paths}) > 2
    for draw, report in zip(draws, measure_repeats(model, draws, device="cpu"), strict=True):
        _, _, alone = measure(model, draw, device="cpu")
        assert (report.queries, report.gallery) == (6, 2) and report.mAP == pytest.approx(alone.mAP, abs=1e-6)


def test_in_a_shell(vehicles: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "osnet_x0_25", vehicles, "--set", "strict=false", "--repeats", 2, "--height", 32]
    monkeypatch.setattr("sys.argv", ["resight", *map(str, arguments), "--width", "32"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert "vehicleid, 2 draws: R1 " in capfd.readouterr().out


def two_cameras(rng: np.random.Generator, people: int, images: int) -> tuple[Embeddings, Embeddings]:
    """Queries of camera 1 and a gallery of camera 2, ``images`` of each person in each."""
    who = np.repeat(np.arange(1, people + 1), images)
    centres = rng.normal(size=(people + 1, 6))
    parts = [
        Embeddings((centres[who] + rng.normal(size=(len(who), 6))).astype(np.float32), who, np.full(len(who), camera))
        for camera in (1, 2)
    ]
    return parts[0], parts[1]


def test_single_shot_draws_are_even() -> None:
    """The mean over many draws is that over every possible gallery, ranked by plain loops."""
    query, gallery = two_cameras(np.random.default_rng(0), 4, 3)
    distances = pairwise(query.vectors, gallery.vectors)
    wanted = []
    for chosen in itertools.product(range(3), repeat=4):
        drawn = np.arange(4) * 3 + np.array(chosen)
        wanted.append(plain.evaluate(query, gallery.take(drawn), distances[:, drawn], "market1501"))
    reports = single_shot(query, gallery, draws=600, seed=1)
    for key, of in (("mAP", lambda one: one.mAP), ("R1", lambda one: one.cmc[1]), ("R2", lambda one: one.cmc[2])):
        every = [one["mAP"] if key == "mAP" else one["cmc"][int(key[1])] for one in wanted]
        found = [of(report) for report in reports]
        assert mean(found) == pytest.approx(mean(every), abs=4 * stdev(every) / 600**0.5)
        assert set(np.round(found, 9)) <= set(np.round(every, 9)) and len(set(found)) > 5
    assert all(report.gallery == 4 and report.evaluated == 12 for report in reports)
    again, other = single_shot(query, gallery, seed=1), single_shot(query, gallery, seed=2)
    assert len(again) == 20 and [one.mAP for one in again] == [one.mAP for one in reports[:20]]
    assert [one.mAP for one in again] != [one.mAP for one in other]


def test_distractors_stay_in_every_draw_and_junk_in_none() -> None:
    query = Embeddings(np.float32([[0]]), [1], [1])
    gallery = Embeddings(np.float32([[3], [1], [2], [4], [0]]), [1, 0, 0, 1, -1], [2] * 5)
    for report in single_shot(query, gallery, draws=3):
        assert report.gallery == 3 and report.first_match.tolist() == [3]


@pytest.mark.parametrize("package", ["torchreid", "fastreid"])
def test_single_shot_equals_the_peers(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is one image of each person to draw, their metric for CUHK03 is not random."""
    peer = peers.load_file(package, {"torchreid": "reid/metrics/rank.py", "fastreid": "evaluation/rank.py"}[package])
    monkeypatch.setattr(np, "bool", bool, raising=False)  # which numpy 1.24 to 1.26 have not
    query, gallery = two_cameras(np.random.default_rng(3), 60, 1)
    distances = pairwise(query.vectors, gallery.vectors)
    labels = query.identities, gallery.identities, query.cameras, gallery.cameras
    cmc, precision = peer.evaluate_rank(distances, *labels, use_metric_cuhk03=True, use_cython=False)[:2]
    for report in single_shot(query, gallery, draws=2):
        assert list(report.cmc.values()) == pytest.approx(cmc.tolist(), abs=1e-6)
        assert report.mAP == pytest.approx(float(np.mean(precision)), abs=1e-9)


def test_single_shot_refuses() -> None:
    query, gallery = two_cameras(np.random.default_rng(0), 2, 1)
    with pytest.raises(DataError, match="draws is 0: pass a whole number from 1"):
        single_shot(query, gallery, draws=0)
    with pytest.raises(DataError, match="The gallery embeddings have no identities"):
        single_shot(query, Embeddings(gallery.vectors))
    with pytest.raises(DataError, match="None of the 2 queries has a true match"):
        single_shot(query, Embeddings(gallery.vectors, [0, 0], [2, 2]))
