"""The cameras of the synthetic sets: where they look from, how they see colour, what stands behind and in front.

Also :class:`Pen`, with which people and vehicles are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Image: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel
_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker (factor below 1) or lighter (above)."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in colour)
    return red, green, blue


class Pen:
    """Draws on an (H, W, 3) image in coordinates of its own: ``pixel = matrix @ (x, y, 1)``, matrix (2, 3)."""

    def __init__(self, image: Image, matrix: ArrayLike) -> None:
        self.image = image
        self.matrix = np.asarray(matrix, dtype=np.float64)
        self.scale = float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def on(self, origin: ArrayLike, right: ArrayLike, down: ArrayLike) -> Pen:
        """A pen for a plane spanned by two vectors, all given in this pen's coordinates."""
        plane = np.column_stack([right, down, origin])
        matrix = self.matrix[:, :2] @ plane
        matrix[:, 2] += self.matrix[:, 2]
        return Pen(self.image, matrix)

    def pixels(self, points: ArrayLike) -> NDArray[np.int32]:
        """(K, 2) points as OpenCV wants them, in sixteenths of a pixel."""
        exact = np.asarray(points, dtype=np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.rint((exact - 0.5) * (1 << _SHIFT)).astype(np.int32)

    def polygon(self, points: ArrayLike, colour: Colour) -> None:
        """Fill a polygon of (K, 2) points."""
        cv2.fillPoly(self.image, [self.pixels(points)], colour, cv2.LINE_AA, _SHIFT)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill the rectangle between two corners."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def disc(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill an ellipse with half axes ``width`` and ``height``."""
        self.polygon(_CIRCLE * (width, height) + (x, y), colour)

    def stroke(self, points: ArrayLike, width: float, colour: Colour) -> None:
        """Draw through (K, 2) points with a round brush."""
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.image, [self.pixels(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)

    def cloth(self, points: ArrayLike, texture: Image) -> None:
        """Fill a polygon with a texture stretched over its bounding box."""
        corners = np.asarray(points, dtype=np.float64)
        low, high = corners.min(axis=0), corners.max(axis=0)
        height, width = texture.shape[:2]
        step = (high - low) / (width, height)
        plane = self.on(low, (step[0], 0.0), (0.0, step[1])).matrix
        size = (self.image.shape[1], self.image.shape[0])
        layer = cv2.warpAffine(texture, plane, size, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self.pixels(points)], 255, cv2.LINE_8, _SHIFT)
        cv2.copyTo(layer, mask, self.image)


@dataclass(frozen=True, eq=False)
class Camera:
    """What one camera does to every picture it takes.

    Attributes:
        views: shares of people seen from the front, from behind and from the side; they sum to 1.
        yaw: radians, from where vehicles are mostly seen (0 is their right side, pi / 2 their front).
        gains: (3,) white balance; ``gamma``, ``contrast``, ``brightness``: the tone curve.
        blur: pixels (standard deviation); ``resolution``: share of the pixels along a side that are really resolved.
        noise: (2H, 2W, 3) int16 grain; each picture takes another window of it.
        scene: (2H, 5W, 3) uint8 background; likewise.
        quality: of its JPEG files, 1 to 100.
    """

    views: tuple[float, float, float]
    yaw: float
    gains: NDArray[np.float64]
    gamma: float
    contrast: float
    brightness: float
    blur: float
    resolution: float
    noise: NDArray[np.int16]
    scene: Image
    quality: int


@lru_cache(maxsize=64)
def camera_model(number: int, seed: int, size: tuple[int, int]) -> Camera:
    """Camera ``number`` (from 1) of the set with this seed, for images of ``size`` (height, width)."""
    start = np.random.default_rng((seed, 1)).random(6)
    rng = np.random.default_rng((seed, 1, number))
    # Multiples of irrational numbers, modulo 1: whatever their count, the cameras differ plainly from one another.
    tint, tone, flat, sharp, view, level = (start + number * np.sqrt([5.0, 7.0, 3.0, 11.0, 13.0, 17.0])) % 1.0
    favourite = number % 4
    views = ((0.6, 0.2, 0.2), (0.2, 0.6, 0.2), (0.2, 0.2, 0.6), (0.4, 0.4, 0.2))[favourite]
    grain = rng.normal(0.0, 2.0 + 5.0 * sharp, (2 * size[0], 2 * size[1], 3))
    return Camera(
        views=views,
        yaw=(0.8, 2.4, 0.3, 1.3)[favourite] + 0.3 * view,
        gains=1.0 + 0.09 * np.cos(2 * np.pi * (tint + np.arange(3) / 3)),
        gamma=0.8 * 1.6**tone,
        contrast=0.8 + 0.25 * flat,
        brightness=16.0 * (level - 0.5),
        blur=size[0] / 128 * (0.3 + 0.5 * sharp),
        resolution=1.0 - 0.4 * ((sharp + 0.5) % 1.0),
        noise=np.rint(grain).astype(np.int16),
        scene=_scene(rng, number % 5, size),
        quality=int(84 + 10 * flat),
    )


def _paint(values: NDArray[np.int64]) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue


def _scene(rng: np.random.Generator, style: int, size: tuple[int, int]) -> Image:
    """A (2H, 5W, 3) background: something upright above, some ground below, and what makes the place known."""
    height, width = 2 * size[0], 5 * size[1]
    unit = size[0] / 8
    scene = np.empty((height, width, 3), np.uint8)
    pen = Pen(scene, [(1, 0, 0), (0, 1, 0)])
    wall = _paint(rng.integers(90, 180) + rng.integers(-25, 25, 3))
    ground = _paint(rng.integers(100, 150) + rng.integers(-12, 12, 3))
    horizon = height * float(rng.uniform(0.45, 0.6))
    pen.box(0, 0, width, horizon, wall)
    pen.box(0, horizon, width, height, ground)
    if style == 0:  # bricks
        for row in range(int(horizon / unit) + 1):
            pen.box(0, row * unit, width, row * unit + unit / 6, shade(wall, 0.7))
            for x in np.arange((row % 2) * unit, width, 2 * unit):
                pen.box(x, row * unit, x + unit / 6, (row + 1) * unit, shade(wall, 0.7))
    elif style == 1:  # shop windows
        for x in np.arange(0, width, 5 * unit):
            pen.box(x, 0.15 * horizon, x + 4 * unit, 0.95 * horizon, (60, 75, 95))
            pen.box(x + 0.5 * unit, 0.2 * horizon, x + 2 * unit, 0.6 * horizon, (150, 170, 190))
    elif style == 2:  # greenery
        for _ in range(600):
            x, y = rng.uniform(0, width), rng.uniform(0, horizon * 1.05)
            green = shade((70, 125, 60), float(rng.uniform(0.5, 1.4)))
            pen.disc(x, y, float(rng.uniform(0.3, 1.2)) * unit, float(rng.uniform(0.3, 0.9)) * unit, green)
    elif style == 3:  # railings before a plain wall
        for x in np.arange(0, width, unit):
            pen.box(x, 0.35 * horizon, x + unit / 4, horizon, shade(wall, 0.45))
        pen.box(0, 0.33 * horizon, width, 0.38 * horizon, shade(wall, 0.45))
    else:  # doors and posters
        for x in np.arange(0, width, 4 * unit):
            pen.box(x, 0.2 * horizon, x + 2.5 * unit, 0.8 * horizon, _paint(rng.integers(40, 230, 3)))
    for y in horizon + (height - horizon) * np.linspace(0.05, 1, 7) ** 1.5:  # paving, or the marks of a road
        pen.box(0, y, width, y + unit / 8, shade(ground, 0.8 if style % 2 else 1.35))
    rough = cv2.resize(rng.normal(0, 9, (height // 6, width // 6, 3)), (width, height))
    shadows = cv2.resize(rng.uniform(0.5, 1.3, (2, 12)), (width, height), interpolation=cv2.INTER_CUBIC)
    return cast(Image, np.clip(scene * shadows[..., None] + rough, 0, 255).astype(np.uint8))


def backdrop(seen_by: Camera, rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """A fresh (H, W, 3) window of the camera's scene, its horizon always about where the camera has it."""
    top = int(size[0] * rng.uniform(0.35, 0.6))
    left = int(size[1] * rng.uniform(0.0, 4.0))
    return seen_by.scene[top : top + size[0], left : left + size[1]].copy()


def occlude(image: Image, rng: np.random.Generator) -> None:
    """Put a pole or a bush in front of the person, in place."""
    pen = Pen(image, [(image.shape[1], 0, 0), (0, image.shape[0], 0)])
    if rng.random() < 0.5:
        x, grey = float(rng.uniform(0.1, 0.9)), shade((130, 130, 125), float(rng.uniform(0.5, 1.4)))
        pen.box(x - 0.06, 0, x + 0.06, 1, grey)
        pen.box(x + 0.02, 0, x + 0.06, 1, shade(grey, 0.7))
    else:
        middle = rng.uniform(0.0, 1.0)
        for x, y, r, light in rng.random((14, 4)):
            leaf = shade((70, 120, 55), 0.6 + 0.8 * light)
            pen.disc(middle + 0.5 * (x - 0.5), 0.75 + 0.3 * y, 0.06 + 0.08 * r, 0.03 + 0.05 * r, leaf)


def photograph(image: Image, seen_by: Camera, rng: np.random.Generator) -> Image:
    """What the camera makes of an (H, W, 3) scene: resolution, blur, white balance, tone curve and grain."""
    height, width = image.shape[:2]
    exposure, x, y, *tint = rng.random(6)
    coarse = (max(1, round(width * seen_by.resolution)), max(1, round(height * seen_by.resolution)))
    seen = cv2.resize(cv2.resize(image, coarse, interpolation=cv2.INTER_AREA), (width, height))
    seen = cv2.GaussianBlur(seen, (0, 0), seen_by.blur)
    gains = seen_by.gains * (0.75 + 0.4 * exposure + 0.1 * np.array(tint))
    light = np.arange(256)[:, None] / 255 * gains
    curve = 128 + seen_by.brightness + seen_by.contrast * (255 * light**seen_by.gamma - 128)
    seen = cv2.LUT(seen, np.clip(curve, 0, 255).astype(np.uint8)[None])
    top, left = int(y * height), int(x * width)
    grain = seen_by.noise[top : top + height, left : left + width]
    return cast(Image, cv2.add(seen, grain, dtype=cv2.CV_8U))
