"""The state of a run after an epoch, kept so that it can go on as if nothing had happened."""

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

    def save(self, path: Path) -> None:
        """Write the checkpoint; the previous one stays until this one is whole."""
        with atomic_path(path) as temporary:
            try:
                torch.save(self.__dict__, temporary)
            except RuntimeError as error:  # torch reports a full disk so
                raise OSError(str(error).splitlines()[0]) from None


def read(path: Path, recipe: str, data: str) -> Checkpoint:
    """The checkpoint of an interrupted run, if it is of this very recipe and data.

    Raises:
        TrainingError: it is damaged, or of another recipe (the first differing line is named) or other data.
    """
    try:
        state = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise TrainingError(
            f"{path} is not a whole checkpoint ({unreadable(error)}): start again with another --output."
        ) from None
    written = _with_todays_defaults(state.recipe)
    if written != recipe:
        old, new = written.splitlines(), recipe.splitlines()
        pair = next(((a, b) for a, b in zip(old, new, strict=False) if a != b), ("more lines", "fewer lines"))
        raise TrainingError(
            f"{path} was made with another recipe ({pair[0].strip()!r} there, {pair[1].strip()!r} now): "
            "use that recipe, or another --output."
        )
    if state.data != data:
        raise TrainingError(
            f"{path} was made with other data ({state.data}, now {data}): use those, or another --output."
        )
    return state


def _with_todays_defaults(written: str) -> str:
    """A resolved recipe of an earlier version, with the settings that came since: their defaults are what was done."""
    try:
        return recipes.parse(yaml.safe_load(written)).essence().yaml()
    except (RecipeError, yaml.YAMLError):
        return written
