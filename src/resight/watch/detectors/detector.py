"""What every detector is: a function from frames to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resight.watch.following.boxes import Boxes
from resight.watch.frames import Frame


@dataclass(frozen=True, eq=False)
class Detections:
    """M boxes in one frame, cut at its edges.

    Attributes:
        boxes: (M, 4) float64: left, top, right, bottom in pixels.
        scores: (M,) float64, how sure the detector is, 0 to 1.
        kinds: (M,) str: what is in them, for example ``"person"`` or ``"car"``.
    """

    boxes: Boxes
    scores: NDArray[np.float64]
    kinds: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Detections:
        """Those at ``which``: indices or a mask."""
        return Detections(self.boxes[which], self.scores[which], self.kinds[which])

    @classmethod
    def within(cls, frame: Frame, boxes: Boxes, scores: NDArray[np.float64], kinds: NDArray[np.str_]) -> Detections:
        """Detections cut to the frame; without a pixel in it they are left out."""
        height, width = frame.pixels.shape[:2]
        cut = np.clip(boxes, 0, (width, height, width, height))
        inside = ((cut[:, 2:] - cut[:, :2]) >= 1).all(axis=1)
        return cls(cut[inside], scores[inside], kinds[inside])


class Detector(Protocol):
    """Finds what there is in frames; whatever can be called like this is a detector."""

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """One :class:`Detections` for each frame; what is found in one frame does not depend on the others."""
        ...
