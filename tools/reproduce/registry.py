"""Every number of the documentation that a command measures, as data: ``numbers.yaml``."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from string import Formatter

from pydantic import BaseModel, ConfigDict, Field

from resight.errors import RecipeError
from resight.yaml_text import read_yaml

NUMBERS = Path(__file__).with_name("numbers.yaml")
DATA = {
    "market1501": "../shared/data/Market-1501-v15.09.15.zip",
    "domains": "../shared/data/person_domains.zip",
    "vehicles": "../shared/data/two_camera_vehicles.zip",
    "course": "course",
    "weights": "../shared/weights",
}
"""Default locations of the data that commands name in braces; ``--data NAME=PATH`` gives another. ``course`` is the
folder that ``resight course build`` makes from Market-1501."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Part):
    """One number.

    Attributes:
        what: its place in the command's JSON, such as ``0.cmc.1``.
        value: as documented.
        within: accepted difference of a new evaluation, if not the entry's.
        shown: the pages that show it, each with the words that end with the number.
    """

    what: str
    value: float
    within: float | None = Field(None, ge=0)
    shown: dict[str, str] = Field(min_length=1)


class Entry(_Part):
    """Numbers that one command measures, and the commands that train what it measures.

    Attributes:
        about: a description.
        after: entries whose runs the training starts from.
        train: commands that make the run ``{run}`` with the seed ``{seed}``; empty if nothing is trained.
        evaluate: the command that prints the numbers as JSON.
        run: the folder of the run that was measured.
        minutes: duration of training and evaluation on two cores.
        within: accepted difference of a new evaluation of the same weights (rounding, differences between engines).
        spread: accepted difference of the mean over new trainings.
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
    content = read_yaml(NUMBERS)
    return {name: Entry.model_validate(entry) for name, entry in content.items()}


def entry(name: str) -> Entry:
    """One entry.

    Raises:
        RecipeError: no such name; the nearest one is suggested.
    """
    known = entries()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "--list shows all."
        raise RecipeError(f"numbers.yaml has no entry {name!r}: {hint}")
    return known[name]
