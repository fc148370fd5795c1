"""Killed anywhere, a run goes on to the very same weights."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import forked
import ranks
import resight
from resight import datasets
from resight.errors import TrainingError
from resight.training.loop import train
from resight.training.recipe import Recipe
from resight.training.session import Session
from resight.training.state import State

from .conftest import TinyRecipe, weights_of

EVERYTHING: dict[str, Any] = {
    "phases": [
        {"epochs": 1, "only": ["classifier"]},
        {"epochs": 2, "optimizer": "amsgrad", "lr": 1e-3, "schedule": "cosine", "warmup": 1},
        {
            "epochs": 2,
            "optimizer": "sgd",
            "lr": 1e-2,
            "rates": {"end": 0.1, "end.2": 0.5},
            "sampler": {"kind": "random", "batch_size": 8},
            "losses": [{"name": "cross_entropy"}, {"name": "center", "weight": 0.1}],
        },
    ],
    "averaging": {"decay": 0.9},
    "augmentation": {"flip": 0.5, "pad_crop": 2, "brightness": 0.2, "erase": 0.5},
    "evaluation": {"every": 2},
}


def run(recipe: Recipe, output: Path, **options: Any) -> dict[str, Any]:
    return train(recipe, output, cpu=True, progress=False, **options)


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    times = ("seconds", "images_per_second")
    history = [{key: value for key, value in entry.items() if key not in times} for entry in result["history"]]
    return {"history": history, "report": result["report"]}


Uninterrupted = Callable[[Recipe], tuple[Path, dict[str, Any]]]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """The folder and the result of EVERYTHING without an interruption, trained once, since each test has equal data."""
    folder, results = tmp_path_factory.mktemp("uninterrupted") / "run", []

    def of(recipe: Recipe) -> tuple[Path, dict[str, Any]]:
        if not results:
            results.append(run(recipe, folder))
        return folder, results[0]

    return of


class Interrupted(BaseException):
    """As if the power failed, but within this process."""


def interrupt_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    step, left = State.step, [count]

    def limited(self: State, *args: Any) -> None:
        if not left[0]:
            raise Interrupted
        left[0] -= 1
        step(self, *args)

    monkeypatch.setattr(State, "step", limited)


@pytest.mark.parametrize("counts", [(1,), (4, 1, 4), (7, 2)], ids=str)
def test_an_interrupted_run_reaches_the_same_numbers(
    tiny_recipe: TinyRecipe,
    uninterrupted: Uninterrupted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: tuple[int, ...],
) -> None:
    """Interrupted after so many steps, gone on with, interrupted again: in the first, middle and last phase."""
    recipe = tiny_recipe(**EVERYTHING)
    folder, whole = uninterrupted(recipe)
    for count in counts:
        with monkeypatch.context() as patched, pytest.raises(Interrupted):
            interrupt_after(patched, count)
            run(recipe, tmp_path / "parts", resume=True)
    parts = run(recipe, tmp_path / "parts", resume=True)
    assert weights_of(tmp_path / "parts") == weights_of(folder)
    assert without_times(parts) == without_times(whole)


@pytest.mark.long
def test_a_killed_process(tiny_recipe: TinyRecipe, uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    """SIGKILL in the middle of the third epoch."""
    recipe = tiny_recipe(**EVERYTHING)
    (tmp_path / "recipe.yaml").write_text(recipe.yaml())
    dying = forked.start(tmp_path / "dying", ranks.train_until_killed, tmp_path / "recipe.yaml", tmp_path / "run", 2)
    assert forked.ended(dying) == -signal.SIGKILL, (tmp_path / "dying.err").read_text()
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["epoch"] == 2
    resumed = run(recipe, tmp_path / "run", resume=True)
    folder, whole = uninterrupted(recipe)
    assert weights_of(tmp_path / "run") == weights_of(folder)
    assert without_times(resumed) == without_times(whole)


def test_a_finished_run_stays_what_it_is(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """Nothing is computed or written again, unless it was stopped before its model was there."""
    recipe, folder = tiny_recipe(), tmp_path / "run"
    first, weights = run(recipe, folder), weights_of(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run(recipe, folder, resume=True) == first
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    (folder / "model.safetensors").unlink()
    assert run(recipe, folder, resume=True) == first and weights_of(folder) == weights


def test_nothing_to_resume_is_a_beginning(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    run(tiny_recipe(), tmp_path / "a", resume=True)
    run(tiny_recipe(), tmp_path / "b")
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b")


def test_another_recipe_or_other_data_are_refused(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    run(recipe, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(TrainingError, match=r"made with another recipe \('seed: 1' there, 'seed: 2' now\): use that"):
        run(tiny_recipe(seed=2), tmp_path / "run", resume=True)
    changed = tiny_recipe(phases=[{"epochs": 2, "optimizer": "adamw", "lr": 2e-3}, {"epochs": 1}])
    with pytest.raises(TrainingError, match="made with another recipe"):
        run(changed, tmp_path / "run", resume=True)
    next((Path(recipe.data.root) / "bounding_box_train").iterdir()).unlink()
    with pytest.raises(TrainingError, match="made with other data") as refused:
        run(recipe, tmp_path / "run", resume=True)
    assert "\n" not in str(refused.value)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}


@pytest.mark.parametrize("longer", [[{"epochs": 3}], [{"epochs": 1}, {"epochs": 2, "optimizer": "sgd", "lr": 1e-2}]])
def test_more_epochs(tiny_recipe: TinyRecipe, tmp_path: Path, longer: list[dict[str, Any]]) -> None:
    """A longer last phase or another phase: as if the run had been that long from the beginning."""
    phase = {"optimizer": "adamw", "lr": 1e-3}
    recipe = tiny_recipe(phases=[{**phase, **one} for one in longer], averaging={"decay": 0.9})
    run(recipe, tmp_path / "whole")
    first = run(tiny_recipe(phases=[phase | {"epochs": 1}], averaging={"decay": 0.9}), tmp_path / "parts")
    assert len(first["history"]) == 1
    result = run(recipe, tmp_path / "parts", resume=True)
    assert len(result["history"]) == 3 and weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert run(recipe, tmp_path / "parts", resume=True) == result


def test_a_longer_cosine_is_another_run(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    phase = {"optimizer": "adamw", "lr": 1e-3, "schedule": "cosine"}
    run(tiny_recipe(phases=[phase | {"epochs": 1}]), tmp_path / "run")
    message = "learning rate of this phase depends on its length: add a phase instead"
    with pytest.raises(TrainingError, match=message):
        run(tiny_recipe(phases=[phase | {"epochs": 2}]), tmp_path / "run", resume=True)
    run(tiny_recipe(phases=[phase | {"epochs": 2}]), tmp_path / "longer")
    with pytest.raises(TrainingError, match="cannot be shortened: set 2 epochs or more"):
        run(tiny_recipe(phases=[phase | {"epochs": 1}]), tmp_path / "longer", resume=True)
    added = run(tiny_recipe(phases=[phase | {"epochs": 1}, phase | {"epochs": 1}]), tmp_path / "run", resume=True)
    assert len(added["history"]) == 2


def test_a_checkpoint_of_before_a_setting_existed(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """It was written without the setting; the setting's default is what was done."""
    recipe, folder = tiny_recipe(), tmp_path / "run"
    first = run(recipe, folder)
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    shorter = state["recipe"].replace("teachers: []\n", "")
    torch.save(state | {"recipe": shorter}, folder / "checkpoint.pt")
    assert shorter != state["recipe"] and run(recipe, folder, resume=True) == first
    torch.save(state | {"recipe": shorter + "tutors: []\n"}, folder / "checkpoint.pt")  # of a later version
    with pytest.raises(TrainingError, match="made with another recipe"):
        run(recipe, folder, resume=True)


def test_a_second_program_in_the_same_folder_is_refused(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wrote over each other's checkpoints, and the model that was written last remained."""
    epoch, refused, both = Session.epoch, [], tmp_path / "both"

    def while_another_begins(self: Session, *given: Any) -> dict[str, Any]:
        with monkeypatch.context() as patched, pytest.raises(TrainingError) as caught:
            patched.setattr(Session, "epoch", epoch)
            run(tiny_recipe(), both, resume=True)
        refused.append(str(caught.value))
        return epoch(self, *given)

    monkeypatch.setattr(Session, "epoch", while_another_begins)
    result = run(tiny_recipe(), both)
    assert refused == 2 * [f"Another program trains in {both} now: wait until it is done, or use another --output."]
    monkeypatch.setattr(Session, "epoch", epoch)
    assert without_times(run(tiny_recipe(), both, resume=True)) == without_times(result)
    assert without_times(run(tiny_recipe(), tmp_path / "alone")) == without_times(result)


def test_a_model_without_its_checkpoint_is_left_alone(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe, folder = tiny_recipe(phases=[{"epochs": 1}]), tmp_path / "run"
    run(recipe, folder)
    (folder / "checkpoint.pt").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for resume in (True, False):
        with pytest.raises(TrainingError, match="run holds the model of a run without its checkpoint: use another"):
            run(tiny_recipe(phases=[{"epochs": 1}], seed=2), folder, resume=resume)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_a_checkpoint_makes_needless(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data stands elsewhere, the weights that the run began with are gone, and metrics are damaged."""
    start = tmp_path / "start.safetensors"
    resight.load("tiny", height=64, width=32).save(start)
    recipe = tiny_recipe(**EVERYTHING | {"model": {"name": "tiny", "head": "plain", "weights": str(start)}})
    whole = run(recipe, tmp_path / "whole")
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt_after(patched, 5)
        run(recipe, tmp_path / "run")
    start.unlink()
    moved = tmp_path / "elsewhere"
    Path(recipe.data.root).rename(moved)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": str(moved)})})
    assert without_times(run(recipe, tmp_path / "run", resume=True)) == without_times(whole)
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
    for text in ("", "{"):
        (tmp_path / "run" / "metrics.json").write_text(text)
        assert without_times(run(recipe, tmp_path / "run", resume=True)) == without_times(whole)


def test_other_answers_are_other_data(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe(phases=[{"epochs": 1}])
    data = datasets.load(recipe.data.name, recipe.data.root)
    answers = np.zeros((len(data.train), 3), np.uint8)

    def given(attributes: NDArray[np.uint8], triplets: NDArray[np.int64]) -> datasets.Dataset:
        train = replace(data.train, columns={**data.train.columns, "attributes": attributes})
        return replace(data, train=train, triplets=triplets)

    triplets = np.array([[0, 1, 5]])
    run(recipe, tmp_path / "run", data=given(answers, triplets))
    run(recipe, tmp_path / "run", data=given(answers, triplets), resume=True)
    for other in (given(answers + 1, triplets), given(answers, triplets + 1), data):
        with pytest.raises(TrainingError, match="made with other data"):
            run(recipe, tmp_path / "run", data=other, resume=True)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "foreign"])
def test_a_damaged_checkpoint_is_refused(tiny_recipe: TinyRecipe, tmp_path: Path, damage: str) -> None:
    recipe = tiny_recipe(phases=[{"epochs": 1}])
    run(recipe, tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.pt"
    data = file.read_bytes()
    if damage == "foreign":
        torch.save({"epoch": 3}, file)
    else:
        file.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"not a checkpoint\n"}[damage])
    with pytest.raises(
        TrainingError, match=r"checkpoint\.pt is not a complete checkpoint \(it is .*\): start again"
    ) as refused:
        run(recipe, tmp_path / "run", resume=True)
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)
