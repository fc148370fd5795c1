"""The same person before another camera: other light, box, sharpness and surroundings, on uint8 images in memory.

One image at a time with OpenCV, which on small images is faster than whole batches of floats.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.images.augmentation import Augmentation
from resight.images.decode import Pixels

Numbers = NDArray[np.float64]  # uniform in [0, 1)
GREY = np.array([0.299, 0.587, 0.114])


def change(pixels: Pixels, others: Pixels | None, table: Numbers, how: Augmentation) -> Pixels:
    """Every change that ``how`` asks for of each image.

    Args:
        pixels: (B, H, W, 3) uint8 RGB; a new array is returned.
        others: (B, K, H, W, 3), K = ``how.others``: what halves, box and patch mix them with; None for K = 0.
        table: (B, columns) uniform numbers, see :mod:`resight.images.augmentation`.

    Raises:
        DataError: fewer other images than ``how`` needs.
    """
    if how.others and (others is None or others.shape[1] < how.others):
        raise DataError(f"This augmentation mixes each image with {how.others} others: pass them as `others`.")
    out = np.empty_like(pixels)
    for at, (image, u) in enumerate(zip(pixels, table.tolist(), strict=True)):
        partners = iter(others[at] if others is not None else ())
        half, behind, over = (next(partners) if p else None for p in (how.halves, how.box, how.patch))
        x = image
        if half is not None and u[0] < how.halves:
            x = halves(x, half, u[1])
        if behind is not None and u[2] < how.box:
            x = box(x, behind, u[3:11], how.box_scale)
        if u[11] < how.light:
            x = light(x, u[12:20])
        if u[20] < how.blur:
            x = blur(x, u[21])
        if u[22] < how.low_resolution:
            x = low_resolution(x, u[23])
        out[at] = x
        if over is not None and u[24] < how.patch:
            patch(out[at], over, u[25:29], how)
    return out


def halves(x: Pixels, other: Pixels, u: float) -> Pixels:
    """Below a height of 0.3 to 0.8 the other image."""
    at = round((0.3 + 0.5 * u) * len(x))
    return np.concatenate((x[:at], other[at:]))


def box(x: Pixels, other: Pixels, u: list[float], scale: tuple[float, float]) -> Pixels:
    """Scaled in each direction; what the image does not cover is the other image, blurred, or a flat colour."""
    H, W = x.shape[:2]
    down, right = (scale[0] + (scale[1] - scale[0]) * number for number in u[:2])
    height, width = max(1, round(H * down)), max(1, round(W * right))
    scaled = cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR)
    out = np.empty_like(x)
    if height < H or width < W:
        flat = u[4] < 0.5
        out[:] = (np.array(u[5:8]) * 256).astype(np.uint8) if flat else cv2.blur(other, (W // 4 + 1, W // 4 + 1))
    (to_rows, rows), (to_columns, columns) = _overlap(H, height, u[2]), _overlap(W, width, u[3])
    out[to_rows, to_columns] = scaled[rows, columns]
    return out


def light(x: Pixels, u: list[float]) -> Pixels:
    """Gain, cast, offset, contrast about the mean grey, saturation, and gamma: an affine map of colours and a table."""
    gain, offset, contrast = 0.5 + u[0], 50 * u[1] - 25, 0.6 + 0.8 * u[2]
    cast = gain * (0.85 + 0.3 * np.array(u[3:6]))
    saturation, gamma = 0.3 + 1.3 * u[6], 0.6 + u[7]
    middle = float(GREY @ (cast * np.array(cv2.mean(x)[:3]))) + offset
    mixed = saturation * np.eye(3) + (1 - saturation) * GREY  # each row of the second part is GREY
    colours = contrast * mixed * cast
    shift = contrast * offset + (1 - contrast) * middle  # grey: saturation leaves it
    changed = cv2.transform(x, np.column_stack((colours, np.full(3, shift))))
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return np.asarray(cv2.LUT(changed, table), np.uint8)


def blur(x: Pixels, u: float) -> Pixels:
    """Gaussian, with a deviation of 0.5 to 2.5% of the width."""
    return np.asarray(cv2.GaussianBlur(x, (0, 0), (0.005 + 0.02 * u) * x.shape[1]), np.uint8)


def low_resolution(x: Pixels, u: float) -> Pixels:
    """Reduced to 0.35 to 0.8 of its size and enlarged again."""
    H, W = x.shape[:2]
    factor = 0.35 + 0.45 * u
    size = max(1, round(W * factor)), max(1, round(H * factor))
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (W, H), interpolation=cv2.INTER_LINEAR), np.uint8)


def patch(x: Pixels, other: Pixels, u: list[float], how: Augmentation) -> None:
    """A rectangle of the other image over ``x``, which is changed."""
    H, W = x.shape[:2]
    area = (how.erase_area[0] + (how.erase_area[1] - how.erase_area[0]) * u[0]) * H * W
    ratio = how.erase_ratio[0] * (how.erase_ratio[1] / how.erase_ratio[0]) ** u[1]
    height = min(max(1, round(math.sqrt(area * ratio))), H)
    width = min(max(1, round(math.sqrt(area / ratio))), W)
    top, left = int(u[2] * (H - height + 1)), int(u[3] * (W - width + 1))
    x[top : top + height, left : left + width] = other[top : top + height, left : left + width]


def _overlap(size: int, scaled: int, u: float) -> tuple[slice, slice]:
    """Where on ``size`` pixels something of ``scaled`` pixels is put, and which of its pixels."""
    at = int(u * (abs(size - scaled) + 1))
    if scaled <= size:
        return slice(at, at + scaled), slice(0, scaled)
    return slice(0, size), slice(at, at + size)
