"""Identities that a model doubts: two people under one label, or one person under two. A list to check, no proof.

V is the mean squared distance of an identity's vectors from their mean, and the mean squared distance
between the vectors of two groups a and b is V(a) + V(b) + |mean(a) - mean(b)|^2. Letters: N images, P identities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset
from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.images.finding import Finding, of_groups
from resight.records import DISTRACTOR, Embeddings

_CLEARLY = 1.1
_ROWS = 1024  # identities compared with all others at a time


class _Groups(NamedTuple):
    """The mean vector (P, D) and the spread V (P,) of P groups of images."""

    means: NDArray[np.float64]
    spreads: NDArray[np.float64]

    def between(self, others: _Groups) -> NDArray[np.float64]:
        """(P, P') mean squared distances between the images of two groups."""
        squares = (self.means**2).sum(axis=1)[:, None] + (others.means**2).sum(axis=1) - 2 * self.means @ others.means.T
        found: NDArray[np.float64] = self.spreads[:, None] + others.spreads + squares
        return found

    def rows(self, rows: slice) -> _Groups:
        """Some of them."""
        return _Groups(self.means[rows], self.spreads[rows])


def mislabelled(embeddings: Embeddings, metric: str = "cosine") -> list[Finding]:
    """What looks wrong in the identities of N images; junk and distractors are ignored.

    An identity may be two people where its images of one camera fall into two halves of two or more, each of them
    clearly nearer to another identity of that camera than to the other half. Across cameras, images of one person
    differ as much as those of two; with eight pairs of CUHK03's people merged, one camera at a time finds all eight
    first. Two identities may be one person where each is the other's nearest, and their images are, within a tenth,
    as near to each other as those within one of them.

    Raises:
        DataError: embeddings without identities or paths.
    """
    if embeddings.identities is None or embeddings.paths is None:
        raise DataError("The embeddings have no identities or no paths: embed a data set.")
    vectors = embeddings.vectors.astype(np.float64)
    if metric == "cosine":
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    order = np.argsort(embeddings.identities, kind="stable")
    order = order[embeddings.identities[order] > DISTRACTOR]
    members = _parts(order, embeddings.identities)
    seen_by = np.zeros(len(embeddings), np.int64) if embeddings.cameras is None else embeddings.cameras
    if len(members) < 2:
        return []
    paths = embeddings.paths
    known = _groups(vectors, members)
    found = []
    parted = _parted(
        vectors, embeddings.identities, [_parts(one, embeddings.identities) for one in _parts(order, seen_by)]
    )
    if parted:
        examples = [[str(paths[at]) for at in [*one[:4], *other[:4]]] for one, other in parted]
        what = f"{len(parted):,} identities look like two people in one camera to the model"
        cure = "check them, and give each person a label of its own if the model is right"
        found.append(of_groups("warning", what, examples, cure))
    alike = _alike(known, members)
    if alike:
        examples = [[str(paths[at]) for at in [*members[one][:4], *members[other][:4]]] for one, other in alike]
        what = f"{len(alike):,} pairs of identities look like one person to the model"
        cure = "check them, and give both the same label if the model is right"
        found.append(of_groups("warning", what, examples, cure))
    return found


def check_labels(
    data: Dataset, embedder: Embedder, progress: Callable[[int, int], None] | None = None
) -> list[Finding]:
    """Embed a data set and list what :func:`mislabelled` finds; images that cannot be read are passed over."""
    splits = [split for split in data.splits.values() if len(split)]
    total, parts = sum(map(len, splits)), []
    for at, split in enumerate(splits):
        shifted_progress = shifted(progress, sum(map(len, splits[:at])), total)
        parts.append(embedder(split, on_error=lambda _: None, progress=shifted_progress))
    every = Embeddings(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.identities for part in parts if part.identities is not None]),
        np.concatenate([part.cameras for part in parts if part.cameras is not None]),
        paths=np.concatenate([part.paths for part in parts if part.paths is not None]),
    )
    return mislabelled(every, embedder.model.card.metric)


def _groups(vectors: NDArray[np.float64], members: list[NDArray[np.int64]]) -> _Groups:
    means = np.stack([vectors[images].mean(axis=0) for images in members])
    pairs = zip(members, means, strict=True)
    spreads = np.array([((vectors[images] - mean) ** 2).sum(axis=1).mean() for images, mean in pairs])
    return _Groups(means, spreads)


def _parts(images: NDArray[np.int64], labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """``images`` by their label, in the order of the labels."""
    order = images[np.argsort(labels[images], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _parted(
    vectors: NDArray[np.float64], identities: NDArray[np.int64], cameras: list[list[NDArray[np.int64]]]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The halves of identities that may be two people, the clearest first.

    ``cameras`` has the images of each identity for each camera.
    """
    from sklearn.cluster import AgglomerativeClustering

    found: dict[int, tuple[float, list[NDArray[np.int64]]]] = {}  # of each identity where it is clearest
    for members in cameras:
        known = _groups(vectors, members)
        for at, images in enumerate(members):
            if len(images) < 4 or len(members) < 2:
                continue
            half = AgglomerativeClustering(2, linkage="average").fit_predict(vectors[images])
            halves = [images[half == 0], images[half == 1]]
            if min(map(len, halves)) < 2:
                continue
            two = _groups(vectors, halves)
            others = two.between(known)
            others[:, at] = np.inf
            apart = float(two.between(two)[0, 1] / max(others.min(axis=1).max(), 1e-12))
            identity = int(identities[images[0]])
            if apart > found.get(identity, (_CLEARLY,))[0]:
                found[identity] = apart, halves
    return [(halves[0], halves[1]) for _, halves in sorted(found.values(), key=lambda one: -one[0])]


def _alike(known: _Groups, members: list[NDArray[np.int64]]) -> list[tuple[int, int]]:
    """Pairs of identities that may be one person, the nearest first."""
    count = len(members)
    nearest, distance = np.empty(count, np.int64), np.empty(count)
    for start in range(0, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        block = known.rows(rows).between(known)
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        nearest[rows], distance[rows] = block.argmin(axis=1), block.min(axis=1)
    sizes = np.array([len(images) for images in members])
    within = np.where(sizes > 1, 2 * known.spreads * sizes / np.maximum(sizes - 1, 1), 0)  # mean over its pairs
    pairs = [
        (float(distance[at]), at, int(other))
        for at, other in enumerate(nearest.tolist())
        if at < other and nearest[other] == at and distance[at] <= 1.1 * max(within[at], within[other])
    ]
    return [(one, other) for _, one, other in sorted(pairs)]
