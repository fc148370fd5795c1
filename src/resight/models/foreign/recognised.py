"""What a published checkpoint is: architecture and arguments read off its keys and shapes, and what it cannot say.

One file of this package reads one family. Each has ``recognise(tensors, asked)``, which returns a :class:`Recognised`
or None where the tensors are of another family.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from resight.errors import ModelError


@dataclass(frozen=True)
class Unsaid:
    """A value that a file cannot say.

    Attributes:
        name: argument of the network or field of the preprocessing; it can be overridden under this name.
        value: what is taken.
        source: why: where the published code or configuration has it, or "given".
    """

    name: str
    value: Any
    source: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value} ({self.source})"


@dataclass(frozen=True)
class Recognised:
    """A checkpoint under the names of a registered network.

    Attributes:
        family: what people call it.
        architecture, arguments: what :func:`resight.models.create` takes.
        preprocessing: fields that differ from the architecture's own.
        tensors: those of the network, under its keys.
        dropped: keys of the file that are not needed to embed, such as classifiers.
        unsaid: what the file does not say, with the value taken.
        filled: parts that the file does not have and that change nothing, such as the neck of a bare trunk.
        licence: of the weights, where all files of the family have the same.
        metric: by which the family's own test compares.
    """

    family: str
    architecture: str
    arguments: dict[str, Any]
    tensors: dict[str, Tensor]
    preprocessing: dict[str, Any] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    unsaid: tuple[Unsaid, ...] = ()
    filled: tuple[str, ...] = ()
    licence: str = "unknown"
    metric: Literal["euclidean", "cosine"] = "cosine"


class Asked:
    """Values that the caller gives; each may be used once, and what is left over is refused."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left = dict(values)
        self.unsaid: list[Unsaid] = []

    def value(self, name: str, default: Any, source: str) -> Any:
        """The given value, or ``default``; either is noted as unsaid by the file."""
        value, source = (self._left.pop(name), "given") if name in self._left else (default, source)
        self.unsaid.append(Unsaid(name, value, source))
        return value

    def get(self, name: str) -> Any:
        """The given value or None, without a note."""
        return self._left.pop(name, None)

    def pictures(self, mean: Sequence[float], std: Sequence[float], source: str) -> dict[str, Any]:
        """Colours and interpolation, as fields of the preprocessing."""
        resize = "torchvision's Resize of Pillow images in the published tests"
        return {
            "mean": self.value("mean", mean, source),
            "std": self.value("std", std, source),
            "interpolation": self.value("interpolation", "bilinear", resize),
        }

    def check_used(self, family: str) -> None:
        """Refuse values that the family has no use for.

        Raises:
            ModelError: one is left over.
        """
        if self._left:
            known = ", ".join(sorted({one.name for one in self.unsaid}))
            raise ModelError(
                f"A {family} checkpoint has no use for {', '.join(sorted(self._left))}: what can be given is {known}."
            )


def split(tensors: Mapping[str, Tensor], unneeded: Iterable[str]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors without those whose keys begin with one of ``unneeded``, and the keys left out."""
    beginnings = tuple(unneeded)
    kept = {key: value for key, value in tensors.items() if not key.startswith(beginnings)}
    return kept, tuple(key for key in tensors if key.startswith(beginnings))


def count(tensors: Mapping[str, Tensor], beginning: str) -> int:
    """How many different numbers follow ``beginning`` in the keys: blocks of a stage, stages of a trunk."""
    found = {key[len(beginning) :].split(".")[0] for key in tensors if key.startswith(beginning)}
    return len({part for part in found if part.isdigit()})


def add_neck(tensors: dict[str, Tensor], name: str, dim: int) -> str | None:
    """Give a bare trunk a BNNeck that changes nothing; the name of what was added."""
    if f"{name}.weight" in tensors:
        return None
    like = next(iter(tensors.values()))
    for key, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
        tensors[f"{name}.{key}"] = like.new_full((dim,), value)
    return name
