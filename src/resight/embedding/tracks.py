"""One embedding for each track: that of its images together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.reranking.expansion import pool


def pool_tracks(
    embeddings: Embeddings, tracks: ArrayLike | None = None, quality: ArrayLike | None = None
) -> Embeddings:
    """The mean direction of each track's images, or their mean weighted by quality.

    Args:
        embeddings: N images.
        tracks: (N,) which track each is of; by default the column ``tracks``.
        quality: (N,) weights, 0 or more, for example ``embeddings.columns["quality"]``; all alike when None.

    Returns:
        One embedding of length one per track, in ascending order of the tracks, given in the column ``tracks``;
        identities and cameras as :func:`~resight.retrieval.reranking.expansion.pool` keeps them.

    Raises:
        DataError: no tracks, a weight that is negative or no number, a track whose weights are all zero, or what
            :func:`~resight.retrieval.reranking.expansion.pool` refuses.
    """
    if tracks is None and "tracks" not in embeddings.columns:
        raise DataError("The embeddings have no column 'tracks': pass tracks, one per image.")
    labels = np.asarray(embeddings.columns["tracks"] if tracks is None else tracks)
    pooled = pool(embeddings, labels)
    known, member = np.unique(labels, return_inverse=True)
    if quality is not None:
        weights = np.asarray(quality, np.float64)
        if weights.shape != labels.shape or not (np.isfinite(weights) & (weights >= 0)).all():
            raise DataError("The quality must be one number per image, 0 or more: correct it or leave it out.")
        directions = embeddings.vectors / np.linalg.norm(embeddings.vectors.astype(np.float64), axis=1, keepdims=True)
        total = np.zeros(pooled.vectors.shape)
        np.add.at(total, member, weights[:, None] * directions)
        lengths = np.linalg.norm(total, axis=1)
        if not lengths.all():
            raise DataError(
                f"Track {known[np.argmin(lengths)]} has no image of a quality above 0: give one of them a weight."
            )
        pooled = replace(pooled, vectors=(total / lengths[:, None]).astype(np.float32))
    return replace(pooled, columns={"tracks": known})
