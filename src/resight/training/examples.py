"""What a run trains on: the training images of its sources, and its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.datasets import Dataset
from resight.datasets.sources import join_training
from resight.errors import DataError
from resight.records import DISTRACTOR, Split

UNLABELLED = -1  # the label of an image of unknown identity


@dataclass(frozen=True, eq=False)
class Examples:
    """N training images.

    Attributes:
        images: their paths and columns, ``sources`` among them.
        labels: (N,) int64 identities from 0 on; :data:`UNLABELLED` where unknown.
        sources: (N,) int64, which source an image is from.
        triplets: (T, 3) int64 indices of images, where the data has triplets of its own.
    """

    images: Split
    labels: NDArray[np.int64]
    sources: NDArray[np.int64]
    triplets: NDArray[np.int64] | None = None

    @classmethod
    def from_sources(cls, data: Sequence[Dataset]) -> Examples:
        """The images of known identities of every source; all images of a source that knows no identity.

        Raises:
            DataError: a source without images, or the same source twice.
        """
        everything, triplets = join_training(data)
        sources = np.repeat(np.arange(len(data)), [len(one.train) for one in data])
        known = everything.identities > DISTRACTOR
        used = known.copy()
        for number, one in enumerate(data):
            of_it = sources == number
            if not of_it.any():
                raise DataError(f"{one.name} has no images to train on: check its folder of training images.")
            if not known[of_it].any():
                used |= of_it
        if triplets is not None:
            triplets = np.cumsum(used)[triplets[known[triplets].all(1)]] - 1
        images, known = everything.take(used), known[used]
        labels = np.full(len(images), UNLABELLED, np.int64)
        labels[known] = np.unique(images.identities[known], return_inverse=True)[1]
        return cls(images, labels, sources[used], triplets)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def identities(self) -> int:
        """How many identities are known."""
        return int(self.labels.max(initial=UNLABELLED)) + 1

    @property
    def tracks(self) -> NDArray[np.int64] | None:
        """(N,) int64, which tracklet each image is of, over all sources; None where the data has none."""
        tracks = self.images.columns.get("tracks")
        if tracks is None:
            return None
        both = np.stack([self.sources, tracks], axis=1)
        return np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    @property
    def attributes(self) -> NDArray[np.uint8] | None:
        """(N, A) uint8 of 0 and 1, 255 where unknown; None where the data has none."""
        return self.images.columns.get("attributes")


def stamp(data: Sequence[Dataset]) -> str:
    """Fingerprints of the training data for a checkpoint: labels, attributes and triplets of each source."""
    parts = []
    for one in data:
        answers = (one.train.columns.get("attributes"), one.triplets)
        digests = [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in answers if array is not None]
        parts += [one.fingerprint(), *digests]
    return " ".join(parts)
