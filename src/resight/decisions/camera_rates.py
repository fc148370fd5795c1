"""What a decision does between each two cameras: one number over all of them may hide a pair that fails.

Shape letters: ``Q`` queries, ``G`` gallery, ``C`` cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.decisions.calibrate import both_sides
from resight.decisions.decide import Decision
from resight.decisions.pairs import collect, near_impostors
from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.ranking.protocols import Protocol, get
from resight.retrieval.ranking.rank import MEMORY


@dataclass(frozen=True)
class CameraRates:
    """What a decision does between two cameras.

    Attributes:
        cameras: the two, the smaller number first.
        genuine, impostors: how many different pairs.
        fmr, fnmr: the rates at the decision's threshold; None where there is no such pair.
    """

    cameras: tuple[int, int]
    genuine: int
    impostors: int
    fmr: float | None
    fnmr: float | None


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

    def between(q: NDArray[np.int64], g: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        a, b = seen_by[0][q], seen_by[1][g]
        return np.minimum(a, b), np.maximum(a, b)

    def tally(which: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.bincount(which[0] * count + which[1], minlength=count * count).reshape(count, count)

    false = np.zeros((count, count), np.int64)
    for q, g, _ in near_impostors(query, gallery, rules, decision.metric, decision.threshold, memory):
        false += tally(between(q, g))
    at = between(pairs.genuine_query, pairs.genuine_gallery)
    genuine, beyond = tally(at), pairs.genuine > np.float32(decision.threshold)
    missed = tally((at[0][beyond], at[1][beyond]))

    def share(part: NDArray[np.int64], whole: NDArray[np.int64], a: int, b: int) -> float | None:
        return float(part[a, b] / whole[a, b]) if whole[a, b] else None

    return tuple(
        CameraRates(
            (int(names[a]), int(names[b])),
            int(genuine[a, b]) // copies,
            int(impostors[a, b]) // copies,
            share(false, impostors, a, b),
            share(missed, genuine, a, b),
        )
        for a, b in np.argwhere(np.triu(genuine + impostors > 0)).tolist()
    )


def impostors_between(
    query: Embeddings, gallery: Embeddings, asked: NDArray[np.bool_], seen_by: list[NDArray[np.int64]], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many impostor pairs two cameras have, in either order, and how many identities each camera has seen.

    Args:
        query, gallery: embeddings with identities.
        asked: (Q,) which queries have an identity.
        seen_by: (Q,) and (G,) numbers of cameras in [0, count).
        count: C.

    Returns:
        (C, C) int64, above the diagonal and on it; (C,) int64.
    """
    assert query.identities is not None and gallery.identities is not None
    there = gallery.identities != JUNK
    totals = np.outer(np.bincount(seen_by[0][asked], minlength=count), np.bincount(seen_by[1][there], minlength=count))
    people = np.unique(query.identities[asked])
    images = []  # (identities, C) images of each identity in each camera
    for identities, cameras in zip((query.identities, gallery.identities), seen_by, strict=True):
        known = np.isin(identities, people) & (identities > DISTRACTOR)
        table = np.zeros((len(people), count), np.int64)
        np.add.at(table, (np.searchsorted(people, identities[known]), cameras[known]), 1)
        images.append(table)
    totals = totals - images[0].T @ images[1]
    return np.triu(totals + np.tril(totals, -1).T), ((images[0] + images[1]) > 0).sum(axis=0)
