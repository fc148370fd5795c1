"""Fine-tuning on a few labelled people."""

import os
from pathlib import Path
from typing import Any

import cv2
import pytest

import resight
import tiny
from resight.adaptation.checking import Check
from resight.adaptation.labelled import fine_tune
from resight.errors import DataError, RecipeError, TrainingError
from resight.models.model import Model


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 people, 2 cameras, 3 images each, in a folder for each."""
    root = tmp_path_factory.mktemp("people")
    for person in range(1, 41):
        (root / f"person{person}").mkdir()
        for camera in (1, 2):
            for number in range(3):
                path = root / f"person{person}" / f"cam{camera}_{number}.png"
                cv2.imwrite(str(path), tiny.picture(person, camera, number)[..., ::-1])
    return root


def test_it_learns_measures_and_calibrates_by_itself(people: Path, model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = fine_tune(people, folder, model, epochs=12, lr=1e-3, cpu=True, progress=False)
    assert result["check"]["after"]["mAP"] > result["check"]["before"]["mAP"] + 0.1
    card = resight.load(folder).card
    assert card.threshold is not None and card.decision is not None and "Calibrated" in result["calibration"]
    assert card.trained_on.startswith("fine-tuned with 20 people, to 120 crops of 2 cameras from tiny")
    again = fine_tune(people, folder, model, epochs=12, lr=1e-3, cpu=True, progress=False, resume=True)
    assert again["check"] == result["check"]
    path = folder / "metrics.json"
    path.write_text(path.read_text().replace(result["check"]["fingerprint"], "0" * 64))
    with pytest.raises(TrainingError, match=r"checked on another data set \(held-out people\): .* resight compare"):
        fine_tune(people, folder, model, epochs=12, lr=1e-3, cpu=True, progress=False, resume=True)
    assert resight.Gallery.open(tmp_path / "seen", folder).decision is not None


@pytest.mark.parametrize("file", ["model.card.json", "metrics.json"])
def test_a_run_interrupted_as_it_writes_its_results_goes_on_to_the_whole(
    people: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    folder, measured, rename = tmp_path / "run", [], os.replace
    measure = Check.measure
    ways = {"epochs": 1, "lr": 1e-3, "cpu": True, "progress": False}

    def stops(source: Path, target: Path) -> None:
        if measured and Path(target).name == file:
            raise KeyboardInterrupt
        rename(source, target)

    def tells(*given: Any) -> dict[str, Any]:
        measured.append(measure(*given))
        return measured[-1]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Check, "measure", tells)
        patched.setattr(os, "replace", stops)
        fine_tune(people, folder, model, **ways)
    result = fine_tune(people, folder, model, resume=True, **ways)
    assert result["check"] == measured[0]
    card = resight.load(folder).card
    assert card.decision is not None and card.trained_on.startswith("fine-tuned with 20 people")


def test_too_few_people_are_refused(people: Path, model: Model, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in ("person1", "person2", "person3"):
        (few / name).symlink_to(people / name)
    with pytest.raises(DataError, match=r"3 people.*4 or more"):
        fine_tune(few, tmp_path / "run", model, cpu=True, progress=False)
    with pytest.raises(DataError, match="no two people"):
        one = tmp_path / "one"
        one.mkdir()
        (one / "person1").symlink_to(people / "person1")
        fine_tune(one, tmp_path / "run", model, cpu=True, progress=False)


def test_numbers_and_crops_that_say_nothing_are_refused(people: Path, model: Model, tmp_path: Path) -> None:
    ways = {"cpu": True, "progress": False}
    with pytest.raises(RecipeError, match="epochs is 0"):
        fine_tune(people, tmp_path / "run", model, epochs=0, **ways)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="lr is 0"):
        fine_tune(people, tmp_path / "run", model, lr=0, **ways)  # type: ignore[arg-type]
    files = sorted(map(str, people.rglob("*.png")))
    cameras = [None if "person1/" in file else Path(file).name[:4] for file in files]
    table = {"path": files, "camera": cameras, "identity": [Path(file).parent.name for file in files]}
    with pytest.raises(DataError, match="6 of 240 labelled crops have no camera"):
        fine_tune(table, tmp_path / "run", model, **ways)  # type: ignore[arg-type]
