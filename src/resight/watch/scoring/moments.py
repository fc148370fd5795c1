"""Frames in which there are true and found boxes, and how much each pair overlaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.watch.following.boxes import overlaps
from resight.watch.measure import Boxed

EPSILON = float(np.finfo(np.float64).eps)  # an overlap that is lower by so little still counts


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame of one camera.

    Attributes:
        camera: its number.
        true: (T,) int64, of which true identity each box is, numbers from 0; ``found``: (F,) likewise.
        overlap: (T, F) intersection over union.
    """

    camera: int
    true: NDArray[np.int64]
    found: NDArray[np.int64]
    overlap: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """All frames in which there is any box, in order.

    Attributes:
        true: how many true identities there are; ``found``: how many found ones.
    """

    frames: tuple[Moment, ...]
    true: int
    found: int

    @classmethod
    def of(cls, truth: Boxed, found: Boxed) -> Moments:
        """The frames of both; an identity is one over all cameras."""
        labels = [np.unique(side.who, return_inverse=True) for side in (truth, found)]
        places, which = np.unique(np.concatenate([truth.frames, found.frames]), axis=0, return_inverse=True)
        which = which.reshape(-1)
        rows = [_by_place(part, len(places)) for part in np.split(which, [len(truth.who)])]
        frames = []
        for at, (camera, _) in enumerate(places.tolist()):
            left, right = rows[0][at], rows[1][at]
            overlap = overlaps(truth.boxes[left], found.boxes[right])
            frames.append(Moment(camera, labels[0][1][left], labels[1][1][right], overlap))
        return cls(tuple(frames), len(labels[0][0]), len(labels[1][0]))


def _by_place(which: NDArray[np.int64], places: int) -> list[NDArray[np.int64]]:
    """The rows of each place, in their order."""
    order = np.argsort(which, kind="stable")
    return np.split(order, np.searchsorted(which[order], np.arange(1, places))) if places else []
