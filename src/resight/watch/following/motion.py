"""Where a box will be: a Kalman filter of constant velocity (Kalman 1960) for its middle, width and height.

Lengths count in heights of the box and times in seconds, so that one set of numbers fits near and far, and any
frame rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEEN = np.array([0.04, 0.04, 0.08, 0.06])  # standard deviation of a detector's boxes: middle x, y, width, height
SPEED = np.array([1.0, 0.5, 0.2, 0.3])  # of the velocity of a new track, per second
CHANGE = np.array([1.0, 0.6, 0.3, 0.4])  # of the change of velocity within a second


class Motion:
    """The state of one box.

    Args:
        box: (4,) left, top, right, bottom of the first sighting.
    """

    def __init__(self, box: NDArray[np.float64]) -> None:
        unit = box[3] - box[1]
        self.mean = np.stack([_middle(box), np.zeros(4)], axis=1)  # position and velocity of each of the four
        self.spread = np.zeros((4, 2, 2))
        self.spread[:, 0, 0] = (SEEN * unit) ** 2
        self.spread[:, 1, 1] = (SPEED * unit) ** 2

    @property
    def box(self) -> NDArray[np.float64]:
        """(4,) where the box should be now."""
        x, y, width, height = self.mean[:, 0]
        half = np.maximum([width, height], 1.0) / 2
        return np.array([x - half[0], y - half[1], x + half[0], y + half[1]])

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        push = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])  # white noise acceleration
        change = (CHANGE * max(self.mean[3, 0], 1.0)) ** 2
        self.mean = self.mean @ step.T
        self.spread = step @ self.spread @ step.T + change[:, None, None] * push

    def far(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M,) squared distances of the middles of (M, 4) boxes from where this one should be, in variances."""
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        variance = self.spread[:2, 0, 0] + (SEEN[:2] * self.mean[3, 0]) ** 2
        squares: NDArray[np.float64] = ((middles - self.mean[:2, 0]) ** 2 / variance).sum(axis=1)
        return squares

    def update(self, box: NDArray[np.float64]) -> None:
        """Take in where the box was seen."""
        noise = (SEEN * (box[3] - box[1])) ** 2
        gain = self.spread[:, :, 0] / (self.spread[:, 0, 0] + noise)[:, None]  # (4, 2)
        self.mean = self.mean + gain * (_middle(box) - self.mean[:, 0])[:, None]
        self.spread = self.spread - gain[:, :, None] * self.spread[:, None, 0, :]


def _middle(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) middle x, y, width and height."""
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]])
