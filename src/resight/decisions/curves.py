"""Error curves, the equal error rate, and thresholds for a wanted false-match rate.

At a threshold t a pair is taken for a match if its distance is at most t. With the pairs of
:class:`resight.decisions.pairs.Pairs`,

- FMR(t), the false-match rate, is the share of impostor pairs within t;
- FNMR(t), the false-non-match rate, is the share of genuine pairs beyond t (ISO/IEC 19795-1);
- EER is where the two are equal.

Shape letters: ``P`` points of a curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # which imports its parts when they are first used
from numpy.typing import NDArray

from resight.decisions.pairs import Pairs, end_of, step_of

NOTHING = -1.0
"""A threshold within which there is no pair at all."""


@dataclass(frozen=True, eq=False)
class Curve:
    """FMR and FNMR at growing thresholds.

    Attributes:
        thresholds: (P,) float64; the first is :data:`NOTHING`, the last holds every pair.
        fmr: (P,) float64 from 0 to 1.
        fnmr: (P,) float64 from 1 to 0.
    """

    thresholds: NDArray[np.float64]
    fmr: NDArray[np.float64]
    fnmr: NDArray[np.float64]

    def det(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """FMR and FNMR as normal deviates, without the points where either is 0 or 1.

        Two normal distributions of distances give a straight line (Martin et al., "The DET curve in assessment of
        detection task performance", Eurospeech 1997).
        """
        inside = (self.fmr > 0) & (self.fmr < 1) & (self.fnmr > 0) & (self.fnmr < 1)
        return scipy.special.ndtri(self.fmr[inside]), scipy.special.ndtri(self.fnmr[inside])

    def eer(self) -> tuple[float, float]:
        """The equal error rate, on the straight line between the two points around it, and the threshold there."""
        at = int(np.argmax(self.fmr >= self.fnmr))  # the last point has 1 and 0, the first 0 and 1
        before, after = self.fnmr[at - 1] - self.fmr[at - 1], self.fmr[at] - self.fnmr[at]
        share = before / (before + after)
        rate = self.fmr[at - 1] + share * (self.fmr[at] - self.fmr[at - 1])
        return float(rate), float(self.thresholds[at])

    def thinned(self, points: int = 200) -> Curve:
        """About ``points`` of the points: the ends, and as many as fit in equal steps of the two normal deviates."""
        if len(self.thresholds) <= points:
            return self
        tiny = 1e-9
        fmr, fnmr = (scipy.special.ndtri(np.clip(rate, tiny, 1 - tiny)) for rate in (self.fmr, self.fnmr))
        path = fmr - fnmr
        kept = np.unique(np.searchsorted(path, np.linspace(path[0], path[-1], points)))
        kept = np.unique(np.concatenate([[0], kept, [len(path) - 1]]))
        return Curve(self.thresholds[kept], self.fmr[kept], self.fnmr[kept])


def curve(pairs: Pairs) -> Curve:
    """The curve through every step of distance that holds a pair; at least one of either kind is needed."""
    steps = np.union1d(np.flatnonzero(pairs.impostors), step_of(pairs.genuine))
    thresholds = end_of(steps)
    within = np.cumsum(pairs.impostors[steps])
    fmr = within / within[-1]
    return Curve(
        np.concatenate([[NOTHING], thresholds.astype(np.float64)]),
        np.concatenate([[0.0], fmr]),
        np.concatenate([[1.0], fnmr(pairs, thresholds)]),
    )


def fmr(pairs: Pairs, thresholds: NDArray[np.float32]) -> NDArray[np.float64]:
    """FMR at each of (T,) thresholds, which must be ends of steps."""
    within = np.cumsum(pairs.impostors)
    share: NDArray[np.float64] = within[step_of(thresholds)] / within[-1]
    return share


def fnmr(pairs: Pairs, thresholds: NDArray[np.float32]) -> NDArray[np.float64]:
    """FNMR at each of (T,) thresholds."""
    return 1 - np.searchsorted(np.sort(pairs.genuine), thresholds, "right") / len(pairs.genuine)


def threshold_at(impostors: NDArray[np.int64], rate: float, copies: int = 1) -> float | None:
    """The largest threshold at which a new impostor pair is taken for a match with probability at most ``rate``.

    With n impostor pairs, c of them within the threshold, that probability is at most (c + 1) / (n + 1) if the new pair
    is one like the others (exchangeable), so c + 1 <= rate (n + 1) is asked for.

    Args:
        impostors: (S,) counts of pairs per step of distance, at least one pair.
        rate: wanted false-match rate in (0, 1).
        copies: how many times each pair was counted.

    Returns:
        The end of a step; None where even a distance of 0 is too frequent, or there are too few pairs.
    """
    held = np.flatnonzero(impostors)
    within = np.cumsum(impostors[held])
    allowed = rate * (within[-1] + copies) - copies
    beyond = int(np.searchsorted(within, allowed + 1e-6, "right"))  # the first step that holds too many
    step = int(held[beyond] if beyond < len(held) else len(impostors)) - 1
    return float(end_of(step)[0]) if allowed >= -1e-6 and step >= 0 else None
