"""What a check of a data set reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

PATHS = 5  # paths named in a finding
EXAMPLES = 20  # groups of images kept to look at
SHOTS = 8  # images of each

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        severity: ``"error"`` where numbers would be wrong or a run would stop, ``"warning"`` where it is for the
            reader to judge.
        what: what is wrong, with its number.
        where: the first few paths concerned.
        count: how many images, identities or pictures are concerned.
        cure: what to do.
        examples: groups of images to look at, such as a picture and its copies.
    """

    severity: Severity
    what: str
    where: tuple[str, ...]
    count: int
    cure: str
    examples: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.where) else ""
        where = f" ({', '.join(self.where)}{more})" if self.where else ""
        return f"{self.what}{where}: {self.cure}."

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def of_groups(severity: Severity, what: str, groups: Sequence[Sequence[str]], cure: str) -> Finding:
    """A finding about groups of images, one or more."""
    paths = [path for group in groups for path in group]
    shown = tuple(tuple(group[:SHOTS]) for group in groups[:EXAMPLES])
    return Finding(severity, what, tuple(paths[:PATHS]), len(groups), cure, shown)


def of_images(severity: Severity, what: str, paths: Iterable[str], cure: str) -> Finding:
    """A finding about single images, one or more; ``{}`` in ``what`` is their number."""
    every = [str(path) for path in paths]
    shown = tuple((path,) for path in every[:EXAMPLES])
    return Finding(severity, what.format(f"{len(every):,}"), tuple(every[:PATHS]), len(every), cure, shown)
