"""The nearest neighbours of every image among all of them, and how far away the last of all is.

Shape letters: ``N`` images, ``D`` embedding, ``K`` neighbours.

The order of an image's neighbours: itself first, then as :mod:`resight.retrieval.ranking.nearest` says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.rough import Products, Rough
from resight.retrieval.ranking.symmetric import Symmetric
from resight.retrieval.ranking.tiles import TiledProducts


class Neighbours(NamedTuple):
    """The nearest neighbours of each image, and the distance of its farthest.

    Attributes:
        nearest: (N, K) int64, in the order this module describes; the first is the image itself.
        farthest: (N,) float32, the largest distance of each image to any.
    """

    nearest: NDArray[np.int64]
    farthest: NDArray[np.float32]


def neighbours(
    images: Embeddings,
    k: int,
    metric: str = "euclidean",
    memory: int = MEMORY,
    products: Products | TiledProducts | None = None,
) -> Neighbours:
    """The ``k`` nearest of each image among all N of them, itself included (all N where there are fewer).

    Args:
        images: N embeddings.
        k: how many, at least 1.
        metric: "euclidean" or "cosine".
        memory: bytes for a block of distances and for a copy of the images it is of; O(N K) comes on top. It changes
            the speed, never the result.
        products: computes the matrix products, see :class:`resight.embedding.bfloat16.Bfloat16Products` and
            :class:`resight.embedding.products.TorchProducts`; likewise.

    Raises:
        DataError: vectors the metric cannot compare.
    """
    count = len(images)
    multiplying, tiled = (None, products) if isinstance(products, TiledProducts) else (products, None)
    rough = Rough(images.vectors, images.vectors, metric, multiplying)
    found = Symmetric(rough, min(k, count) - 1, memory, tiled)
    return Neighbours(np.concatenate([np.arange(count)[:, None], found.nearest], axis=1), found.farthest)
