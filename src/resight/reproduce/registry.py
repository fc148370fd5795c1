"""Every number of the documentation that a command gives, as data: ``numbers.yaml``."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from string import Formatter

import yaml
from pydantic import BaseModel, ConfigDict, Field

from resight.errors import RecipeError

DATA = {
    "market1501": "../shared/data/Market-1501-v15.09.15.zip",
    "vehicles": "../shared/data/two_camera_vehicles.zip",
    "course": "course",
    "weights": "../shared/weights",
}
"""Where the data stands that commands name in braces, unless ``--data NAME=PATH`` says otherwise; ``course`` is what
``resight course build`` makes of Market-1501."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Part):
    """One number: where it stands in a command's JSON (``0.cmc.1``), its value, and where it is shown.

    ``within`` is how far a new evaluation may lie from it, where that differs from the entry's; ``shown`` holds the
    page and the words in it that end with the number.
    """

    what: str
    value: float
    within: float | None = Field(None, ge=0)
    shown: dict[str, str] = Field(min_length=1)


class Entry(_Part):
    """Some numbers that one command gives, and how to get there.

    Attributes:
        about: what they are.
        after: entries whose runs the training starts from.
        train: commands that make the run ``{run}`` with the seed ``{seed}``; empty where nothing is trained.
        evaluate: the command that prints the numbers as JSON.
        run: the folder of the run that was measured.
        minutes: what training and evaluation took on two cores.
        within: how far a new evaluation of the same weights may lie off: rounding, and the engines' last digits.
        spread: how far the mean over new trainings may lie off.
    """

    about: str
    after: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    evaluate: str
    run: str = ""
    minutes: dict[str, float]
    within: float = Field(2e-4, ge=0)
    spread: float = Field(0.0, ge=0)
    numbers: tuple[Number, ...] = Field(min_length=1)

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the data it needs."""
        named = {field for command in (*self.train, self.evaluate) for _, field, _, _ in Formatter().parse(command)}
        return tuple(name for name in DATA if name in named)


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """All entries by name."""
    content = yaml.safe_load(files("resight.reproduce").joinpath("numbers.yaml").read_text(encoding="utf-8"))
    return {name: Entry.model_validate(entry) for name, entry in content.items()}


def entry(name: str) -> Entry:
    """One entry.

    Raises:
        RecipeError: no such name; the nearest one is suggested.
    """
    known = entries()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "resight reproduce --list shows all."
        raise RecipeError(f"There is no number {name!r} to reproduce: {hint}")
    return known[name]
