"""Accuracy of the identities found in videos, where the ground truth is known: identity F1 (Ristani et al. 2016).

Every found identity is matched to at most one true one, and the other way round, so that the sum of the boxes that are
right (identity true positives, IDTP) is as large as it can be. All other true boxes are missed (IDFN), all other found
boxes are wrong (IDFP). Over several cameras an identity is one only if it is the same in all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from resight.errors import DataError
from resight.watch.following.boxes import Boxes, overlaps

SAME = 0.5  # intersection over union from which a found box is that of a true one


@dataclass(frozen=True, eq=False)
class Boxed:
    """N boxes and their identities.

    Attributes:
        frames: (N, 2) int64: camera and frame.
        boxes: (N, 4) float64: left, top, right, bottom.
        who: (N,) str or integers.

    Raises:
        DataError: shapes that differ, or an identity with two boxes in one frame.
    """

    frames: NDArray[np.int64]
    boxes: Boxes
    who: NDArray[Any]

    def __post_init__(self) -> None:
        count = len(self.who)
        if self.frames.shape != (count, 2) or self.boxes.shape != (count, 4):
            raise DataError(
                f"There are frames {self.frames.shape} and boxes {self.boxes.shape} for {count} identities: "
                "pass (N, 2), (N, 4) and (N,)."
            )
        _, labels = np.unique(self.who, return_inverse=True)
        places = np.concatenate([self.frames, labels.reshape(-1, 1)], axis=1)
        if len(np.unique(places, axis=0)) < count:
            raise DataError("An identity has two boxes in one frame: leave one of them out.")

    @classmethod
    def joined(cls, parts: Sequence[tuple[int, ArrayLike, ArrayLike, ArrayLike]]) -> Boxed:
        """Of parts (camera, frames, boxes, who), in each of which ``who`` may be one for all."""
        frames, boxes, who = [], [], []
        for camera, numbers, some, names in parts:
            own = np.asarray(numbers, np.int64)
            frames.append(np.stack([np.full(len(own), camera), own], axis=1))
            boxes.append(np.asarray(some, np.float64).reshape(-1, 4))
            who.append(np.broadcast_to(np.asarray(names), len(own)))
        if not parts:
            return cls(np.zeros((0, 2), np.int64), np.zeros((0, 4)), np.zeros(0, np.int64))
        return cls(np.concatenate(frames), np.concatenate(boxes), np.concatenate(who))


@dataclass(frozen=True)
class IdentityF1:
    """What :func:`identity_f1` found.

    Attributes:
        f1: 2 IDTP / (2 IDTP + IDFP + IDFN).
        precision: IDTP / (IDTP + IDFP); ``recall``: IDTP / (IDTP + IDFN).
        right, wrong, missed: IDTP, IDFP and IDFN, in boxes.
        true, found: how many identities there are.
    """

    f1: float
    precision: float
    recall: float
    right: int
    wrong: int
    missed: int
    true: int
    found: int

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"identity F1 {self.f1:.1%} (precision {self.precision:.1%}, recall {self.recall:.1%}), "
            f"{self.found} identities found, {self.true} true"
        )


def identity_f1(truth: Boxed, found: Boxed, overlap: float = SAME) -> IdentityF1:
    """Compare found identities with the true ones.

    Args:
        truth, found: boxes of the same cameras and frames.
        overlap: intersection over union from which two boxes are the same.
    """
    true_names, true_of = np.unique(truth.who, return_inverse=True)
    names, own_of = np.unique(found.who, return_inverse=True)
    together = np.zeros((len(true_names), len(names)), np.int64)
    rows = _by_frame(found)
    for frame, true_rows in _by_frame(truth).items():
        if frame in rows:
            same = overlaps(truth.boxes[true_rows], found.boxes[rows[frame]]) >= overlap
            left, right = np.nonzero(same)
            np.add.at(together, (true_of[true_rows][left], own_of[rows[frame]][right]), 1)
    right_boxes = int(together[linear_sum_assignment(-together)].sum())
    missed, wrong = len(truth.who) - right_boxes, len(found.who) - right_boxes
    everything = len(truth.who) + len(found.who)
    return IdentityF1(
        f1=2 * right_boxes / everything if everything else 1.0,
        precision=right_boxes / len(found.who) if len(found.who) else 1.0,
        recall=right_boxes / len(truth.who) if len(truth.who) else 1.0,
        right=right_boxes,
        wrong=wrong,
        missed=missed,
        true=len(true_names),
        found=len(names),
    )


def _by_frame(boxed: Boxed) -> dict[tuple[int, int], list[int]]:
    rows = defaultdict(list)
    for row, (camera, frame) in enumerate(boxed.frames.tolist()):
        rows[camera, frame].append(row)
    return rows
