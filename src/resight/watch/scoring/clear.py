"""CLEAR MOT (Bernardin and Stiefelhagen, EURASIP JIVP 2008): MOTA, MOTP and identity switches.

In each frame of a camera true and found boxes that overlap by at least one half are matched one to one: pairs that were
matched in the frame before first, then so that the sum of overlaps is largest. A switch is a true identity whose match
is another found identity than its last one.

    MOTA = 1 - (FN + FP + switches) / true boxes        MOTP = mean overlap of matches

Every camera is counted for itself: a switch is no matter of two cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from resight.watch.scoring.moments import EPSILON, Moment, Moments

SAME = 0.5  # intersection over union
KEPT = 1000.0  # what a pair of the frame before counts more


@dataclass(frozen=True)
class Clear:
    """What :func:`clear` found.

    Attributes:
        MOTA: at most 1; below 0 where there are more errors than true boxes. ``MOTP``: in [0, 1].
        switches, fragments: how often a true identity changes its found one, and how often it is lost and found again.
        matches, missed, wrong: TP, FN and FP, in boxes.
        mostly_tracked, mostly_lost: true identities that are matched in more than 80% or less than 20% of their boxes.
    """

    MOTA: float
    MOTP: float
    switches: int
    fragments: int
    matches: int
    missed: int
    wrong: int
    mostly_tracked: int
    mostly_lost: int


def clear(moments: Moments) -> Clear:
    """CLEAR of found boxes against the true ones; MOTA is 0 where there is nothing true."""
    parts = [_of_camera([one for one in moments.frames if one.camera == camera]) for camera in _cameras(moments)]
    total = np.sum([part[0] for part in parts], axis=0) if parts else np.zeros(7)
    switches, fragments, matches, missed, wrong, tracked, lost = (int(value) for value in total)
    overlap = sum(part[1] for part in parts)
    true = matches + missed
    return Clear(
        (matches - wrong - switches) / max(true, 1),
        overlap / max(matches, 1),
        switches,
        fragments,
        matches,
        missed,
        wrong,
        tracked,
        lost,
    )


def _cameras(moments: Moments) -> list[int]:
    return sorted({one.camera for one in moments.frames})


def _of_camera(frames: list[Moment]) -> tuple[list[int], float]:
    """Switches, fragments, TP, FN, FP, mostly tracked and mostly lost; and the sum of overlaps."""
    last: dict[int, int] = {}  # the last match of each true identity
    before: dict[int, int] = {}  # its match in the frame before
    seen: dict[int, int] = {}
    tracked: dict[int, int] = {}
    begun: dict[int, int] = {}
    switches = matches = missed = wrong = 0
    overlap = 0.0
    for one in frames:
        for who in one.true.tolist():
            seen[who] = seen.get(who, 0) + 1
        if not len(one.true) or not len(one.found):
            missed, wrong = missed + len(one.true), wrong + len(one.found)
            continue
        kept = np.array([before.get(who, -1) for who in one.true.tolist()])[:, None] == one.found[None]
        score = np.where(one.overlap < SAME - EPSILON, 0.0, KEPT * kept + one.overlap)
        rows, columns = linear_sum_assignment(-score)
        good = score[rows, columns] > EPSILON
        pairs = list(zip(one.true[rows[good]].tolist(), one.found[columns[good]].tolist(), strict=True))
        switches += sum(last.get(who, match) != match for who, match in pairs)
        for who, match in pairs:
            tracked[who] = tracked.get(who, 0) + 1
            begun[who] = begun.get(who, 0) + (who not in before)
            last[who] = match
        before = dict(pairs)
        matches += len(pairs)
        missed, wrong = missed + len(one.true) - len(pairs), wrong + len(one.found) - len(pairs)
        overlap += float(one.overlap[rows[good], columns[good]].sum())
    shares = np.array([tracked.get(who, 0) / count for who, count in seen.items()])
    ends = [int((shares > 0.8).sum()), int((shares < 0.2).sum())]
    return [switches, sum(count - 1 for count in begun.values()), matches, missed, wrong, *ends], overlap
