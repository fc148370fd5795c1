"""Boxes: left, top, right, bottom in pixels, one a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """(M,) the pixels in each of (M, 4) boxes; 0 where there is nothing inside."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    area: NDArray[np.float64] = sides[:, 0] * sides[:, 1]
    return area


def common(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(A, B) the pixels that each of (A, 4) boxes has in common with each of (B, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    area: NDArray[np.float64] = sides[..., 0] * sides[..., 1]
    return area


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(A, B) intersection over union of (A, 4) boxes with (B, 4) boxes, in [0, 1]."""
    both = common(first, second)
    either = areas(first)[:, None] + areas(second)[None] - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def covered(boxes: Boxes) -> NDArray[np.float64]:
    """(M,) the largest share of each box that one of the others, nearer to the camera, hides.

    A box that ends lower is nearer to a camera that looks down at the ground.
    """
    if not len(boxes):
        return np.zeros(0)
    shares = common(boxes, boxes) / np.maximum(areas(boxes), 1e-9)[:, None]
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    found: NDArray[np.float64] = np.where(nearer, shares, 0.0).max(axis=1)
    return np.minimum(found, 1.0)
