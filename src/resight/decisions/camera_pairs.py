"""Thresholds of their own for pairs of cameras: one that looks into the sun is not like two in the same hall.

Shape letters: ``C`` cameras, ``P`` pairs of cameras, ``W`` steps of distance that hold near impostor pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.decisions.curves import threshold_at
from resight.decisions.operating import LEAST_IDENTITIES
from resight.decisions.pairs import Pairs, end_of, near_impostors, step_of
from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.evaluation.identity_bootstrap import Tally
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY

ENOUGH = 10
"""A pair of cameras needs ENOUGH / (false-match rate) different impostor pairs, and 20 identities in either camera."""
MOST_PAIRS = 128
_REACH = 10  # a pair's threshold may let through up to so many times the rate, over all cameras


@dataclass(frozen=True)
class CameraThreshold:
    """The threshold between two cameras.

    Attributes:
        cameras: the two, the smaller number first.
        threshold: the largest distance that keeps the wanted false-match rate between them.
        fnmr: the share of their genuine pairs beyond it; None where the protocol has none between them.
        impostors: how many different impostor pairs it stands on.
    """

    cameras: tuple[int, int]
    threshold: float
    fnmr: float | None
    impostors: int


def camera_thresholds(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    metric: str,
    pairs: Pairs,
    false_match_rate: float,
    memory: int = MEMORY,
) -> tuple[CameraThreshold, ...]:
    """A threshold for each pair of cameras that has enough data (see :data:`ENOUGH`), at most 128 of them.

    Empty where cameras are unknown or there is only one. A pair whose impostors are very far keeps the distance at
    which ten times the wanted rate is reached over all cameras.

    Arguments as for :func:`resight.decisions.operating.errors`.
    """
    if query.cameras is None or gallery.cameras is None:
        return ()
    assert query.identities is not None and gallery.identities is not None
    there = gallery.identities != JUNK
    names = np.union1d(query.cameras[pairs.asked], gallery.cameras[there])
    limit = threshold_at(pairs.impostors, min(0.5, _REACH * false_match_rate), pairs.copies)
    if len(names) < 2 or limit is None:
        return ()
    seen_by = [np.searchsorted(names, one) % len(names) for one in (query.cameras, gallery.cameras)]
    kept, totals = _with_enough(query, gallery, pairs, seen_by, names, false_match_rate)
    if not len(kept):
        return ()
    slot = np.full((len(names), len(names)), -1, np.int64)
    slot[kept[:, 0], kept[:, 1]] = slot[kept[:, 1], kept[:, 0]] = np.arange(len(kept))
    steps = np.flatnonzero(pairs.impostors[: int(step_of([limit])[0]) + 1])  # (W,)
    tally = Tally(len(kept) * len(steps))
    for q, g, distances in near_impostors(query, gallery, protocol, metric, limit, memory):
        of = slot[seen_by[0][q], seen_by[1][g]]
        tally.add((of * len(steps) + np.searchsorted(steps, step_of(distances)))[of >= 0])
    within = np.cumsum(tally.counts().reshape(len(kept), len(steps)), axis=1)
    genuine = slot[seen_by[0][pairs.genuine_query], seen_by[1][pairs.genuine_gallery]]
    found = []
    for place, (cameras, total, counts) in enumerate(zip(names[kept].tolist(), totals.tolist(), within, strict=True)):
        allowed = false_match_rate * (total + pairs.copies) - pairs.copies
        at = int(np.searchsorted(counts, allowed + 1e-6, "right"))  # the first step with too many
        if at == len(steps):
            threshold = limit
        elif steps[at] > 0:
            threshold = float(end_of(steps[at] - 1)[0])
        else:
            continue
        distances = pairs.genuine[genuine == place]
        fnmr = float((distances > np.float32(threshold)).mean()) if len(distances) else None
        found.append(CameraThreshold((cameras[0], cameras[1]), threshold, fnmr, total // pairs.copies))
    return tuple(found)


def _with_enough(
    query: Embeddings,
    gallery: Embeddings,
    pairs: Pairs,
    seen_by: list[NDArray[np.int64]],
    names: NDArray[np.int64],
    false_match_rate: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((P, 2) indices of two cameras, (P,) how many impostor pairs they have), in order of the cameras."""
    totals, identities_in = impostors_between(query, gallery, pairs.asked, seen_by, len(names))
    enough = totals / pairs.copies >= ENOUGH / false_match_rate
    enough &= (identities_in >= LEAST_IDENTITIES)[:, None] & (identities_in >= LEAST_IDENTITIES)[None, :]
    kept = np.argwhere(enough)
    largest = np.sort(np.argsort(-totals[enough], kind="stable")[:MOST_PAIRS])
    return kept[largest], totals[enough][largest]


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
