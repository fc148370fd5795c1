"""Where the numbers of each epoch are recorded besides the run folder: TensorBoard, MLflow, Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from resight.errors import RecipeError, TrainingError, first_line
from resight.training.recipe import Recipe

TRACKERS = ("mlflow", "wandb")
PROJECT = "resight"  # MLflow's experiment and Weights & Biases' project, where their own variables name none
Record = Callable[[dict[str, Any]], None]


@contextmanager
def recorded(folder: Path, recipe: Recipe, trackers: Sequence[str], *, wanted: bool) -> Iterator[Record]:
    """A function that records the numbers of an epoch everywhere, by the name of the recipe.

    TensorBoard events are written into the run folder where TensorBoard is installed. The others are Accelerate's
    trackers: they take the server, the project and the key from their own environment variables
    (``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``; ``WANDB_MODE=offline``, ``WANDB_PROJECT``, ``WANDB_API_KEY``).

    Args:
        folder: the run folder.
        recipe: its values are recorded once, as the run's configuration.
        trackers: any of :data:`TRACKERS`.
        wanted: False in all processes but one; nothing is recorded then.

    Raises:
        RecipeError: a tracker that is unknown or not installed.
        TrainingError: a tracker that cannot begin.
    """
    unknown = [name for name in trackers if name not in TRACKERS]
    if unknown:
        raise RecipeError(f"There is no tracker {unknown[0]!r}: choose {' or '.join(TRACKERS)}.")
    if not wanted:
        yield lambda entry: None
        return
    with ExitStack() as stack:
        records = [stack.enter_context(_tensorboard(folder))]
        records += [stack.enter_context(_tracker(name, folder, recipe)) for name in dict.fromkeys(trackers)]

        def record(entry: dict[str, Any]) -> None:
            for one in records:
                one(entry)

        yield record


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Record]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield lambda entry: None
        return
    writer = SummaryWriter(folder / "tensorboard")

    def record(entry: dict[str, Any]) -> None:
        for name, value in _numbers(entry).items():
            writer.add_scalar(name, value, entry["epoch"])
        writer.flush()

    try:
        yield record
    finally:
        writer.close()


@contextmanager
def _tracker(name: str, folder: Path, recipe: Recipe) -> Iterator[Record]:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    tracker = LOGGER_TYPE_TO_CLASS[name](PROJECT, **_settings(name, folder, recipe))
    try:
        tracker.start()
        tracker.store_init_configuration(_flat(recipe.model_dump(mode="json")))
    except ImportError:
        raise RecipeError(f"{name} is not installed: pip install {name}.") from None
    except Exception as error:  # of a server, an account, a disk; each in its own kind
        raise TrainingError(
            f"{name} cannot begin ({first_line(error)}): see its documentation, or leave it out."
        ) from None

    try:
        yield lambda entry: tracker.log(_numbers(entry), step=entry["epoch"])
    finally:
        tracker.finish()


def _settings(name: str, folder: Path, recipe: Recipe) -> dict[str, Any]:
    if name == "mlflow":
        return {"run_name": recipe.name, "description": recipe.about}
    return {"name": recipe.name, "notes": recipe.about, "dir": str(folder)}


def _numbers(entry: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in entry.items() if isinstance(value, float)}


def _flat(content: Any, place: str = "") -> dict[str, Any]:
    """Values of nested mappings and lists by their places, as in ``--set``: ``phases.0.lr``."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if inner is None:
        return {place: content}
    found: dict[str, Any] = {}
    for key, value in inner:
        found |= _flat(value, f"{place}.{key}" if place else str(key))
    return found
