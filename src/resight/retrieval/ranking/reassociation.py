"""Reassociation: who of those seen some frames later is the person in this box?

A query's candidates are the gallery images of its camera whose ``frames`` is the query's ``later_frames``. Fewer than
two candidates are no question, so such a query has no rank, like one whose identity is not among them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.rank import MatchRanks, check_sets


def ranks_among_later(query: Embeddings, gallery: Embeddings, metric: str) -> MatchRanks:
    """The rank of every true match of every query among its candidates.

    Args:
        query: Q embeddings with identities, cameras and the column ``later_frames``, (Q,) integers.
        gallery: G embeddings with identities, cameras and the column ``frames``, (G,) integers.
        metric: "euclidean" or "cosine".

    Raises:
        DataError: a missing column, or vectors that do not fit or that the metric cannot compare.
    """
    check_sets(query, gallery)
    later, at = _column(query, "query", "later_frames"), _column(gallery, "gallery", "frames")
    if query.identities is None or gallery.identities is None or query.cameras is None or gallery.cameras is None:
        raise DataError(
            "Query and gallery need identities and cameras for reassociation: pass both with both embeddings."
        )
    asked, there = np.stack([query.cameras, later], 1), np.stack([gallery.cameras, at], 1)
    places, which = np.unique(np.concatenate([asked, there]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    of_query, of_gallery = which[: len(query)], which[len(query) :]
    kept = np.flatnonzero(gallery.identities != JUNK)
    kept = kept[np.argsort(of_gallery[kept], kind="stable")]
    bounds = np.searchsorted(of_gallery[kept], np.arange(len(places) + 1))
    ranks: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(query)
    for place in np.unique(of_query).tolist():
        candidates = kept[bounds[place] : bounds[place + 1]]
        if len(candidates) < 2:
            continue
        rows = np.flatnonzero(of_query == place)
        distances = pairwise(query.vectors[rows], gallery.vectors[candidates], metric)
        order = np.argsort(distances, axis=1, kind="stable")
        for row, near in zip(rows.tolist(), order, strict=True):
            who = query.identities[row]
            if who > DISTRACTOR:
                ranks[row] = np.flatnonzero(gallery.identities[candidates[near]] == who) + 1
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in ranks])])
    return MatchRanks(np.concatenate([np.empty(0, np.int64), *ranks]), offsets)


def _column(embeddings: Embeddings, name: str, column: str) -> NDArray[np.int64]:
    values = embeddings.columns.get(column)
    if values is None or values.shape != (len(embeddings),) or values.dtype.kind not in "iu":
        raise DataError(
            f"The {name} embeddings have no column {column!r} of one whole number per image, needed here: "
            "load the data set mot, or pass columns={...}."
        )
    return values.astype(np.int64)
