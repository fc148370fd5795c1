"""What a decision does between each two cameras: one number over all of them may hide a pair that fails.

Shape letters: ``Q`` queries, ``G`` gallery, ``C`` cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.decisions.calibrate import both_sides
from resight.decisions.camera_pairs import impostors_between
from resight.decisions.decide import Decision
from resight.decisions.pairs import collect, near_impostors
from resight.records import Embeddings
from resight.retrieval.ranking.protocols import Protocol, get
from resight.retrieval.ranking.rank import MEMORY


@dataclass(frozen=True)
class CameraRates:
    """What a decision does between two cameras.

    Attributes:
        cameras: the two, the smaller number first.
        genuine, impostors: how many different pairs.
        fmr, fnmr: the rates at the threshold of all cameras; None where there is no such pair.
        threshold: the threshold of these two cameras; None where the calibration had too little data for one.
        own_fmr, own_fnmr: the rates at that threshold.
    """

    cameras: tuple[int, int]
    genuine: int
    impostors: int
    fmr: float | None
    fnmr: float | None
    threshold: float | None
    own_fmr: float | None
    own_fnmr: float | None


def camera_rates(
    decision: Decision,
    query: Embeddings,
    gallery: Embeddings,
    protocol: str | Protocol | None = None,
    memory: int = MEMORY,
) -> tuple[CameraRates, ...]:
    """The rates between each two cameras that share a pair, in order of the cameras; empty where cameras are unknown.

    Arguments and errors as for :func:`resight.decisions.report.measure_decisions`.
    """
    query, gallery, copies = both_sides((query, gallery))
    decision.check(query, gallery)
    if query.cameras is None or gallery.cameras is None:
        return ()
    rules = get(protocol or decision.protocol)
    pairs = collect(query, gallery, rules, decision.metric, memory, copies)
    names = np.union1d(query.cameras, gallery.cameras)
    seen_by = [np.searchsorted(names, one) for one in (query.cameras, gallery.cameras)]
    count = len(names)
    impostors, _ = impostors_between(query, gallery, pairs.asked, seen_by, count)
    own = np.full((count, count), np.nan, np.float32)
    for one in decision.camera_pairs:
        if np.isin(one.cameras, names).all():
            first, second = np.searchsorted(names, one.cameras)
            own[first, second] = one.threshold
    everywhere = np.full((count, count), decision.threshold, np.float32)

    def between(q: NDArray[np.int64], g: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        a, b = seen_by[0][q], seen_by[1][g]
        return np.minimum(a, b), np.maximum(a, b)

    def tally(which: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.bincount(which[0] * count + which[1], minlength=count * count).reshape(count, count)

    false = [np.zeros((count, count), np.int64) for _ in range(2)]
    limit = float(np.nanmax([decision.threshold, np.nanmax(own, initial=0.0)]))
    for q, g, distances in near_impostors(query, gallery, rules, decision.metric, limit, memory):
        at = between(q, g)
        for counts, thresholds in zip(false, (everywhere, own), strict=True):
            within = distances <= thresholds[at]
            counts += tally((at[0][within], at[1][within]))
    at = between(pairs.genuine_query, pairs.genuine_gallery)
    genuine = tally(at)
    missed = []
    for thresholds in (everywhere, own):
        beyond = ~(pairs.genuine <= thresholds[at])
        missed.append(tally((at[0][beyond], at[1][beyond])))

    def share(part: NDArray[np.int64], whole: NDArray[np.int64], a: int, b: int) -> float | None:
        return float(part[a, b] / whole[a, b]) if whole[a, b] else None

    found = []
    for a, b in np.argwhere(np.triu(genuine + impostors > 0)).tolist():
        has_own = bool(np.isfinite(own[a, b]))
        found.append(
            CameraRates(
                (int(names[a]), int(names[b])),
                int(genuine[a, b]) // copies,
                int(impostors[a, b]) // copies,
                share(false[0], impostors, a, b),
                share(missed[0], genuine, a, b),
                float(own[a, b]) if has_own else None,
                share(false[1], impostors, a, b) if has_own else None,
                share(missed[1], genuine, a, b) if has_own else None,
            )
        )
    return tuple(found)
