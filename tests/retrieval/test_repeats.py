"""Mean and spread of several draws."""

from pathlib import Path
from statistics import mean, stdev

import pytest

import resight
from conftest import write_noise
from resight import datasets
from resight.cli.main import main
from resight.embedding.measure import measure, measure_repeats
from resight.errors import DataError
from resight.retrieval.repeats import summarise


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
    with pytest.raises(DataError, match="is in one draw of vehicleid-validation but not in the first"):
        others = datasets.load("vehicleid", vehicles, strict=False, fold="validation", held_out=3)
        measure_repeats(model, [draws[0], others])


def test_in_a_shell(vehicles: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "osnet_x0_25", vehicles, "--set", "strict=false", "--repeats", 2, "--height", 32]
    monkeypatch.setattr("sys.argv", ["resight", *map(str, arguments), "--width", "32"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert "vehicleid, 2 draws: R1 " in capfd.readouterr().out
