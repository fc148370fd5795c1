"""What other thresholds would do, from what a decision keeps of its calibration.

It keeps the rates of a few thresholds. Between two of them the false-match rate is interpolated on a logarithmic scale,
as it falls by powers of ten, and the miss rate on a straight one. Beyond the outermost nothing is known.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from resight.decisions.decide import Decision
from resight.server.schema import Rates

STEPS = 16  # from one measured threshold to the next


def curve(decision: Decision) -> list[Rates]:
    """Rates of thresholds, ascending; those that were measured are marked."""
    facts = decision.facts
    equal = facts.errors.eer.value
    known = {facts.errors.eer_threshold: (equal, equal)}
    known |= {
        point.threshold: (point.fmr.value, point.fnmr.value)
        for point in facts.errors.points
        if point.threshold is not None and point.fmr is not None and point.fnmr is not None
    }
    known[decision.threshold] = facts.fmr.value, facts.fnmr.value
    thresholds = sorted(known)
    false, missed = np.array([known[one] for one in thresholds]).T
    grid = [
        at + (beyond - at) * step / STEPS for at, beyond in pairwise(thresholds) for step in range(STEPS)
    ] + thresholds[-1:]
    logs = np.log10(np.maximum(false, 1 / facts.impostors / 10))  # none at all: a tenth of a pair
    between = np.where(
        np.isin(grid, thresholds), np.interp(grid, thresholds, false), 10 ** np.interp(grid, thresholds, logs)
    )
    misses = np.interp(grid, thresholds, missed)
    return [
        Rates(threshold=at, false_match_rate=one, miss_rate=other, measured=at in known)
        for at, one, other in zip(grid, between.tolist(), misses.tolist(), strict=True)
    ]
