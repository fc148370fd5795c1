"""The probability that two images show the same one, from their distance.

What is learned is the log-likelihood ratio of a distance,

    llr(d) = log p(d | same) - log p(d | others),

which does not depend on how frequent genuine pairs are. The probability does:

    P(same | d) = s(llr(d) + log(p / (1 - p)))

with the logistic function s and the prior p, the share of genuine pairs among the pairs that are asked about. With the
default p = 1/2 it answers "is it more likely this identity or another one, with even prior odds?".

- ``isotonic``: the ratio of genuine to impostor pairs that falls with the distance and fits best, by pooling adjacent
  violators (Ayer et al. 1955; Brümmer and du Preez, "The PAV algorithm optimizes binary proper scoring rules", 2013;
  the same solution for every prior). One impostor pair is added at the near end and one genuine pair at the far end, so
  that no distance is ever taken for certain.
- ``logistic``: llr(d) = a - b d, the maximum-likelihood line with Platt's targets (1999), either class weighing 1/2.

Shape letters: ``K`` knots, ``N`` distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.decisions.pairs import Pairs, middle_of, step_of
from resight.errors import DataError
from resight.retrieval.ranking.arguments import number

Method = Literal["isotonic", "logistic"]
METHODS: tuple[str, ...] = get_args(Method)
_FLAT = 1e-6  # a slope, in standard deviations, that is none
PIECES = 128  # distances are first gathered into as many pieces of equal weight; fewer are left when they are pooled

Knots = tuple[tuple[float, float], ...]
"""(distance, log-likelihood ratio) with growing distances; straight lines between them, constant outside."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predicted against observed probabilities: on the diagonal where the predictions mean what they say.

    Attributes:
        predicted: (R,) mean predicted probability of the pairs in each bin that holds some.
        observed: (R,) share of genuine pairs among them.
        weight: (R,) share of all pairs that are in the bin, at the prior.
        prior: the share of genuine pairs that all of it is for.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    weight: NDArray[np.float64]
    prior: float

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |observed - predicted|, by weight."""
        return float((self.weight * np.abs(self.observed - self.predicted)).sum())


def fit(pairs: Pairs, method: str = "isotonic") -> Knots:
    """The log-likelihood ratio of a distance, learned from pairs of either kind.

    Raises:
        DataError: an unknown method.
    """
    if method not in METHODS:
        raise DataError(f"There is no probability method {method!r}: choose one of {', '.join(METHODS)}.")
    distances, genuine, impostors = _histogram(pairs)
    knots = (isotonic if method == "isotonic" else logistic)(distances, genuine, impostors)
    return tuple((float(f"{d:.6g}"), float(f"{ratio:.6g}")) for d, ratio in knots)


def log_likelihood_ratio(knots: Knots, distances: ArrayLike) -> NDArray[np.float64]:
    """The ratio at any distances, of their shape."""
    where, values = np.array(knots).T
    ratio: NDArray[np.float64] = np.interp(np.asarray(distances, np.float64), where, values)
    return ratio


def slope_at(knots: Knots, distance: float) -> float:
    """How fast the ratio falls with the distance, from half of one to one and a half of it; at least 1 over it."""
    near, far = log_likelihood_ratio(knots, [0.5 * distance, 1.5 * distance])
    return max(float(near - far), 1.0) / distance


def probability(knots: Knots, distances: ArrayLike, prior: float = 0.5) -> NDArray[np.float64]:
    """The probability of "same" at any distances, of their shape.

    Raises:
        DataError: a prior that is not between 0 and 1.
    """
    advice = "choose the share of genuine pairs, a number between 0 and 1"
    prior = number("The prior", prior, advice, lambda share: 0 < share < 1)
    odds = log_likelihood_ratio(knots, distances) + np.log(prior / (1 - prior))
    found: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -odds))
    return found


def isotonic(
    distances: NDArray[np.float64], genuine: NDArray[np.int64], impostors: NDArray[np.int64]
) -> list[tuple[float, float]]:
    """Knots of the falling ratio that fits best, one in the middle of each pool.

    Args:
        distances: (N,) ascending.
        genuine, impostors: (N,) how many pairs of either kind have that distance; some of each, none has neither.
    """
    weight = genuine / (2 * genuine.sum()) + impostors / (2 * impostors.sum())
    piece = np.minimum(((np.cumsum(weight) - weight) * PIECES).astype(np.int64), PIECES - 1)
    starts = np.flatnonzero(np.diff(piece, prepend=-1))
    near, far = np.array([0]), np.array([1])
    same = np.concatenate([near, np.add.reduceat(genuine, starts), far])
    others = np.concatenate([far, np.add.reduceat(impostors, starts), near])
    heavy = np.concatenate([[0.0], np.add.reduceat(weight, starts), [0.0]])
    moment = np.concatenate([[0.0], np.add.reduceat(weight * distances, starts), [0.0]])
    edges = pool_adjacent_violators(same, others)
    same, others, heavy, moment = (np.add.reduceat(one, edges) for one in (same, others, heavy, moment))
    ratio = np.log(same / (genuine.sum() + 1)) - np.log(others / (impostors.sum() + 1))
    return list(zip((moment / heavy).tolist(), ratio.tolist(), strict=True))


def pool_adjacent_violators(genuine: NDArray[np.int64], impostors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where pools start, so that the ratio of genuine to impostor pairs falls strictly from pool to pool.

    This is the falling sequence p with the least sum over pairs of (p - 1 for genuine, 0 for impostor)^2, p being a
    pool's share of genuine pairs.

    Args:
        genuine, impostors: (N,) counts in order of distance, N >= 1; none has neither.

    Returns:
        (K,) int64 indices into the counts, the first is 0.
    """
    from scipy.optimize import isotonic_regression  # is imported where something is fitted, not wherever a decision is

    found = isotonic_regression(genuine / (genuine + impostors), weights=genuine + impostors, increasing=False)
    starts: NDArray[np.int64] = found.blocks[:-1].astype(np.int64)
    same, others = (np.add.reduceat(one, starts) for one in (genuine, impostors))
    falls = same[1:] * others[:-1] < same[:-1] * others[1:]  # in whole numbers: equal shares may differ by rounding
    kept: NDArray[np.int64] = starts[np.concatenate([[True], falls])]
    return kept


def logistic(
    distances: NDArray[np.float64], genuine: NDArray[np.int64], impostors: NDArray[np.int64]
) -> list[tuple[float, float]]:
    """Knots at both ends of the line a - b d; arguments as for :func:`isotonic`.

    A single knot at 0 where distance says nothing, or the contrary of what it should.
    """
    from sklearn.linear_model import LogisticRegression

    same, others = genuine / (2 * genuine.sum()), impostors / (2 * impostors.sum())
    weight = same + others
    middle = float((weight * distances).sum())
    spread = float(np.sqrt((weight * (distances - middle) ** 2).sum()))
    if len(distances) == 1 or not spread:
        return [(middle, 0.0)]
    nearness = (middle - distances) / spread
    high, low = (genuine.sum() + 1) / (genuine.sum() + 2), 1 / (impostors.sum() + 2)
    wanted = same * high + others * low  # each distance counts as "same" with this weight, as "others" with the rest
    line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(
        np.concatenate([nearness, nearness])[:, None],
        np.repeat([1, 0], len(distances)),
        np.concatenate([wanted, weight - wanted]),
    )
    slope, level = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope <= _FLAT:
        return [(middle, 0.0)]
    ends = distances[[0, -1]]
    return list(zip(ends.tolist(), (level + slope * (middle - ends) / spread).tolist(), strict=True))


def reliability(pairs: Pairs, knots: Knots, prior: float = 0.5, bins: int = 10) -> Reliability:
    """How well the probabilities fit pairs, in bins of equal width."""
    distances, genuine, impostors = _histogram(pairs)
    predicted = probability(knots, distances, prior)
    same = prior * genuine / genuine.sum()
    weight = same + (1 - prior) * impostors / impostors.sum()
    place = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    parts = (weight, same, weight * predicted)
    total, right, predicted_sum = (np.bincount(place, weights=one, minlength=bins).astype(np.float64) for one in parts)
    some = total > 0
    return Reliability(predicted_sum[some] / total[some], right[some] / total[some], total[some], prior)


def _histogram(pairs: Pairs) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """(N,) distances of the steps that hold pairs, and how many of either kind."""
    steps, counts = np.unique(step_of(pairs.genuine), return_counts=True)
    both = np.union1d(steps, np.flatnonzero(pairs.impostors))
    genuine = np.zeros(len(both), np.int64)
    genuine[np.searchsorted(both, steps)] = counts
    return middle_of(both), genuine, pairs.impostors[both]
