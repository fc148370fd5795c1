"""``resight group`` on synthetic people: the CSV, the contact sheet, and what is missing."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import resight
from resight.cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Synthetic people, and a model of random weights whose card has no threshold."""
    resight.datasets.load("synthetic", tmp_path / "people", identities=6, cameras=2, images_per_camera=2)
    resight.load("osnet_x0_25", height=64, width=32).save(tmp_path / "model.safetensors")
    return tmp_path


def shell(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["resight", "group", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_groups_of_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    images, model = folder / "people" / "query", folder / "model.safetensors"
    sheet, table = folder / "sheet.html", folder / "groups.csv"
    arguments = (images, "-m", model, "-o", table, "--sheet", sheet, "--json")
    assert shell(monkeypatch, *arguments) == 2
    assert "has no calibrated threshold: run resight calibrate" in capfd.readouterr().err
    assert not table.exists() and not sheet.exists()
    assert shell(monkeypatch, *arguments, "--threshold", 0) == 0
    apart = json.loads(capfd.readouterr().out)
    assert apart["groups"] == apart["images"]
    assert shell(monkeypatch, *arguments, "--threshold", 2) == 0
    together = json.loads(capfd.readouterr().out)
    assert together["groups"] == 1 and together["images"] == apart["images"]
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert len(rows) == together["images"] and {row["group"] for row in rows} == {"0"}
    assert all(Path(row["image"]).is_file() for row in rows)
    page = sheet.read_text(encoding="utf-8")
    assert "contains pictures" in page and page.count("data:image/jpeg") == min(16, len(rows))


def test_groups_as_folders(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    images, table = folder / "people" / "query", folder / "groups.csv"
    arguments = (images, "-m", folder / "model.safetensors", "-o", table, "--threshold", 0)
    assert shell(monkeypatch, *arguments, "--folders", folder / "who", "--json") == 0
    told = json.loads(capfd.readouterr().out)
    assert told["folders"] == str(folder / "who")
    for row in csv.DictReader(table.open(encoding="utf-8")):
        place = folder / "who" / row["group"].zfill(len(str(told["groups"] - 1)))
        (link,) = place.iterdir()
        assert link.is_symlink() and link.resolve() == Path(row["image"]).resolve()
    table.unlink()
    assert shell(monkeypatch, *arguments, "--folders", folder / "who", "--copy") == 2
    assert "is never written over" in capfd.readouterr().err and not table.exists()
    assert shell(monkeypatch, *arguments, "--copy") == 2 and "add --folders DIR" in capfd.readouterr().err
    assert shell(monkeypatch, *arguments, "--folders", folder / "copies", "--copy") == 0
    copies = [path for path in (folder / "copies").rglob("*.jpg") if not path.is_symlink()]
    assert len(copies) == told["images"] and f"written: {folder / 'copies'}" in capfd.readouterr().err


def test_pictures_unlike_the_calibration_give_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Dark noise, to a model that was calibrated on people."""
    images, sheet = folder / "noise", folder / "noise.html"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(70):
        cv2.imwrite(str(images / f"{number}.jpg"), rng.integers(0, 60, (64, 32, 3), dtype=np.uint8))
    assert shell(monkeypatch, images, "-m", "person", "-o", folder / "groups.csv", "--sheet", sheet) == 0
    words = " ".join(capfd.readouterr().err.split())
    assert "warning: The 70 images are unlike those of the calibration" in words
    assert 'role="alert"' in sheet.read_text(encoding="utf-8")
