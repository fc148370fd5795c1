"""What is known of public models: one YAML file in ``entries/`` for each.

Addresses, sizes and hashes are as published; what is not published is not entered.
"""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatch
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from resight.errors import ModelError
from resight.models.card import About, Card, Licences, Preprocessing

PREFIX = "zoo:"
Digest = Annotated[str, Field(pattern="^[0-9a-f]+$")]


class File(BaseModel):
    """One file of a model: its name here, its address, its size and one of two hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    url: str
    bytes: int = Field(gt=0)
    sha256: Digest | None = Field(None, min_length=64, max_length=64)
    sha384: Digest | None = Field(None, min_length=96, max_length=96)

    @model_validator(mode="after")
    def _one_hash(self) -> File:
        if (self.sha256 is None) == (self.sha384 is None):
            raise ValueError("give sha256 or sha384")
        return self

    @property
    def hash(self) -> tuple[str, str]:
        """The name of the hash function and the expected digest."""
        return ("sha256", self.sha256) if self.sha256 else ("sha384", self.sha384 or "")


class Entry(BaseModel):
    """A public model.

    Attributes:
        title: its name, and who published it.
        kind: what it does; only ``re-id`` models embed.
        published: figures as published, in words.
        measured: ours, in words, with the command.
        parameters_millions, gflops: as published; 10^9 operations per image, of which a multiply-add is two.
        licences: of code, weights and training data.
        preprocessing, metric: of the card, for re-ID models.
        note: what a user should know.
        files: the first one is the model, the others belong beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    kind: Literal["re-id", "detector", "attributes"]
    published: str = ""
    measured: str = ""
    parameters_millions: float | None = None
    gflops: float | None = None
    licences: Licences
    preprocessing: Preprocessing | None = None
    metric: Literal["euclidean", "cosine"] = "cosine"
    note: str = ""
    files: tuple[File, ...] = Field(min_length=1)

    def card(self) -> Card:
        """The card of a re-ID model, still without length and fingerprint."""
        return Card(
            architecture="exported",
            preprocessing=self.preprocessing or Preprocessing(),
            metric=self.metric,
            trained_on=self.licences.data,
            licences=self.licences,
            about=About(title=self.title, limits=self.note),
        )


def names(pattern: str = "*") -> list[str]:
    """The names of all entries that match a shell pattern, sorted."""
    return sorted(name for name in _files() if fnmatch(name, pattern))


def entry(name: str) -> Entry:
    """The entry of a name, with or without ``zoo:``.

    Raises:
        ModelError: no such entry; the nearest name is suggested.
    """
    name = name.removeprefix(PREFIX)
    if name not in _files():
        near = get_close_matches(name, _files(), n=1)
        hint = f"did you mean {near[0]}?" if near else "resight models list --zoo shows all."
        raise ModelError(f"The zoo has no model {name!r}: {hint}")
    return Entry.model_validate(_files()[name])


@cache
def _files() -> dict[str, Any]:
    folder = resources.files("resight.models.zoo") / "entries"
    found = {item.name: item.read_text(encoding="utf-8") for item in folder.iterdir() if item.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): yaml.safe_load(text) for name, text in found.items()}
