"""The k-reciprocal Jaccard distance of adaptation without labels as plain loops, image by image.

Written after the description in SpCL and Cluster Contrast (``faiss_rerank.py``): neighbour lists of k1 entries with the
image itself, half lists of round(k1 / 2) + 1, expansion where more than two thirds of a half list are shared, softmax
of -(2 - 2 cos), mean over the first k2 rows, 1 - m / (2 - m).
"""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def jaccard(vectors: Array, k1: int, k2: int, forbidden: set[tuple[int, int]] = frozenset()) -> Array:  # type: ignore[assignment]
    """(N, N) distances; ``forbidden`` pairs are no neighbours and are infinitely far."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    count = len(unit)
    square = [[float(2 - 2 * (a @ b)) for b in unit] for a in unit]
    order = []
    for i in range(count):
        others = sorted((j for j in range(count) if j != i and (i, j) not in forbidden), key=lambda j: square[i][j])
        order.append([i, *others])

    def reciprocal(i: int, entries: int) -> set[int]:
        return {j for j in order[i][:entries] if i in order[j][:entries]}

    rows = np.zeros((count, count))
    for i in range(count):
        own = reciprocal(i, k1)
        expanded = set(own)
        for j in own:
            half = reciprocal(j, round(k1 / 2) + 1)
            if len(half & own) > 2 / 3 * len(half):
                expanded |= half
        total = sum(math.exp(-square[i][j]) for j in expanded)
        for j in expanded:
            rows[i, j] = math.exp(-square[i][j]) / total
    rows = np.stack([rows[order[i][:k2]].mean(0) for i in range(count)])
    out = np.ones((count, count))
    for i in range(count):
        for j in range(count):
            m = sum(min(rows[i, c], rows[j, c]) for c in range(count))
            out[i, j] = math.inf if (i, j) in forbidden else 1 - m / (2 - m)
    np.fill_diagonal(out, 0.0)
    return out
