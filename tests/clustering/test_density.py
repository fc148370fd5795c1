"""Clusters of a sparse graph against scikit-learn on the dense distances."""

import numpy as np
from scipy import sparse
from sklearn.cluster import DBSCAN

from resight.clustering.density import density


def test_clusters_are_those_of_the_dense_distances() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(20, 2)) * 0.2 + centre for centre in ((0, 0), (3, 0), (0, 3))])
    points = np.concatenate([points, rng.uniform(-6, 6, (15, 2))])
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    rows, columns = np.nonzero(apart <= 1.0)
    graph = sparse.csr_array((apart[rows, columns], (rows, columns)), shape=apart.shape)
    for distance in (0.15, 0.3, 0.6, 1.0):
        expected = DBSCAN(eps=distance, min_samples=4, metric="precomputed").fit(apart).labels_
        np.testing.assert_array_equal(density(graph, distance, 4), expected)
    assert (density(graph, 0.3, 4) == -1).any() and density(graph, 0.3, 4).max() >= 2
