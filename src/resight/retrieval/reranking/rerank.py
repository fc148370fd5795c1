"""k-reciprocal re-ranking, sparse: images are near when they have the same neighbours.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. All N = Q + G images, the
queries first, are encoded by their neighbours (:mod:`resight.retrieval.reranking.reciprocal`), and a query q and a
gallery image g are compared by

    (1 - lambda) d_J(q, g) + lambda D_qg,    d_J = 1 - s / (2 - s),    s = sum_j min(V_qj, V_gj),

the Jaccard distance of their encodings and the original dissimilarity: squared Euclidean distance (for cosine, 1 - cos)
divided by the query's largest to any of the N images. Both are in [0, 1]. Most d_J are exactly 1, for most pairs share
no neighbour; s is summed over shared columns alone. N x N and Q x G are never kept.

**Ties.** Where two images are equally far from a third, the one with the lower index (queries first, then the gallery)
comes first; every image is the first of its own neighbours, also before its exact copies. Published code leaves both to
an unstable sort, so it agrees with this up to rounding wherever no neighbours are tied.

**Junk** and distractors are re-ranked like everything else, as in all published code: what counts is the evaluation's
business, and a protocol is applied to the final distances only. Labels are not used.

Shape letters: ``Q`` queries, ``G`` gallery, ``N`` both, ``D`` embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.ranking.distance import Distances
from resight.retrieval.ranking.neighbours import neighbours
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.rough import Products
from resight.retrieval.ranking.tiles import TiledProducts
from resight.retrieval.reranking.reciprocal import encode
from resight.retrieval.reranking.reranked import Reranked


@dataclass(frozen=True)
class KReciprocal:
    """k-reciprocal re-ranking with its parameters, to be passed as ``rerank=`` to ``evaluate`` or ``topk``.

    Attributes:
        k1: how many neighbours may be reciprocal, at least 1.
        k2: over how many neighbours encodings are averaged (the image itself is one of them), at least 1.
        lambda_value: the share of the original distance, in [0, 1]; with 1 the order is the original one.
        products: computes the products of all images with each other: on the processor, in bfloat16 where that is
            faster, by :class:`resight.embedding.bfloat16.Bfloat16Products`; on a GPU by
            :class:`resight.embedding.products.TorchProducts`; None for numpy. It never changes the result.

    Raises:
        DataError: a parameter that is out of its range or not a number.
    """

    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3
    products: Products | TiledProducts | None = None

    def __post_init__(self) -> None:
        for name in ("k1", "k2"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise DataError(f"The {name} of re-ranking is {value!r}: choose a whole number from 1 upwards.")
        if not (isinstance(self.lambda_value, (int, float, np.floating)) and 0 <= self.lambda_value <= 1):
            raise DataError(f"The lambda of re-ranking is {self.lambda_value!r}: choose a number from 0 to 1.")

    def __str__(self) -> str:
        return f"k-reciprocal k1={self.k1} k2={self.k2} lambda={self.lambda_value:g}"

    def __call__(self, query: Embeddings, gallery: Embeddings, metric: str, memory: int = MEMORY) -> Reranked:
        """The re-ranked distances of Q queries and G gallery images, ready to be asked for in blocks.

        Args:
            query, gallery: Q and G embeddings of one model, G at least 1.
            metric: "euclidean" or "cosine".
            memory: bytes for a block of distances; two copies of the vectors and the encodings (about 1 kB for each of
                the N images at k1 = 20 and k2 = 6) come on top, and half a copy with ``Bfloat16Products``. It changes
                the speed, never the result.

        Raises:
            DataError: dimensions that differ, or vectors the metric cannot compare.
        """
        plain = Distances(query.vectors, gallery.vectors, metric)  # before anything long: it refuses what does not fit
        plain = Distances(plain.query, plain.gallery, metric)  # short vectors scaled, of which the result knows nothing
        both = Embeddings(np.concatenate([plain.query, plain.gallery]))
        near = neighbours(both, max(self.k1 + 1, self.k2), metric, memory, self.products)
        encoded = encode(both.vectors, near, metric, self.k1, self.k2)
        return Reranked(plain, encoded, near.farthest[: len(query)], self.lambda_value)
