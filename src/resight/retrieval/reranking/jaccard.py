"""The k-reciprocal Jaccard distances of all images to one another, sparse: what unlabelled images are clustered by.

Zhong et al. 2017 (:mod:`resight.retrieval.reranking.reciprocal`) in the form that adaptation without labels uses it
(SpCL, Cluster Contrast; ``faiss_rerank.py`` of both): vectors of length one, the image itself counted among its ``k1``
neighbours, and weights exp(-|x - y|^2) that are not divided by the row's largest distance.

Most pairs share no neighbour, and their distance is 1: they are not kept. Memory and time grow with the pairs that are.

Shape letters: ``N`` images, ``D`` embedding, ``E`` pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.ranking.neighbours import Neighbours, neighbours
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.threads import spread
from resight.retrieval.reranking.reciprocal import Rows, encode

Allowed = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Which of E pairs of images, given by (E,) and (E,), may be of one identity."""

_csr: Any = sparse.csr_array
_STEP = 256  # rows that one thread does together


def jaccard(
    vectors: NDArray[np.float32],
    k1: int = 30,
    k2: int = 6,
    *,
    largest: float = 0.8,
    together: NDArray[np.int64] | None = None,
    allowed: Allowed | None = None,
    memory: int = MEMORY,
) -> Rows:
    """The distances up to ``largest`` of N images.

    Args:
        vectors: (N, D), of any length above zero.
        k1: how many neighbours may be reciprocal, the image itself among them; k2: over how many encodings are
            averaged.
        largest: pairs that are farther are not kept, below 1.
        together: (N,) images of one number, 0 or more, are known to be of one identity (a track): each is encoded by
            the mean of their encodings. A wrong image in a track therefore moves the track by its share, and does not
            join two people. -1 for images of which nothing is known.
        allowed: which pairs may be of one identity; others are no neighbours, and have no distance.
        memory: bytes for a block of distances; it changes the speed, never the result.

    Returns:
        (N, N) csr_array of float32, symmetric; the diagonal is kept, with zeros.

    Raises:
        DataError: no vectors, or one of length zero.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not len(vectors) or not lengths.all():
        raise DataError("Jaccard distances need one embedding or more, none of length zero: embed the images again.")
    unit = (vectors / lengths).astype(np.float32)
    wide = 2 * k1 if allowed else k1
    near = neighbours(Embeddings(unit), max(wide, k2), "euclidean", memory)
    if allowed is not None:
        near = Neighbours(_allowed_first(near.nearest, allowed), near.farthest)
    rows = encode(unit, near, "euclidean", max(k1 - 1, 1), k2, half=round(k1 / 2), relative=False)
    if together is not None and (together >= 0).any():
        rows = _mean_of_tracks(together) @ rows
    found = _within(rows.tocsr(), largest)
    return found if allowed is None else _only(found, allowed)


def _allowed_first(nearest: NDArray[np.int64], allowed: Allowed) -> NDArray[np.int64]:
    """The neighbours of each image that are allowed, in their order, and then the others."""
    count, k = nearest.shape
    fine = allowed(np.repeat(np.arange(count), k), nearest.ravel()).reshape(count, k)
    fine[:, 0] = True
    return np.take_along_axis(nearest, np.argsort(~fine, axis=1, kind="stable"), 1)


def _mean_of_tracks(together: NDArray[np.int64]) -> Rows:
    """(N, N) that averages the rows of each track, and leaves the other rows as they are."""
    count = len(together)
    free = together < 0
    labels = np.where(free, together.max() + 1 + np.arange(count), together)
    group, sizes = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    member = _csr((np.ones(count), (np.arange(count), group)), shape=(count, len(sizes)))
    mean = _csr((1 / sizes[group], (group, np.arange(count))), shape=(len(sizes), count))
    return member @ mean


def _within(rows: Rows, largest: float) -> Rows:
    """The pairs whose d = 1 - s / (2 - s), s = sum_k min(V_ik, V_jk), is at most ``largest``."""
    count = rows.shape[0]
    inverted = rows.tocsc()  # for each column the rows that have it
    least = 2 * (1 - largest) / (2 - largest)
    found: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = [None] * count  # type: ignore[list-item]

    def work(part: slice) -> None:
        for i in range(part.start, part.stop):
            own = slice(rows.indptr[i], rows.indptr[i + 1])
            columns, weights = rows.indices[own], rows.data[own]
            starts = inverted.indptr[columns]
            counts = inverted.indptr[columns + 1] - starts
            entries = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
            common = np.minimum(np.repeat(weights, counts), inverted.data[entries])
            total = np.bincount(inverted.indices[entries], weights=common, minlength=i + 1)
            total[i] = 1.0
            near = np.flatnonzero(total >= least * (1 - 1e-9))
            s = np.minimum(total[near], 1.0)
            found[i] = near.astype(np.int32), (1 - s / (2 - s)).astype(np.float32)

    spread(work, count, _STEP)
    sizes = np.array([len(near) for near, _ in found], np.int64)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    columns = np.concatenate([near for near, _ in found])
    values = np.concatenate([apart for _, apart in found])
    return _csr((values, columns, indptr), shape=(count, count))


def _only(graph: Rows, allowed: Allowed) -> Rows:
    """The pairs that are allowed."""
    left = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    right = graph.indices.astype(np.int64)
    kept = allowed(left, right) | (left == right)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(left[kept], minlength=graph.shape[0]))])
    return _csr((graph.data[kept], graph.indices[kept], indptr), shape=graph.shape)
