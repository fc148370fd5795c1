"""Clusters of crops as labels for an epoch, and what can be said of them without knowing who anybody is.

Shape letters: ``N`` images, ``C`` clusters, ``D`` embedding.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.constraints import Constraints
from resight.clustering.density import NOISE, density
from resight.clustering.linkage import Constrained, Groups
from resight.retrieval.reranking.jaccard import jaccard

BOUNDS = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)  # distances at which clusters are looked at
LARGEST = max(BOUNDS)
LEAST = 4  # images that make the core of a cluster, as in Cluster Contrast and SpCL
K2 = 6  # likewise
_MOST = 500  # images of a contradicted cluster that are put together anew; larger ones are cut at smaller distances
_TIGHTER = 0.8  # of the distance, for those

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """Clusters at one distance, in numbers.

    Attributes:
        distance: up to which images were neighbours.
        clusters: how many; ``clustered``: the share of images that are in one; ``largest``: the share in the largest.
        median: the median number of images in a cluster.
        spanning: the share of clusters with images of two cameras or more; None where cameras are unknown.
        split: clusters that were taken apart or dropped, because time and place contradict them.
    """

    distance: float
    clusters: int
    clustered: float
    largest: float
    median: float
    spanning: float | None
    split: int = 0

    def numbers(self) -> dict[str, Any]:
        """The facts ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        across = "" if self.spanning is None else f", {self.spanning:.0%} of them over several cameras"
        return (
            f"{self.clusters:,} clusters{across}; {self.clustered:.0%} of the images clustered, "
            f"median {self.median:g} in a cluster, {self.largest:.1%} in the largest"
        )


def neighbourhood(images: int) -> int:
    """k1 for so many images: 20 from 10,000 on, down to 13 for 500.

    SpCL and Cluster Contrast take 30. Where a person has fewer images than that, or the model is weak at the start,
    most of 30 neighbours are somebody else and clusters merge: with OSNet x0.25 of MSMT17 on Market-1501's training
    images, distance 0.6, k1 = 30 gives an adjusted Rand index of 0.070 and k1 = 20 of 0.127; on CUHK03's 0.071 (28)
    and 0.141.
    """
    return round(20 * float(min(1.0, images / 10_000) ** 0.15))


def graph_of(vectors: NDArray[np.float32], known: Constraints) -> Any:
    """The (N, N) sparse distances of crops, under what is known of them."""
    allowed = known.allowed if known.forbid else None
    return jaccard(vectors, neighbourhood(len(vectors)), K2, largest=LARGEST, together=known.together, allowed=allowed)


def cluster(graph: Any, distance: float, known: Constraints, vectors: NDArray[np.float32]) -> tuple[Labels, int]:
    """The cluster of each crop, (N,) from 0 on, -1 for noise; and how many were taken apart.

    The images of a cluster that time and place contradict are put together anew by average linkage of ``vectors``
    (N, D), along the pairs of the graph, so that no two of a group may not be one person. Groups of fewer than
    ``LEAST`` images are noise.
    """
    labels = density(graph, distance, LEAST)
    wrong = known.contradicted(labels)
    taken_apart = len(wrong)
    while len(wrong):
        large = wrong[np.bincount(labels[labels >= 0])[wrong] > _MOST]
        for one in wrong[~np.isin(wrong, large)].tolist():
            images = np.flatnonzero(labels == one)
            labels[images] = _parted(graph, distance, known, vectors, images, int(labels.max()) + 1)
        if not len(large):
            break
        inside = np.flatnonzero(np.isin(labels, large))
        distance *= _TIGHTER
        tighter = density(graph[inside][:, inside], distance, LEAST)
        labels[inside] = np.where(tighter >= 0, int(labels.max()) + 1 + tighter, NOISE)
        wrong = known.contradicted(numbered(labels))
        labels = numbered(labels)
    return numbered(labels), taken_apart


def _parted(
    graph: Any, distance: float, known: Constraints, vectors: NDArray[np.float32], images: Labels, first: int
) -> Labels:
    """New clusters, from ``first`` on, of the images of one cluster; -1 for noise."""
    everyone = np.arange(len(images))
    apart = [set(everyone[~known.allowed(np.full_like(images, image), images)].tolist()) for image in images]
    linkage = Constrained(Groups(vectors[images], "cosine", 2.0), apart)
    near = graph[images][:, images].tocoo()
    for a, b, value in zip(near.row.tolist(), near.col.tolist(), near.data.tolist(), strict=True):
        if a < b and value <= distance and b not in apart[a]:
            linkage.allow(a, b)
    linkage.link()
    groups, sizes = np.unique(linkage.groups.all(), return_inverse=True, return_counts=True)[1:]
    return np.where(sizes[groups] >= LEAST, first + groups, NOISE)


def numbered(labels: Labels) -> Labels:
    """The same clusters numbered from 0 on without gaps, in the order of their numbers; -1 stays."""
    found = np.full(len(labels), NOISE, np.int64)
    inside = labels >= 0
    found[inside] = np.unique(labels[inside], return_inverse=True)[1]
    return found


def facts(labels: Labels, cameras: NDArray[np.int64], distance: float, split: int = 0) -> Facts:
    """What can be said of clusters (N,) of images of cameras (N,), -1 where unknown."""
    inside = labels >= 0
    sizes = np.bincount(labels[inside])
    spanning = None
    if len(sizes) and (cameras >= 0).all():
        low, high = np.full(len(sizes), np.iinfo(np.int64).max), np.full(len(sizes), -1)
        np.minimum.at(low, labels[inside], cameras[inside])
        np.maximum.at(high, labels[inside], cameras[inside])
        spanning = float((low < high).mean())
    count = max(len(labels), 1)
    return Facts(
        distance,
        len(sizes),
        float(inside.sum() / count),
        float(sizes.max(initial=0) / count),
        float(np.median(sizes)) if len(sizes) else 0.0,
        spanning,
        split,
    )


def centres(vectors: NDArray[np.float32], labels: Labels) -> NDArray[np.float32]:
    """(C, D) the mean direction of each cluster, of length one."""
    inside = labels >= 0
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    total = np.zeros((int(labels.max(initial=NOISE)) + 1, vectors.shape[1]))
    np.add.at(total, labels[inside], unit[inside])
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    return total.astype(np.float32)


def agreement(one: Labels, other: Labels) -> float:
    """The adjusted Rand index of two clusterings, of the images that both put into a cluster; 1 where they agree."""
    from sklearn.metrics import adjusted_rand_score

    both = (one >= 0) & (other >= 0)
    return float(adjusted_rand_score(one[both], other[both])) if both.sum() > 1 else 0.0
