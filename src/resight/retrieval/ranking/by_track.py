"""Tracks instead of images: a track is as near to a query as the nearest of its images.

Only :func:`resight.evaluate` ranks tracks; ranked lists, pairs and decisions are of images under every protocol.

Shape letters: ``Q`` queries, ``G`` gallery, ``T`` tracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.ranking import distance as grid
from resight.retrieval.ranking.distance import Distances
from resight.retrieval.ranking.rank import Blocks, Rerank


def by_track(gallery: Embeddings, rerank: Rerank | None = None) -> tuple[Embeddings, Rerank]:
    """The gallery's T tracks in the order of their first images, and how to get the distances to them.

    Args:
        gallery: G embeddings with identities, cameras and the column ``tracks``, (G,): images with equal values are
            one track, of one identity in one camera.
        rerank: make the images' distances with it, which sees the images track by track; None for those of the metric.

    Returns:
        T embeddings, each with its track's first image's vector and labels, and what makes the (Q, T) distances, to be
        passed as ``rerank`` together with them.

    Raises:
        DataError: no tracks, identities or cameras, or a track with two of them.
    """
    tracks = gallery.columns.get("tracks")
    if tracks is None or gallery.identities is None or gallery.cameras is None:
        missing = "tracks" if tracks is None else "identities" if gallery.identities is None else "cameras"
        where = 'columns={"tracks": ...}' if tracks is None else f"{missing}=..."
        raise DataError(
            f"The gallery embeddings have no {missing}, which ranking by track needs: "
            f"pass {where} with one value per image."
        )
    _, first, which = np.unique(tracks, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    owner, first = place[which], np.sort(first)
    for name, labels in (("identities", gallery.identities), ("cameras", gallery.cameras)):
        mixed = np.flatnonzero(labels != labels[first[owner]])
        if len(mixed):
            raise DataError(
                f"Track {tracks[mixed[0]]} of the gallery has two {name}, first in image {mixed[0]}: "
                "give one number to the images of one track alone."
            )
    order = np.argsort(owner, kind="stable")
    images, starts = Embeddings(gallery.vectors[order]), np.searchsorted(owner[order], np.arange(len(first) + 1))

    def distances(query: Embeddings, tracks: Embeddings, metric: str, memory: int) -> _Nearest:
        if rerank is None:
            return _Nearest(Distances(query.vectors, images.vectors, metric), starts)
        return _Nearest(rerank(query, images, metric, memory), starts)

    return Embeddings(gallery.vectors[first], gallery.identities[first], gallery.cameras[first]), distances


class _Nearest:
    """The (Q, T) distances to the nearest image of each track.

    Args:
        images: the (Q, G) distances to the images, track by track.
        starts: (T + 1,) where each track's images begin, and where the last one's end.
    """

    def __init__(self, images: Blocks, starts: NDArray[np.int64]) -> None:
        self.shape = (images.shape[0], len(starts) - 1)
        self._images, self._starts = images, starts

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The float32 distances of ``rows`` to the tracks ``columns``; of the images', one tile's width at a time."""
        starts = self._starts[columns.start : columns.stop + 1]
        first, last = int(starts[0]), int(starts[-1])
        out = np.full((min(rows.stop, self.shape[0]) - rows.start, len(starts) - 1), np.inf, np.float32)
        for left in range(first // grid.TILE_GALLERY * grid.TILE_GALLERY, last, grid.TILE_GALLERY):
            right = min(left + grid.TILE_GALLERY, last)
            part = self._images.block(rows, slice(left, right))
            here = slice(np.searchsorted(starts, max(left, first), "right") - 1, np.searchsorted(starts, right))
            begins = np.maximum(starts[:-1][here] - left, max(first - left, 0))
            out[:, here] = np.minimum(out[:, here], np.minimum.reduceat(part, begins, axis=1))
        return out
