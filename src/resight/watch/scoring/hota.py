"""HOTA (Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", IJCV 2021).

At each localisation threshold alpha = 0.05, 0.10, ..., 0.95 true and found boxes of a frame are matched one to one, so
that the sum of (how well their identities fit over all frames) x (overlap) is as large as it can be; pairs that overlap
by less than alpha are no matches (TP). Of a match c, A(c) = TPA / (TPA + FNA + FPA) says how well its two identities
fit: TPA matches have both, FNA true boxes only the one, FPA found boxes only the other. Then

    DetA = TP / (TP + FN + FP)        AssA = mean of A(c) over all matches       HOTA = sqrt(DetA AssA)

and each is averaged over alpha, as is LocA, the mean overlap of matches. Over several cameras an identity is one only
if it is the same in all of them.

Shape letters: ``A`` thresholds, ``T`` true and ``F`` found identities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from resight.watch.scoring.moments import EPSILON, Moments

ALPHAS = np.arange(0.05, 0.99, 0.05)  # (A,)


@dataclass(frozen=True)
class Hota:
    """HOTA and its parts, each in [0, 1] and averaged over the thresholds."""

    HOTA: float
    DetA: float
    AssA: float
    LocA: float


def hota(moments: Moments) -> Hota:
    """HOTA of found boxes against the true ones; 0 where either side is empty."""
    true_boxes = sum(len(one.true) for one in moments.frames)
    found_boxes = sum(len(one.found) for one in moments.frames)
    if not true_boxes or not found_boxes:
        return Hota(0.0, 0.0, 0.0, 1.0)
    fit, true_count, found_count = _fit(moments)
    matched = np.zeros((len(ALPHAS), moments.true, moments.found))
    overlap_sum = np.zeros(len(ALPHAS))
    for one in moments.frames:
        if not len(one.true) or not len(one.found):
            continue
        rows, columns = linear_sum_assignment(-fit[np.ix_(one.true, one.found)] * one.overlap)
        overlap = one.overlap[rows, columns]
        for at, alpha in enumerate(ALPHAS):
            good = overlap >= alpha - EPSILON
            matched[at, one.true[rows[good]], one.found[columns[good]]] += 1
            overlap_sum[at] += overlap[good].sum()
    TP = matched.sum((1, 2))  # (A,)
    of_pair = matched / np.maximum(1, true_count[:, None] + found_count[None] - matched)  # A(c), (A, T, F)
    association = (matched * of_pair).sum((1, 2)) / np.maximum(1, TP)
    detection = TP / np.maximum(1, true_boxes + found_boxes - TP)
    location = np.maximum(1e-10, overlap_sum) / np.maximum(1e-10, TP)
    means = (float(values.mean()) for values in (np.sqrt(detection * association), detection, association, location))
    return Hota(*means)


def _fit(moments: Moments) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How well each pair of identities fits (T, F) before boxes are matched, and how many boxes each identity has."""
    together = np.zeros((moments.true, moments.found))
    true_count, found_count = np.zeros(moments.true), np.zeros(moments.found)
    for one in moments.frames:
        true_count[one.true] += 1
        found_count[one.found] += 1
        either = one.overlap.sum(0)[None] + one.overlap.sum(1)[:, None] - one.overlap
        share = np.divide(one.overlap, either, out=np.zeros_like(one.overlap), where=either > EPSILON)
        together[np.ix_(one.true, one.found)] += share
    return together / (true_count[:, None] + found_count[None] - together), true_count, found_count
