"""The vehicles of the synthetic sets: profiles drawn out to their width, turned, and painted with their own marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resight.datasets.synthetic.cameras import Camera, Colour, Image, Pen, shade

TYPES = ("sedan", "hatchback", "van", "truck", "bus")
COLOURS = ("white", "black", "gray", "red", "blue", "yellow", "green", "brown")
ATTRIBUTES = ("type", "colour")

_RGB: dict[str, Colour] = {
    "white": (222, 222, 220),
    "black": (45, 45, 50),
    "gray": (140, 143, 148),
    "red": (175, 40, 45),
    "blue": (45, 80, 160),
    "yellow": (220, 185, 50),
    "green": (55, 120, 75),
    "brown": (115, 85, 60),
}
_GLASS: Colour = (70, 85, 100)
_BLACK: Colour = (28, 28, 30)
Point: TypeAlias = tuple[float, float, float]  # forward, to the left, up, in metres
Outline: TypeAlias = tuple[tuple[float, float], ...]  # (forward, up)


@dataclass(frozen=True)
class Part:
    """A profile, in metres (forward, up), drawn out to the vehicle's width.

    ``faces`` names the strip from each point to the next, clockwise from the rear bumper: ``rear``, ``glass``,
    ``roof``, ``hood``, ``front`` or ``under``; ``windows`` are polygons on its sides.
    """

    outline: Outline
    faces: tuple[str, ...]
    windows: tuple[Outline, ...] = ()
    cargo: bool = False


@dataclass(frozen=True)
class Shape:
    """A type of vehicle, in metres.

    Attributes:
        parts: from back to front.
        wheels: where their axles are, along the vehicle; ``half``: half its width.
        door: from where to where something can be stuck on its sides; ``belt``: the height of the line along them.
    """

    parts: tuple[Part, ...]
    wheels: tuple[float, ...]
    half: float
    door: tuple[float, float]
    belt: float


_SEDAN = Part(
    ((-2.2, 0.35), (-2.2, 0.95), (-1.6, 1.02), (-1.0, 1.46), (0.4, 1.46), (1.1, 1.0), (2.2, 0.86), (2.2, 0.35)),
    ("rear", "hood", "glass", "roof", "glass", "hood", "front", "under"),
    (
        ((-1.35, 1.03), (-0.95, 1.38), (-0.3, 1.38), (-0.3, 1.03)),
        ((-0.2, 1.03), (-0.2, 1.38), (0.35, 1.38), (0.9, 1.03)),
    ),
)
_HATCHBACK = Part(
    ((-1.8, 0.35), (-1.85, 1.0), (-1.5, 1.55), (0.3, 1.55), (1.0, 1.05), (1.8, 0.9), (1.8, 0.35)),
    ("rear", "glass", "roof", "glass", "hood", "front", "under"),
    (
        ((-1.5, 1.06), (-1.3, 1.45), (-0.4, 1.45), (-0.4, 1.06)),
        ((-0.3, 1.06), (-0.3, 1.45), (0.25, 1.45), (0.8, 1.06)),
    ),
)
_VAN = Part(
    ((-2.3, 0.4), (-2.3, 1.25), (-2.25, 2.1), (1.2, 2.1), (1.85, 1.25), (2.3, 1.1), (2.3, 0.4)),
    ("rear", "glass", "roof", "glass", "hood", "front", "under"),
    (((0.3, 1.3), (0.3, 1.95), (1.15, 1.95), (1.6, 1.3)),),
)
_CARGO = Part(
    ((-3.0, 0.6), (-3.0, 2.6), (0.95, 2.6), (0.95, 0.6)),
    ("rear", "roof", "front", "under"),
    cargo=True,
)
_CAB = Part(
    ((1.05, 0.4), (1.05, 2.0), (1.9, 2.0), (2.35, 1.25), (2.4, 0.4)),
    ("rear", "roof", "glass", "front", "under"),
    (((1.3, 1.3), (1.3, 1.85), (1.85, 1.85), (2.15, 1.3)),),
)
_BUS = Part(
    ((-3.4, 0.4), (-3.4, 1.35), (-3.4, 2.5), (3.3, 2.5), (3.4, 1.25), (3.4, 0.4)),
    ("rear", "glass", "roof", "glass", "front", "under"),
    tuple(((x, 1.4), (x, 2.2), (x + 1.0, 2.2), (x + 1.0, 1.4)) for x in (-3.2, -2.1, -1.0, 0.1, 1.2, 2.3)),
)
_SHAPES = {
    "sedan": Shape((_SEDAN,), wheels=(-1.35, 1.35), half=0.9, door=(-0.9, 0.9), belt=0.7),
    "hatchback": Shape((_HATCHBACK,), wheels=(-1.15, 1.15), half=0.88, door=(-0.7, 0.7), belt=0.72),
    "van": Shape((_VAN,), wheels=(-1.45, 1.5), half=0.98, door=(-1.2, 1.4), belt=0.8),
    "truck": Shape((_CARGO, _CAB), wheels=(-2.1, 1.7), half=1.05, door=(-2.2, 0.2), belt=1.0),
    "bus": Shape((_BUS,), wheels=(-2.2, 2.2), half=1.15, door=(-1.5, 1.5), belt=0.95),
}


@dataclass(frozen=True, eq=False)
class Vehicle:
    """One identity: its ``type`` and ``colour`` (coded from 1 in the order of ``TYPES`` and ``COLOURS``) and marks.

    Attributes:
        stripe: metres above the belt, and height, of a line along the sides, or None; ``hood_stripe``: likewise.
        sticker: where on the door (0 to 1) something is stuck, or None; ``sticker_shape``: disc, box or bars.
        roof: plain, rack, sign or painted.
        damage: the corner, front or rear (+1, -1) and left or right (+1, -1), where the bumper is damaged, or None.
    """

    attributes: Mapping[str, int]
    paint: Colour
    cargo: Colour
    mark: Colour
    second: Colour
    stripe: tuple[float, float] | None
    hood_stripe: float | None
    sticker: float | None
    sticker_shape: str
    roof: str
    damage: tuple[int, int] | None
    rims: Colour
    glass: Colour


@lru_cache(maxsize=64)
def _fleet(seed: int) -> tuple[tuple[int, int], ...]:
    """The few (type, colour) pairs that a set's vehicles come in: every type and every colour, many of each."""
    rng = np.random.default_rng((seed, 3))
    types = [*rng.permutation(len(TYPES)), *rng.choice(len(TYPES), 3)]
    return tuple((int(a), int(b)) for a, b in zip(types, rng.permutation(len(COLOURS)), strict=True))


@lru_cache(maxsize=4096)
def vehicle(identity: int, seed: int) -> Vehicle:
    """Identity ``identity`` of the set with this seed."""
    rng = np.random.default_rng((seed, 0, identity))
    fleet = _fleet(seed)
    kind, name = fleet[int(rng.integers(len(fleet)))]
    paint = shade(_RGB[COLOURS[name]], float(rng.uniform(0.85, 1.15)))
    visible = [c for c in _RGB.values() if sum(abs(a - b) for a, b in zip(c, paint, strict=True)) > 170]
    mark, second = (visible[int(i)] for i in rng.choice(len(visible), 2))
    chance = rng.random(4)
    return Vehicle(
        attributes={"type": kind + 1, "colour": name + 1},
        paint=paint,
        cargo=list(_RGB.values())[int(rng.integers(5))],
        mark=mark,
        second=second,
        stripe=(float(rng.uniform(-0.25, 0.1)), float(rng.choice([0.12, 0.22, 0.32]))) if chance[0] < 0.6 else None,
        hood_stripe=float(rng.choice([-0.4, 0.0, 0.4])) if chance[1] < 0.5 else None,
        sticker=float(rng.random()) if chance[2] < 0.7 else None,
        sticker_shape=str(rng.choice(["disc", "box", "bars"])),
        roof=str(rng.choice(["plain", "rack", "sign", "painted"])),
        damage=(int(rng.choice([-1, 1])), int(rng.choice([-1, 1]))) if chance[3] < 0.4 else None,
        rims=((190, 190, 195), (60, 60, 62), mark)[int(rng.integers(3))],
        glass=shade(_GLASS, float(rng.choice([0.5, 1.0, 1.5]))),
    )


def draw_vehicle(image: Image, what: Vehicle, seen_by: Camera, rng: np.random.Generator, shift: float = 0.0) -> None:
    """Draw a vehicle on an (H, W, 3) image, in place, as it passes the camera.

    ``shift`` moves it aside, in widths of the image.
    """
    height, width = image.shape[:2]
    turn, away, side, size, x, y, rise = rng.random(7)
    yaw = seen_by.yaw + 0.7 * (turn - 0.5)
    yaw = yaw + np.pi if away < 0.2 else yaw  # the other lane
    yaw = -yaw if side < 0.35 else yaw
    tilt = 0.22 + 0.2 * rise
    sin, cos, up, flat = np.sin(yaw), np.cos(yaw), np.sin(tilt), np.cos(tilt)
    shape = _SHAPES[TYPES[what.attributes["type"] - 1]]
    # Where a metre forward, to the left and up goes on the picture: rightwards (first row) and downwards.
    axes = np.array([[cos, sin, 0], [sin * up, -cos * up, -flat]])
    outline = [point for part in shape.parts for point in part.outline] + [(wheel, 0.0) for wheel in shape.wheels]
    corners = np.array([(forward, left, z) for forward, z in outline for left in (-shape.half, shape.half)]) @ axes.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = (0.8 + 0.18 * size) * np.min((width, height) / (high - low))
    centre = np.array([width * (0.5 + 0.12 * (x - 0.5) + shift), height * (0.5 + 0.12 * (y - 0.5))])
    pose = np.column_stack([scale * axes, centre - scale * (low + high) / 2])
    _Turned(image, what, shape, pose, (sin * flat, -cos * flat, up)).draw()


@dataclass(frozen=True, eq=False)
class _Turned:
    """One vehicle in one pose: ``pose`` (2, 4) takes metres to pixels, ``viewer`` is the direction to the camera."""

    image: Image
    what: Vehicle
    shape: Shape
    pose: NDArray[np.float64]
    viewer: Point

    def plane(self, origin: Point, right: Point, down: Point) -> Pen:
        """A pen for a plane through ``origin`` spanned by ``right`` and ``down``, all in metres."""
        matrix = self.pose[:, :3] @ np.array([right, down, origin]).T
        matrix[:, 2] += self.pose[:, 3]
        return Pen(self.image, matrix)

    def draw(self) -> None:
        """Shadow, wheels, body and what is on the roof, from the farthest to the nearest."""
        half = self.shape.half
        ends = [x for part in self.shape.parts for x, _ in part.outline]
        ground = self.plane((0, 0, 0), (1, 0, 0), (0, 1, 0))
        ground.box(min(ends), -half - 0.1, max(ends), half + 0.1, (60, 60, 60))
        near = -half if self.viewer[1] < 0 else half
        for x in self.shape.wheels:  # the far side's, seen below
            self.plane((x, -near * 0.9, 0.36), (1, 0, 0), (0, 0, 1)).disc(0, 0, 0.36, 0.36, _BLACK)
        order = 1 if self.viewer[0] > 0 else -1
        for part in self.shape.parts[::order]:
            self.strips(part)
            self.side(part, near)
        side = self.plane((0, near, 0), (1, 0, 0), (0, 0, 1))
        for x in self.shape.wheels:
            side.disc(x, 0.4, 0.44, 0.42, shade(_BLACK, 0.7))
            side.disc(x, 0.36, 0.36, 0.36, _BLACK)
            side.disc(x, 0.36, 0.2, 0.2, self.what.rims)
        self.roof_things()

    def strips(self, part: Part) -> None:
        """The faces across the vehicle that can be seen, the farthest first."""
        count = len(part.outline)
        seen = []
        for i, face in enumerate(part.faces):
            (x0, z0), (x1, z1) = part.outline[i], part.outline[(i + 1) % count]
            normal = (z0 - z1, x1 - x0)
            if face != "under" and normal[0] * self.viewer[0] + normal[1] * self.viewer[2] > 0:
                depth = (x0 + x1) * self.viewer[0] + (z0 + z1) * self.viewer[2]
                seen.append((depth, face, x0, z0, x1, z1))
        half = self.shape.half
        for _, face, x0, z0, x1, z1 in sorted(seen):
            if z1 > z0:  # from the top down, whichever way round the profile goes
                x0, z0, x1, z1 = x1, z1, x0, z0
            self.face(part, face, self.plane((x0, 0, z0), (0, half, 0), (x1 - x0, 0, z1 - z0)))

    def face(self, part: Part, face: str, pen: Pen) -> None:
        """One such face; ``pen`` goes from -1 to 1 across it and from 0 to 1 down."""
        what = self.what
        paint = what.cargo if part.cargo else what.paint
        if part.cargo or face in ("rear", "front"):
            pen.box(-1, 0, 1, 1, shade(paint, 0.85))
        elif face == "roof":
            pen.box(-1, 0, 1, 1, what.mark if what.roof == "painted" else shade(paint, 1.12))
        else:
            pen.box(-1, 0, 1, 1, paint)
        if part.cargo:
            if face == "rear":
                pen.box(-0.02, 0.05, 0.02, 0.95, shade(paint, 0.5))
                pen.box(-0.8, 0.3, -0.2, 0.5, what.mark)
        elif face == "glass":
            pen.box(-0.88, 0.08, 0.88, 0.95, what.glass)
        elif face in ("hood", "roof") and what.hood_stripe is not None:
            pen.box(what.hood_stripe - 0.16, 0, what.hood_stripe + 0.16, 1, what.second)
        elif face in ("front", "rear"):
            lamp = (245, 240, 205) if face == "front" else (185, 30, 30)
            for flip in (-1, 1):
                pen.box(0.55 * flip, 0.12, 0.95 * flip, 0.38, lamp)
            pen.box(-1, 0.72, 1, 1, shade(paint, 0.6))
            if face == "front":
                pen.box(-0.45, 0.18, 0.45, 0.5, _BLACK)
            pen.box(-0.25, 0.6, 0.25, 0.78, (225, 225, 215))
            if what.damage and what.damage[0] == (1 if face == "front" else -1):
                pen.polygon(
                    [(what.damage[1] * u, v) for u, v in ((1, 0.45), (0.45, 0.7), (0.55, 1), (1, 1))], (20, 20, 20)
                )

    def side(self, part: Part, near: float) -> None:
        """The side towards the camera: paint, windows, stripe, sticker."""
        what, belt = self.what, self.shape.belt
        pen = self.plane((0, near, 0), (1, 0, 0), (0, 0, 1))
        pen.polygon(part.outline, what.cargo if part.cargo else what.paint)
        rear, front = min(x for x, _ in part.outline), max(x for x, _ in part.outline)
        if what.stripe is not None:
            low = belt + what.stripe[0]
            pen.box(rear, low, front, low + what.stripe[1], what.second)
        for window in part.windows:
            pen.polygon(window, what.glass)
        if what.sticker is None or (len(self.shape.parts) > 1 and not part.cargo):
            return
        x = self.shape.door[0] + what.sticker * (self.shape.door[1] - self.shape.door[0])
        tall = 0.5 if part.cargo else 0.28
        z = 1.7 if part.cargo else belt
        if what.sticker_shape == "disc":
            pen.disc(x, z, tall, tall, what.mark)
        elif what.sticker_shape == "box":
            pen.box(x - 1.5 * tall, z - 0.7 * tall, x + 1.5 * tall, z + 0.7 * tall, what.mark)
        else:
            for step in (-1, 0, 1):
                pen.box(x + step * tall - 0.1, z - tall, x + step * tall + 0.1, z + tall, what.mark)

    def roof_things(self) -> None:
        """A rack or a lit sign on the roof."""
        part = self.shape.parts[-1]
        i = part.faces.index("roof")
        (rear, top), (front, _) = part.outline[i], part.outline[i + 1]
        half = self.shape.half
        if self.what.roof == "rack":
            for y in (-0.7 * half, 0.7 * half):
                pen = self.plane((0, y, top), (1, 0, 0), (0, 0, 1))
                pen.box(rear + 0.1, 0.08, front - 0.1, 0.2, _BLACK)
                for x in np.linspace(rear + 0.15, front - 0.2, 3):
                    pen.box(x, 0, x + 0.06, 0.1, _BLACK)
            for x in np.linspace(rear + 0.2, front - 0.2, 3):
                self.plane((x, 0, top + 0.15), (0, 1, 0), (1, 0, 0)).box(-0.7 * half, -0.06, 0.7 * half, 0.06, _BLACK)
        elif self.what.roof == "sign":
            x = (rear + front) / 2
            self.plane((x, 0, top), (0, 1, 0), (0, 0, 1)).box(-0.4, 0, 0.4, 0.3, self.what.mark)
            self.plane((x, 0, top), (1, 0, 0), (0, 0, 1)).box(-0.25, 0, 0.25, 0.3, shade(self.what.mark, 0.8))
