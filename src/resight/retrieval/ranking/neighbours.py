"""The nearest neighbours of every image among all of them, and how far away the last of all is.

Shape letters: ``N`` images, ``D`` embedding, ``K`` neighbours.

The order of an image's neighbours: itself first, then as :mod:`resight.retrieval.ranking.nearest` says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings
from resight.retrieval.ranking.nearest import ROUNDED, nearest, where
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.rough import Floats, Rough
from resight.retrieval.ranking.validity import Lists


class Neighbours(NamedTuple):
    """The nearest neighbours of each image, and the distance of its farthest.

    Attributes:
        nearest: (N, K) int64, in the order this module describes; the first is the image itself.
        farthest: (N,) float32, the largest distance of each image to any.
    """

    nearest: NDArray[np.int64]
    farthest: NDArray[np.float32]


def neighbours(images: Embeddings, k: int, metric: str = "euclidean", memory: int = MEMORY) -> Neighbours:
    """The ``k`` nearest of each image among all N of them, itself included (all N where there are fewer).

    Args:
        images: N embeddings.
        k: how many, at least 1.
        metric: "euclidean" or "cosine".
        memory: bytes for a block of distances and for a copy of the images it is of; O(N K) comes on top. It changes
            the speed, never the result.

    Raises:
        DataError: vectors the metric cannot compare.
    """
    count = len(images)
    rough = Rough(images.vectors, images.vectors, metric)
    every, others = np.arange(count), min(k, count) - 1
    farthest = np.zeros(count, np.float32)

    def look(rows: Floats, queries: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        slack = 2 * rough.error[queries, None].astype(np.float32) + ROUNDED
        row, column = where(rows >= rows.max(axis=1, keepdims=True) - slack)
        np.maximum.at(farthest, queries[row], rough.exact(queries[row], columns[column]))
        own = queries - columns[0]
        inside = (own >= 0) & (own < len(columns))
        rows[inside, own[inside]] = np.inf

    nothing = Lists(np.empty(0, np.int64), np.zeros(count + 1, np.int64))
    nearest_others, _ = nearest(rough, others, every, nothing, memory, look=look)
    return Neighbours(np.concatenate([every[:, None], nearest_others], axis=1), farthest)
