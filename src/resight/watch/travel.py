"""How long people take from one camera to the next: learnt from links, kept as a table, and used as evidence for links.

A person who leaves the view of camera a is seen next by camera b after some seconds. How often that happened is counted
in steps of time, for every pair of cameras. What a step says about two tracks is how much more frequent it is among
confirmed links than among all pairs of tracks that could follow one another:

    ratio(b, step | a) = p(b, step | a, next sighting of the same one) / p(b, step | a, any later track)

With few links of a pair of cameras the ratio is drawn towards that of all pairs, and with few links at all towards 1
(additive smoothing with ``PRIOR`` links). A track in a doubtful distance is linked where its time fits, and one in a
good distance is not where it does not fit.

Among many people links are wrong so often that they teach little. What all pairs have in common is then learnt without
links (:func:`surplus`): of the pairs of tracks with so much time between them, some look alike; some of these are
look-alikes, as many as among pairs that cannot be one individual; the rest are of one.

Shape letters: ``T`` tracks, ``S`` steps.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.files import write_text
from resight.records import Embeddings
from resight.retrieval.ranking.within import matches_within
from resight.watch.link import Rules, Sighted, codes, forbidden

STEPS = np.array([0.0, *(base * 2**power for power in range(17) for base in (1.0, 1.5)), np.inf])
"""Ends of the steps, in seconds; the first is what begins before the other ends."""
COLUMNS = ("from", "to", "after", "until", "links")
PRIOR = 15.0  # links that count for what is known beforehand
MOST = 3.0  # the largest logarithm of a ratio


@dataclass
class TravelTimes:
    """Counted links: how often one was seen by a camera, and next by another after so long.

    Attributes:
        links: (S,) float64 for each pair of cameras (from, to).
    """

    links: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)

    def add(self, earlier: str, later: str, seconds: float, count: float = 1.0) -> None:
        """Somebody left the camera ``earlier`` and was seen next by ``later`` after so many seconds."""
        steps = self.links.setdefault((earlier, later), np.zeros(len(STEPS)))
        steps[step_of(seconds)] += count

    def with_links(self, seen: Sequence[Sighted], links: Iterable[tuple[int, int]], weight: float = 1.0) -> TravelTimes:
        """A copy to which links (earlier, later) of sightings were added, each of so much weight."""
        found = TravelTimes({pair: steps.copy() for pair, steps in self.links.items()})
        for a, b in links:
            found.add(seen[a].camera, seen[b].camera, seen[b].begin - seen[a].end, weight)
        return found

    @property
    def total(self) -> float:
        """How many links there are."""
        return float(sum(steps.sum() for steps in self.links.values()))

    def write(self, path: Path) -> None:
        """As a table for people, ``from,to,after,until,links``: seconds, and how many links took so long."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        for (a, b), steps in sorted(self.links.items()):
            for at in np.flatnonzero(steps):
                after = "" if at == 0 else f"{STEPS[at - 1]:g}"
                until = "" if at == len(STEPS) - 1 else f"{STEPS[at]:g}"
                rows.writerow((a, b, after, until, f"{steps[at]:g}"))
        write_text(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> TravelTimes:
        """From such a table; a row may span several steps, which share its links.

        Raises:
            DataError: no such file, or a row that is none.
        """
        try:
            rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read ({error}): check the path, or leave it out.") from None
        if not rows or tuple(cell.strip() for cell in rows[0]) != COLUMNS:
            raise DataError(f"{path} is no table of travel times: its first line must be {','.join(COLUMNS)}.")
        found = cls()
        for number, row in enumerate(rows[1:], 2):
            if not any(cell.strip() for cell in row):
                continue
            try:
                a, b, after, until, links = (cell.strip() for cell in row)
                span = float(after or -np.inf), float(until or np.inf), float(links)
            except ValueError:
                raise DataError(f"Line {number} of {path} is not {','.join(COLUMNS)}: correct or delete it.") from None
            if not span[0] < span[1] or not 0 <= span[2] < np.inf:
                raise DataError(
                    f"Line {number} of {path} needs after < until and 0 or more links: correct or delete it."
                )
            inside = [at for at, end in enumerate(STEPS) if span[0] < end <= span[1]] or [step_of(span[1])]
            steps = found.links.setdefault((a, b), np.zeros(len(STEPS)))
            steps[inside] += span[2] / len(inside)
        return found


def step_of(seconds: float) -> int:
    """In which step a time is."""
    return int(np.searchsorted(STEPS, seconds, side="left"))


def evidence(
    times: TravelTimes,
    seen: Sequence[Sighted],
    context: Sequence[Sighted],
    rules: Rules,
    extra: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """(T, T) float32: the logarithm of the ratio for track i directly before track j; NaN where no time says anything.

    Args:
        times: the links.
        seen: T sightings.
        context: all pairs of these that the rules allow are what links are compared with.
        extra: (2, S) as :func:`surplus`, what is known besides of any two cameras.
    """
    names = sorted({one.camera for one in (*seen, *context)} | {name for pair in times.links for name in pair})
    count, steps = len(names), len(STEPS)
    cell, follows = _cells(context, names)
    follows &= ~cannot_be_one(context, rules)
    anybody = np.bincount(cell[follows], minlength=count * count * steps).reshape(count, count, steps)
    linked = np.zeros(anybody.shape)
    for (a, b), links in times.links.items():
        linked[names.index(a), names.index(b)] = links
    cell, follows = _cells(seen, names)
    more = np.zeros((2, steps)) if extra is None else extra
    found = _log_ratio(linked, anybody.astype(np.float64), more).reshape(-1)[cell].astype(np.float32)
    found[~follows] = np.nan
    return found


def _cells(seen: Sequence[Sighted], names: list[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """For tracks i, j the number of (camera of i, camera of j, step), and whether j begins later on the same clock."""
    camera = np.array([names.index(one.camera) for one in seen], np.int32)
    begin, end = (np.array([getattr(one, name) for one in seen], np.float64) for name in ("begin", "end"))
    clock = codes([one.clock for one in seen])
    follows = (begin[:, None] <= begin) & (clock[:, None] == clock) & (clock[:, None] >= 0)
    np.fill_diagonal(follows, False)
    step = np.searchsorted(STEPS, begin - end[:, None], side="left").astype(np.int32)
    return (camera[:, None] * np.int32(len(names)) + camera) * np.int32(len(STEPS)) + step, follows


def surplus(
    seen: Sequence[Sighted], vectors: NDArray[np.float32], metric: str, threshold: float, rules: Rules
) -> NDArray[np.float64]:
    """(2, S) about how many pairs of tracks are of one individual, by time: of one camera, and of two cameras.

    Args:
        seen: T sightings, with (T, D) ``vectors``.
        metric, threshold, rules: as for :func:`resight.watch.link.link`.
    """
    steps = len(STEPS)
    names = sorted({one.camera for one in seen})
    cell, follows = _cells(seen, names)
    apart = cannot_be_one(seen, rules)
    near = matches_within(Embeddings(vectors), Embeddings(vectors), threshold, metric)
    alike = np.zeros(apart.shape, np.bool_)
    alike[np.repeat(np.arange(len(seen)), np.diff(near.offsets)), near.indices] = True
    camera = np.array([names.index(one.camera) for one in seen])
    own = camera[:, None] == camera[None]
    found = np.zeros((2, steps))
    for at, kind in enumerate((own, ~own)):
        strangers = kind & apart
        rate = (int((alike & strangers).sum()) + 1) / (int(strangers.sum()) + 100)  # near 1% with few
        later = kind & follows & ~apart
        every, both = (np.bincount(cell[which] % steps, minlength=steps) for which in (later, later & alike))
        more = both - rate * every
        above = np.maximum(more, 0.0)
        found[at] = above * (max(0.0, float(more.sum())) / max(1e-9, float(above.sum())))
    return found


def cannot_be_one(seen: Sequence[Sighted], rules: Rules) -> NDArray[np.bool_]:
    """(T, T) which cannot be of one individual, whatever their names."""
    return forbidden([replace(one, name=None) for one in seen], rules)


def _log_ratio(
    linked: NDArray[np.float64], anybody: NDArray[np.float64], extra: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(cameras, cameras, S) logarithms of the ratio, from how many links and how many pairs there are of each kind."""
    share = (anybody + 0.5 / anybody.shape[-1]) / (anybody + 0.5 / anybody.shape[-1]).sum(axis=(1, 2), keepdims=True)
    expected = linked.sum(axis=(1, 2), keepdims=True) * share  # links of each kind if time said nothing
    own = np.eye(len(linked), dtype=bool)[..., None]
    general = np.ones_like(linked)
    usual = np.array([(anybody * kind).sum(axis=(0, 1)) for kind in (own, ~own)]) + 0.5 / anybody.shape[-1]
    usual *= extra.sum() / usual.sum()
    for kind, more, by_chance in zip((own, ~own), extra, usual, strict=True):  # the same camera again, or another one
        all_linked, all_expected = ((part * kind).sum(axis=(0, 1)) for part in (linked, expected))
        all_linked, all_expected = all_linked + more, all_expected + by_chance
        before = PRIOR * all_expected / max(1e-9, all_expected.sum())
        general = np.where(kind, (all_linked + before) / np.maximum(1e-9, all_expected + before), general)
    prior = PRIOR * share
    ratio = (linked + prior * general) / (expected + prior)
    clipped: NDArray[np.float64] = np.clip(np.log(np.maximum(ratio, 1e-9)), -MOST, MOST)
    return clipped
