"""Several images speaking for one: query expansion by what was found first, and pooling of what belongs together.

Everything here is about directions: vectors are scaled to length one before they are averaged, and what comes out has
length one. Compare it by cosine distance (Euclidean distance then gives the same order).

Shape letters: ``N`` images, ``Q`` queries, ``G`` gallery, ``D`` embedding, ``M`` groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.ranking.arguments import check_embeddings, number, whole_number
from resight.retrieval.ranking.rank import MEMORY, topk
from resight.retrieval.ranking.validity import check_same_model


def expand_queries(
    query: Embeddings, gallery: Embeddings, n: int = 5, alpha: float = 0.0, memory: int = MEMORY
) -> Embeddings:
    """Each query moved towards the ``n`` gallery images nearest to it: q' = q + sum_i max(q.g_i, 0)^alpha g_i.

    With ``alpha`` 0 all count alike, the mean of the query and its n nearest: average query expansion (Chum et al.,
    "Total Recall", ICCV 2007). Above 0 the more similar count more: alpha query expansion (Radenovic et al.,
    "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018, with alpha = 3). Labels are not
    used, so junk and images of the query's own camera count too. Of equally near images the earlier in the gallery is
    taken.

    Args:
        query: Q embeddings.
        gallery: G embeddings of the same model.
        n: how many, from 1 to G.
        alpha: the power, 0 or more.
        memory: bytes for a block of distances; it changes the speed, never the result.

    Returns:
        Q embeddings of length one, with the columns of ``query``.

    Raises:
        DataError: ``n`` or ``alpha`` out of range, dimensions or fingerprints that differ, a vector of length zero, or
            a query that its neighbours cancel out.
    """
    check_embeddings(query=query, gallery=gallery)
    if not 1 <= whole_number("n", n) <= len(gallery):
        raise DataError(f"Query expansion needs {n} of {len(gallery):,} gallery images: choose from 1 to all of them.")
    number("The alpha of query expansion", alpha, "choose 0 for the average, or a number above", lambda a: a >= 0)
    check_same_model(query, gallery)
    nearest = topk(query, gallery, n, "cosine", memory=memory).indices
    expanded = _directions(query.vectors.astype(np.float64), "query")
    for own, found in zip(expanded, nearest, strict=True):
        others = _directions(gallery.vectors[found].astype(np.float64), "gallery image")
        own += np.maximum(others @ own, 0.0) ** alpha @ others
    return Embeddings(
        _directions(expanded, "expanded query").astype(np.float32),
        query.identities,
        query.cameras,
        query.paths,
        query.columns,
        query.fingerprint,
        query.metric,
    )


def pool(images: Embeddings, groups: ArrayLike) -> Embeddings:
    """One vector for each group of images: the mean of its images' directions (multi-query, or a track as one).

    Args:
        images: N embeddings.
        groups: (N,) labels, or (N, C) rows of integers; images with the same are pooled. ``identities`` for one vector
            per identity, ``columns["tracks"]`` for one per track, ``np.stack([identities, cameras], 1)`` for the
            multi-query setting of Market-1501.

    Returns:
        M embeddings of length one, in ascending order of their labels. Identities stay. Cameras stay if each group is
        of one camera, else there are none. Paths and other columns are left out, since they belong to single images.

    Raises:
        DataError: no label or more than one for an image, a group of different identities, a vector of length zero, or
            a group whose images cancel out.
    """
    check_embeddings(images=images)
    labels = np.asarray(groups)
    if labels.ndim not in (1, 2) or len(labels) != len(images):
        raise DataError(f"The groups have shape {labels.shape} for {len(images):,} images: pass one label per image.")
    by = 0 if labels.ndim == 2 else None
    known, member = np.unique(labels, axis=by, return_inverse=True)
    member = member.reshape(-1)
    order = np.argsort(member, kind="stable")
    first = np.searchsorted(member[order], np.arange(len(known)))
    total = np.zeros((len(known), images.vectors.shape[1]))
    np.add.at(total, member, _directions(images.vectors.astype(np.float64), "image"))
    pooled = _directions(total, "group").astype(np.float32)
    identities, cameras = (
        None if column is None else column[order[first]] for column in (images.identities, images.cameras)
    )
    mixed = _differ(images.identities, identities, member)
    if mixed is not None:
        raise DataError(f"Image {mixed} has another identity than its group: pool images of one identity.")
    if _differ(images.cameras, cameras, member) is not None:
        cameras = None
    return Embeddings(pooled, identities, cameras, fingerprint=images.fingerprint, metric=images.metric)


def _differ(column: NDArray[Any] | None, groups: NDArray[Any] | None, member: NDArray[np.int64]) -> int | None:
    """The first image whose value is not that of its group, or None."""
    if column is None or groups is None:
        return None
    wrong = np.flatnonzero(column != groups[member])
    return int(wrong[0]) if len(wrong) else None


def _directions(vectors: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """The (N, D) vectors scaled to length one."""
    lengths = np.linalg.norm(vectors, axis=1)
    if not lengths.all():
        row = int(np.argmin(lengths != 0))
        raise DataError(f"The {what} in row {row} has length zero and so no direction, which is needed: leave it out.")
    directions: NDArray[np.float64] = vectors / lengths[:, None]
    return directions
