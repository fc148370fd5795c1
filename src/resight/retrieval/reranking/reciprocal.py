"""k-reciprocal encoding: each image as a sparse row of weights on the images that are near it, as it is near them.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, sections 3.2 to 3.4. With
N(i, k) the first k + 1 images in i's order (itself the first), and D_ij the dissimilarity of i and j divided by the
largest of i's:

1. R(i, k) = {j in N(i, k) : i in N(j, k)}, the k-reciprocal neighbours.
2. R*(i) = R(i, k1) and every R(j, k1/2), j in R(i, k1), of which more than two thirds lie in R(i, k1). k1/2 is rounded
   to the even one of two equally near numbers, and R(i, k1) is not the already expanded set.
3. V_ij = exp(-D_ij) / sum_{l in R*(i)} exp(-D_il) for j in R*(i), else 0.
4. V_i becomes the mean of the rows of the first k2 images in i's order (local query expansion).

Rows have some dozens of entries, so everything is done on sparse matrices, and N x N is never there.

Shape letters: ``N`` images, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy  # which imports its parts when they are first used
from numpy.typing import NDArray

from resight.retrieval.ranking.neighbours import Neighbours
from resight.retrieval.ranking.rough import dissimilarities, dissimilarity

Rows: TypeAlias = Any  # scipy.sparse.csr_array, which tells a type checker nothing
_scipy: Any = scipy

_BLOCK = 4096  # rows in work at a time


def encode(
    vectors: NDArray[np.float32],
    near: Neighbours,
    metric: str,
    k1: int,
    k2: int,
    *,
    half: int | None = None,
    relative: bool = True,
) -> Rows:
    """The encoding of N images.

    Args:
        vectors: (N, D).
        near: their neighbours by ``metric``, with K >= max(k1 + 1, k2), or K = N.
        metric: "euclidean" or "cosine".
        k1: how many neighbours may be reciprocal, at least 1.
        k2: over how many images rows are averaged, at least 1; with 1 they stay as they are.
        half: k1/2 of step 2, if it is not ``k1`` halved and rounded.
        relative: divide D by the largest of its row; if not, D_ij is the dissimilarity as it is.

    Returns:
        (N, N) scipy.sparse.csr_array of float64; with ascending columns; every row sums to 1.
    """
    count = len(vectors)
    reciprocal = _reciprocal(near.nearest, k1)
    fewer = _reciprocal(near.nearest, round(k1 / 2) if half is None else half)
    largest = dissimilarity(near.farthest, metric) if relative else np.ones(count)
    largest[largest == 0] = 1.0  # all images are the same
    parts = []
    for start in range(0, count, _BLOCK):
        expanded = _expand(reciprocal[start : start + _BLOCK], fewer)
        entries = np.diff(expanded.indptr)
        rows = np.repeat(np.arange(start, start + len(entries)), entries)
        weights = np.exp(-dissimilarities(vectors, vectors, rows, expanded.indices, metric) / largest[rows])
        weights /= np.repeat(np.add.reduceat(weights, expanded.indptr[:-1]), entries)  # no row is empty
        parts.append(_scipy.sparse.csr_array((weights, expanded.indices, expanded.indptr), shape=expanded.shape))
    encoded = _scipy.sparse.vstack(parts, format="csr")
    chosen = near.nearest[:, :k2]
    mean = _lists(chosen, np.full(chosen.size, 1 / chosen.shape[1])) @ encoded
    mean.sort_indices()
    return mean


def _lists(chosen: NDArray[np.int64], values: NDArray[Any]) -> Rows:
    """(N, N) with ``values`` (N * K,) in the columns that the rows of ``chosen`` (N, K) name."""
    count, k = chosen.shape
    return _scipy.sparse.csr_array((values, chosen.ravel(), np.arange(0, count * k + 1, k)), shape=(count, count))


def _reciprocal(nearest: NDArray[np.int64], k: int) -> Rows:
    """(N, N) int32: 1 where j is in R(i, k). Symmetric, and 1 on the diagonal."""
    chosen = nearest[:, : k + 1]
    lists = _lists(chosen, np.ones(chosen.size, np.int32))
    return lists.multiply(lists.T.tocsr()).tocsr()


def _expand(own: Rows, half: Rows) -> Rows:
    """The rows of R* (1 or more where j is in R*(i)), from those of R(., k1) and from all of R(., k1/2)."""
    overlap = (own @ half).multiply(own).tocsr()  # how many R(i, k1) and R(j, k1/2) share; half is symmetric
    sizes = np.diff(half.indptr)[overlap.indices]
    kept = (3 * overlap.data > 2 * sizes).astype(np.int32)
    taken = _scipy.sparse.csr_array((kept, overlap.indices, overlap.indptr), shape=overlap.shape)
    taken.eliminate_zeros()
    expanded = (own + taken @ half).tocsr()
    expanded.sort_indices()
    return expanded
