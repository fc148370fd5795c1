"""A decision for pictures that nobody labelled, from a few answers about chosen pairs of them.

Twenty answers cannot measure a rate of one in a thousand. But the distances of all pairs of N images are known without
any answer, and what the answers tell is which share of the pairs at a distance d show the same one (as in Welinder,
Welling and Perona, "A lazy man's approach to benchmarking", CVPR 2013):

    P(same | d) = s(b (m - d))

with the logistic function s. The middle m and the slope b have a broad prior around those of the calibration before;
the posterior is kept on a grid. Pairs may be chosen by their distance at will, because only what is given the distance
is learnt: what is asked next is where an answer is expected to tell the most about m and b (Houlsby et al., "Bayesian
active learning", arXiv 1112.5745). With P(same | d), each pair counts as genuine or impostor, and the decision is that
of :mod:`resight.decisions.answered`.

Shape letters: ``A`` answers, ``G`` points of the grid, ``N`` distances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, expit

from resight.decisions.answered import of_distances
from resight.decisions.decide import Decision
from resight.decisions.drift import reference
from resight.decisions.operating import needed
from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.evaluation.compare import Interval

Floats = NDArray[np.float64]
_MIDDLES, _SLOPES = 61, 13  # points of the grid
_WIDE, _STEEP = 0.7, 0.7  # deviations of the prior: of the logarithms of the middle and of the slope
_PIECES = 256  # what is believed is computed at about twice as many quantiles of all distances


@dataclass(frozen=True, eq=False)
class Belief:
    """What answers tell about P(same | d).

    Attributes:
        middles, slopes: (G,) values of m and b.
        weights: (G,) their probabilities, which add up to 1.
    """

    middles: Floats
    slopes: Floats
    weights: Floats

    def same(self, distances: ArrayLike) -> Floats:
        """(N,) expected P(same | d)."""
        values = np.asarray(distances, np.float64)[:, None]
        return expit(self.slopes * (self.middles - values)) @ self.weights  # type: ignore[no-any-return]

    def told(self, distances: ArrayLike) -> Floats:
        """(N,) how much an answer at each distance is expected to tell, in nats."""
        each = expit(self.slopes * (self.middles - np.asarray(distances, np.float64)[:, None]))  # (N, G)
        whole = each @ self.weights
        return entr(whole) + entr(1 - whole) - (entr(each) + entr(1 - each)) @ self.weights  # type: ignore[no-any-return]


def believe(distances: ArrayLike, same: ArrayLike, middle: float, slope: float) -> Belief:
    """What (A,) answers at (A,) distances tell; ``middle`` and ``slope`` are where the prior is centred."""
    m = middle * np.exp(_WIDE * np.linspace(-3, 3, _MIDDLES))
    b = slope * np.exp(_STEEP * np.linspace(-3, 3, _SLOPES))
    middles, slopes = (grid.ravel() for grid in np.meshgrid(m, b))
    log = -0.5 * (np.log(middles / middle) / _WIDE) ** 2 - 0.5 * (np.log(slopes / slope) / _STEEP) ** 2
    sign = np.where(np.asarray(same, np.bool_), 1.0, -1.0)
    odds = slopes * (middles - np.asarray(distances, np.float64).reshape(-1, 1))  # (A, G)
    log = log - np.logaddexp(0, -sign.reshape(-1, 1) * odds).sum(0)
    weights = np.exp(log - log.max())
    return Belief(middles, slopes, weights / weights.sum())


def most_telling(belief: Belief, distances: ArrayLike) -> Floats:
    """(N,) how much an answer at each of many distances is expected to tell, about."""
    values = np.asarray(distances, np.float64)
    levels = _levels(values)
    return np.interp(values, levels, belief.told(levels))


def decide_by(
    belief: Belief,
    distances: NDArray[np.float32],
    images: Embeddings,
    *,
    metric: str,
    false_match_rate: float,
    coverage: float,
    seed: int = 0,
) -> Decision:
    """The decision for all pairs of some images, each taken as the same or not with its probability.

    The rates of its facts come with intervals of 95% that are due to what the answers leave open.

    Args:
        belief: from the answers.
        distances: (N,) of all pairs.
        images: whose pairs they are.
        metric, false_match_rate, coverage: of the decision; ``seed``: of what the pairs are taken for.

    Raises:
        DataError: too few pairs of either kind.
    """
    levels = _levels(distances)
    share = np.interp(distances, levels, belief.same(levels))
    drawn = np.random.default_rng(seed).random(len(share)) < share
    genuine, impostors = distances[drawn], distances[~drawn]
    if len(impostors) < needed(false_match_rate):
        raise DataError(
            f"A false-match rate of {false_match_rate:g} needs at least {needed(false_match_rate):,} pairs of "
            f"different ones, but these {len(images):,} images have about {len(impostors):,}: add more images."
        )
    found = of_distances(
        genuine,
        impostors,
        reference(images, metric),
        metric=metric,
        fingerprint=images.fingerprint,
        false_match_rate=false_match_rate,
        coverage=coverage,
    )
    false, missed = rates(belief, distances, found.threshold, seed)
    return replace(found, facts=replace(found.facts, fmr=false, fnmr=missed))


def rates(belief: Belief, distances: NDArray[np.float32], threshold: float, seed: int = 0) -> tuple[Interval, Interval]:
    """FMR and FNMR of a threshold among all pairs, with 95% intervals by the belief."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(belief.weights), 200, p=belief.weights)
    edges = np.union1d(_levels(distances), [threshold])
    counts = np.histogram(distances, edges)[0]
    within = edges[1:] <= threshold
    centres = (edges[1:] + edges[:-1]) / 2
    each = expit(belief.slopes[chosen] * (belief.middles[chosen] - centres[:, None]))  # (bins, 200)
    others, same = counts[:, None] * (1 - each), counts[:, None] * each
    both = (others[within].sum(0) / others.sum(0), 1 - same[within].sum(0) / np.maximum(same.sum(0), 1e-12))
    false, missed = (Interval(float(one.mean()), *map(float, np.quantile(one, (0.025, 0.975)))) for one in both)
    return false, missed


def _levels(distances: NDArray[np.floating[Any]]) -> Floats:
    """Quantiles of distances, dense at the near end, where few are and where the threshold is."""
    return np.unique(np.quantile(distances, np.union1d(np.linspace(0, 1, _PIECES), np.geomspace(1e-6, 1, _PIECES))))
