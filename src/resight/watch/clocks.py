"""Cameras whose clocks differ: the difference, from people who would have been in two places at once.

Two tracks of different cameras that look alike by far are mostly of one person. With right
clocks none of these pairs overlaps in time (cameras whose views overlap are left out). If many do, there may be a shift
of one camera's clock with which nearly all become possible. A pair forbids shifts between two bounds: the person would
be in both places at once, or would have been too fast. The best shift is forbidden by the fewest pairs and leaves the
shortest times between cameras; it is the middle of the range in which that does not change, so half of the shortest
walk there and back is its accuracy.

In a crowd most tracks that look alike by far may be of strangers, and one shift or another makes a few of these
possible by chance. How often strangers look alike is known from tracks of one camera at the same time, whatever its
clock. Nothing is said where they may be more than half of all pairs that look alike.

People must walk both ways. If all walk from a to b, a later clock and a longer walk look the same, and nothing is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings
from resight.retrieval.ranking.within import matches_within
from resight.watch.link import WORLD, Rules, Sighted, codes
from resight.watch.travel import cannot_be_one

LEAST = 4  # pairs of a camera with another one that must be impossible before anything is said
SURE = 0.7  # of the threshold: tracks that are nearer look alike by far
STRANGERS = 0.5  # of the pairs that look alike by far may be strangers, at most
EXACT = 2.0  # seconds; smaller differences are not reported
USUAL = 30.0  # seconds; longer walks count little when shifts are compared
OUTLIER = 0.05  # the weight of a pair that a shift forbids, or that is hours apart


@dataclass(frozen=True)
class Shift:
    """The clock of a camera differs from those of most others.

    Attributes:
        camera: whose clock; ``seconds``: what must be added to its times.
        partner: the camera with which it was compared; ``pairs``: tracks of the two that look alike.
        before, after: how many of these pairs are impossible without and with all shifts.
    """

    camera: str
    seconds: float
    partner: str
    pairs: int
    before: int
    after: int

    def __str__(self) -> str:
        late = "behind" if self.seconds > 0 else "ahead of"
        return (
            f"the clock of camera {self.camera} is about {abs(self.seconds):.0f} s {late} the others: of {self.pairs} "
            f"pairs of tracks that look alike there and at {self.partner}, {self.before} are impossible, and "
            f"{self.after} with this corrected. Links are made with corrected times; records keep theirs."
        )


def clock_shifts(
    vectors: NDArray[np.float32], metric: str, threshold: float, seen: Sequence[Sighted], rules: Rules
) -> list[Shift]:
    """The cameras whose clocks differ from most others by more than ``EXACT`` seconds.

    Args:
        vectors: (T, D), one for each of ``seen``, which have times on one clock.
        metric, threshold, rules: as for :func:`resight.watch.link.link`.
    """
    timed = [at for at, one in enumerate(seen) if one.clock == WORLD]
    if not timed:
        return []
    known = [seen[at] for at in timed]
    near = matches_within(Embeddings(vectors[timed]), Embeddings(vectors[timed]), SURE * threshold, metric)
    left = np.repeat(np.arange(len(timed)), np.diff(near.offsets)).tolist()
    pairs = _across([(a, b) for a, b in zip(left, near.indices.tolist(), strict=True) if a < b], known)
    counts = Counter(one.camera for one in known)
    across = (len(known) ** 2 - sum(count**2 for count in counts.values())) / 2
    strangers = across * _share_of_strangers(left, near.indices.tolist(), known)
    if strangers > STRANGERS * sum(map(len, pairs.values())):
        return []
    waiting = sorted(counts, key=lambda name: (-counts[name], name))
    add = {waiting.pop(0): 0.0}
    facts: list[tuple[str, str, int, int, int]] = []
    while reached := [
        (new, old) for new in waiting for old in add if len(pairs.get(frozenset((new, old)), ())) >= LEAST
    ]:
        new, old = max(reached, key=lambda two: len(pairs[frozenset(two)]))
        waiting.remove(new)
        both = pairs[frozenset((new, old))]
        ordered = [(a, b) if known[b].camera == new else (b, a) for a, b in both]
        moved = [(_moved(known[a], add[old]), _moved(known[b], add[old])) for a, b in ordered]
        shift = None if frozenset((new, old)) in rules.overlap else _shift(moved, rules.travel)
        add[new] = add[old] + (0.0 if shift is None else shift[0])
        if shift is not None:
            facts.append((new, old, len(both), *shift[1:]))
    usual = max(add.values(), key=lambda one: sum(abs(one - other) <= EXACT for other in add.values()))
    found = []
    for name, seconds in add.items():
        own = [fact for fact in facts if name in fact[:2]]
        if abs(seconds - usual) > EXACT and own:
            new, old, *numbers = own[0]
            found.append(Shift(name, seconds - usual, old if name == new else new, *numbers))
    return found


def corrected(seen: Sequence[Sighted], shifts: Sequence[Shift]) -> list[Sighted]:
    """Sightings with corrected times."""
    add = {shift.camera: shift.seconds for shift in shifts}
    return [_moved(one, add.get(one.camera, 0.0)) if one.clock == WORLD else one for one in seen]


def _moved(one: Sighted, seconds: float) -> Sighted:
    return replace(one, begin=one.begin + seconds, end=one.end + seconds) if seconds else one


def _across(pairs: Sequence[tuple[int, int]], seen: Sequence[Sighted]) -> dict[frozenset[str], list[tuple[int, int]]]:
    """Pairs of tracks by their two cameras, without those of one camera."""
    found: dict[frozenset[str], list[tuple[int, int]]] = {}
    for a, b in pairs:
        if seen[a].camera != seen[b].camera:
            found.setdefault(frozenset((seen[a].camera, seen[b].camera)), []).append((a, b))
    return found


def _share_of_strangers(left: Sequence[int], right: Sequence[int], seen: Sequence[Sighted]) -> float:
    """The share of the pairs of one camera at the same time that look alike by far; with few pairs near 1%."""
    camera = codes([one.camera for one in seen])
    once = cannot_be_one(seen, Rules()) & (camera[:, None] == camera)
    return (int(once[left, right].sum()) + 1) / (int(once.sum()) + 100)


def _shift(pairs: Sequence[tuple[Sighted, Sighted]], travel: float) -> tuple[float, int, int] | None:
    """What to add to the times of the second ones, and how many pairs are impossible without and with it."""
    low = np.array([a.begin - b.end - travel for a, b in pairs])  # at most this: the second comes first
    high = np.array([a.end - b.begin + travel for a, b in pairs])  # at least this: the first comes first

    def clash(shift: float) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (low < shift) & (shift < high)
        return found

    before = int(clash(0.0).sum())
    if before < LEAST:
        return None

    def score(shift: float) -> float:
        pause = np.where(shift >= high, shift - high, low - shift)
        fits = np.where(clash(shift), 0.0, 1 / (1 + np.maximum(pause, 0) / USUAL) ** 2)
        return float(np.log(OUTLIER + (1 - OUTLIER) * fits).sum())

    ends = np.concatenate([low, high])
    best = float(max(ends, key=score))
    after = int(clash(best).sum())
    ways = int((best >= high).sum()), int((best <= low).sum())
    if after > before / 3 or min(ways) < 2:
        return None
    fits = ~clash(best)
    bottom = high[fits & (best >= high)].max()
    top = low[fits & (best <= low)].min()
    return float(bottom + top) / 2, before, after
