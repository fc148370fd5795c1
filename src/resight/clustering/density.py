"""Clusters as dense places of a sparse graph of distances (DBSCAN): images that fit nowhere are noise.

Ester et al., "A Density-Based Algorithm for Discovering Clusters", KDD 1996, by scikit-learn. The graph holds the near
pairs alone, so that memory and time grow with their number.

Shape letters: ``N`` images.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

NOISE = -1


def density(graph: Any, distance: float, least: int = 4) -> NDArray[np.int64]:
    """The cluster of each image, (N,) int64 from 0 on; -1 for noise.

    Args:
        graph: (N, N) sparse distances, symmetric, with the diagonal; pairs that are not in it are far.
        distance: up to which two images are neighbours.
        least: how many neighbours, the image itself among them, make the core of a cluster.
    """
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import sort_graph_by_row_values

    csr_matrix: Any = sparse.csr_matrix
    rows = csr_matrix((graph.data, graph.indices, graph.indptr), shape=graph.shape)
    near = sort_graph_by_row_values(rows, copy=True, warn_when_not_sorted=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = DBSCAN(eps=distance, min_samples=least, metric="precomputed").fit(near)
    return np.asarray(found.labels_, np.int64)
