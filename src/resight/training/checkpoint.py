"""The state of a run after an epoch, from which it can continue as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from resight.errors import RecipeError, TrainingError
from resight.files import atomic_path
from resight.models.weights import unreadable
from resight.training import recipe as recipes
from resight.training.recipe import Recipe


@dataclass
class Checkpoint:
    """Everything that the next epoch depends on.

    Attributes:
        epoch: epochs that are done.
        network, averaged, optimizer, scaler: state dicts (``averaged`` is None without weight averaging, ``scaler``,
            that of the loss, is None but for fp16).
        memories: what the losses remember.
        history: one entry per epoch.
        recipe: the resolved recipe, as YAML; ``data``: the fingerprints of data and teachers.
        seconds: wall time of training so far.
        labels: (N,) int64, the labels of the next epoch, of a run in which they change; None in others.
    """

    epoch: int
    network: dict[str, Any]
    averaged: dict[str, Any] | None
    optimizer: dict[str, Any]
    scaler: dict[str, Any] | None
    memories: list[list[dict[str, Any]]]
    history: list[dict[str, Any]]
    recipe: str
    data: str
    seconds: float
    labels: torch.Tensor | None = None

    def save(self, path: Path) -> None:
        """Write the checkpoint; the previous one stays until this one is whole."""
        with atomic_path(path) as temporary:
            try:
                with temporary.open("wb") as file:
                    torch.save(self.__dict__, file)
            except RuntimeError as error:  # torch reports a full disk so; what it came from has the system's own words
                reason: BaseException | None = error
                while reason and not isinstance(reason, OSError):
                    reason = reason.__context__
                raise reason or OSError(str(error).splitlines()[0]) from None


def read(path: Path, recipe: Recipe, data: str) -> Checkpoint:
    """The checkpoint of a run of this recipe, or of a shorter one that it continues, on this data.

    Args:
        path: the file.
        recipe: as of :meth:`~resight.training.recipe.Recipe.essence`.
        data: the fingerprints of data and teachers.

    Raises:
        TrainingError: it is damaged, or of another recipe (the first differing line is named) or other data.
    """
    try:
        state = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise TrainingError(
            f"{path} is not a complete checkpoint ({unreadable(error)}): start again with another --output."
        ) from None
    try:  # with today's defaults of the settings that came since: they are what was done
        before: Recipe | None = recipes.parse(yaml.safe_load(state.recipe)).essence()
    except (RecipeError, yaml.YAMLError):
        before = None
    if before is None or not (before == recipe or continues(before, recipe)):
        raise TrainingError(_differs(path, state.recipe if before is None else before.yaml(), recipe.yaml()))
    if state.data != data:
        raise TrainingError(
            f"{path} was made with other data ({state.data}, now {data}): use those, or another --output."
        )
    return state


def continues(before: Recipe, now: Recipe) -> bool:
    """Whether ``now`` is ``before`` with more epochs, and its first epochs are those of ``before``.

    The last phase may be longer unless its learning rate falls along a cosine to the phase's end, and phases may be
    added behind it.
    """
    last = len(before.phases) - 1
    if len(now.phases) <= last or now.classifies != before.classifies:
        return False
    ended, kept = before.phases[last], now.phases[last]
    if kept.epochs > ended.epochs and ended.schedule != "cosine":
        kept = kept.model_copy(update={"epochs": ended.epochs})
    return now.model_copy(update={"phases": (*now.phases[:last], kept)}) == before


def _differs(path: Path, written: str, now: str) -> str:
    old, new = written.splitlines(), now.splitlines()
    pair = next(((a, b) for a, b in zip(old, new, strict=False) if a != b), ("more lines", "fewer lines"))
    cure = "use that recipe, or another --output."
    if all(line.lstrip(" -").startswith("epochs:") for line in pair):
        cure = "the learning rate of this phase depends on its length: add a phase instead, or use another --output."
        before, after = (int(line.partition(":")[2]) for line in pair)
        if after < before:
            cure = f"a run cannot be shortened: set {before} epochs or more, or use another --output."
    return f"{path} was made with another recipe ({pair[0].strip()!r} there, {pair[1].strip()!r} now): {cure}"
