"""The people of the synthetic sets: who wears what (with Market-1501's attributes), and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from resight.datasets.synthetic.cameras import Camera, Colour, Image, Pen, shade

UPPER = ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")
LOWER = ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown")
ATTRIBUTES = (
    *("gender", "hair", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"),
    *(f"up{colour}" for colour in UPPER),
    *(f"down{colour}" for colour in LOWER),
)
FRONT, BACK, SIDE = range(3)

_RGB: dict[str, Colour] = {
    "black": (38, 38, 42),
    "white": (228, 228, 224),
    "red": (190, 45, 45),
    "purple": (120, 65, 150),
    "yellow": (222, 190, 60),
    "gray": (130, 132, 135),
    "blue": (50, 85, 170),
    "green": (60, 130, 75),
    "pink": (225, 140, 165),
    "brown": (115, 80, 50),
}
_SKIN: tuple[Colour, ...] = ((240, 205, 180), (215, 170, 135), (175, 125, 90), (130, 90, 65), (85, 58, 45))
_HAIR: tuple[Colour, ...] = ((30, 25, 25), (85, 55, 35), (200, 165, 95), (150, 75, 40), (165, 165, 165))
_PATTERNS = ("plain", "hoops", "pinstripes", "band", "sash", "halves", "checks", "dots", "sides")
_PRINTS = ("none", "disc", "square", "bars", "cross", "triangle")
_TRIMS = ("plain", "seam", "cuff", "knee", "hoops")


@dataclass(frozen=True, eq=False)
class Person:
    """One identity: Market-1501's attributes, and what else stays the same from picture to picture.

    Attributes:
        attributes: each of ``ATTRIBUTES``, coded as in Market-1501 (mostly no 1, yes 2).
        shirts: the front, the back and the side of the upper garment, (48, 48, 3) uint8.
        build: width of the body, about 1; ``trim``: what is special about the lower garment.
    """

    attributes: Mapping[str, int]
    shirts: tuple[Image, Image, Image]
    upper: Colour
    sleeve: Colour
    lower: Colour
    trim: str
    trim_colour: Colour
    skin: Colour
    hair: Colour
    shoes: Colour
    hat: Colour
    bags: Colour
    build: float


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _contrasting(rng: np.random.Generator, colour: Colour) -> Colour:
    """A colour of the palette that shows on ``colour``."""
    others = tuple(c for c in _RGB.values() if sum(abs(a - b) for a, b in zip(c, colour, strict=True)) > 150)
    return _pick(rng, others)


@lru_cache(maxsize=64)
def _outfits(seed: int) -> tuple[tuple[str, str], ...]:
    """The few (upper, lower) colours that all people of a set wear, so that colour alone distinguishes none of them."""
    rng = np.random.default_rng((seed, 3))
    upper = [*rng.permutation(UPPER), *rng.choice(UPPER, 2)]
    lower = [*rng.permutation(LOWER), *rng.choice(LOWER, 1)]
    return tuple((str(a), str(b)) for a, b in zip(upper, lower, strict=True))


@lru_cache(maxsize=4096)
def person(identity: int, seed: int) -> Person:
    """Identity ``identity`` of the set with this seed."""
    rng = np.random.default_rng((seed, 0, identity))
    outfits = _outfits(seed)
    upper_name, lower_name = outfits[int(rng.integers(len(outfits)))]
    female = rng.random() < 0.45
    probabilities = {
        "gender": float(female),
        "hair": 0.75 if female else 0.1,
        "up": 0.6,
        "down": 0.4,
        "clothes": 0.65 if female else 1.0,
        "hat": 0.15,
        "backpack": 0.3,
        "bag": 0.25,
        "handbag": 0.25 if female else 0.08,
    }
    attributes = {name: 1 + int(rng.random() < probability) for name, probability in probabilities.items()}
    attributes |= {f"up{name}": 1 + (name == upper_name) for name in UPPER}
    attributes |= {f"down{name}": 1 + (name == lower_name) for name in LOWER}
    upper = shade(_RGB[upper_name], float(rng.uniform(0.85, 1.15)))
    lower = shade(_RGB[lower_name], float(rng.uniform(0.85, 1.15)))
    accent = _contrasting(rng, upper)
    return Person(
        attributes=attributes,
        shirts=_shirts(rng, upper, accent),
        upper=upper,
        sleeve=accent if rng.random() < 0.3 else upper,
        lower=lower,
        trim=str(rng.choice(_TRIMS)),
        trim_colour=_contrasting(rng, lower),
        skin=_pick(rng, _SKIN),
        hair=_pick(rng, _HAIR),
        shoes=_pick(rng, tuple(_RGB.values())),
        hat=_pick(rng, tuple(_RGB.values())),
        bags=_contrasting(rng, upper),
        build=float(rng.uniform(0.85, 1.2)),
    )


def _shirts(rng: np.random.Generator, upper: Colour, accent: Colour) -> tuple[Image, Image, Image]:
    """Front, back and side of a shirt: one pattern all around, a print on the front and perhaps one behind."""
    side = np.empty((48, 48, 3), np.uint8)
    side[:] = upper
    y, x = np.mgrid[:48, :48]
    period, start = int(rng.choice([10, 14, 20])), int(rng.integers(8, 28))
    accented = {
        "plain": np.zeros_like(x, bool),
        "hoops": y % period < period // 2,
        "pinstripes": x % period < period // 2,
        "band": abs(y - start) < 6,
        "sash": abs(x - y + 2 * (start - 18)) < 8,
        "halves": y > start + 6,
        "checks": (y % period < period // 2) ^ (x % period < period // 2),
        "dots": (x % period - period / 2) ** 2 + (y % period - period / 2) ** 2 < (period / 3) ** 2,
        "sides": abs(x - 23.5) > 12,
    }[str(rng.choice(_PATTERNS))]
    side[accented] = accent
    front, back = side.copy(), side.copy()
    for shirt, chance in ((front, 0.8), (back, 0.4)):
        shape = str(rng.choice(_PRINTS[1:])) if rng.random() < chance else "none"
        _print(shirt, shape, _contrasting(rng, upper), int(rng.integers(17, 31)), int(rng.integers(14, 30)))
    return front, back, side


def _print(shirt: Image, shape: str, colour: Colour, x: int, y: int) -> None:
    pen = Pen(shirt, [(1, 0, x), (0, 1, y)])
    if shape == "disc":
        pen.disc(0, 0, 10, 10, colour)
    elif shape == "square":
        pen.box(-10, -9, 10, 9, colour)
    elif shape == "bars":
        pen.box(-12, -8, 12, -3, colour)
        pen.box(-12, 3, 12, 8, colour)
    elif shape == "cross":
        pen.box(-3, -11, 3, 11, colour)
        pen.box(-11, -3, 11, 3, colour)
    elif shape == "triangle":
        pen.polygon([(-12, 10), (12, 10), (0, -12)], colour)


def draw_person(image: Image, who: Person, seen_by: Camera, rng: np.random.Generator, shift: float = 0.0) -> None:
    """Draw a person on an (H, W, 3) image, in place, in a pose of the moment.

    ``shift`` moves the person aside, in widths of the image.
    """
    height, width = image.shape[:2]
    turn, size, lean, x, y, swing, facing = rng.random(7)
    view = FRONT if turn < seen_by.views[FRONT] else BACK if turn < 1 - seen_by.views[SIDE] else SIDE
    mirror = -1.0 if facing < 0.5 else 1.0
    tall = height * (0.84 + 0.16 * size)
    left = width * (0.5 + 0.2 * (x - 0.5) + shift)
    top = (height - tall) * 0.5 + height * 0.09 * (y - 0.5)
    slant = 0.1 * (lean - 0.5)
    # One unit is the person's height; (0, 0) is above the head, (0, 1) between the feet.
    pen = Pen(image, [(tall * mirror, tall * slant, left - tall * slant / 2), (0, tall, top)])
    swing = 2 * swing - 1
    pen.disc(0, 0.985, 0.16 * who.build, 0.02, (70, 70, 70))
    if view == SIDE:
        from_the_side(pen, who, swing)
    else:
        from_ahead(pen, who, view, swing)


def _leg(pen: Pen, who: Person, hip: float, knee: tuple[float, float], foot: tuple[float, float], dim: float) -> None:
    """One leg and its shoe, from the hip (at y 0.5) over the knee to the foot; ``dim`` darkens the farther one."""
    width = 0.075 * who.build
    cover, trim = shade(who.lower, dim), shade(who.trim_colour, dim)
    bare = who.attributes["clothes"] == 1 or who.attributes["down"] == 2
    if bare:
        pen.stroke([knee, foot], 0.75 * width, shade(who.skin, dim))
        pen.stroke([(hip, 0.5), knee], width, cover)
    else:
        pen.stroke([(hip, 0.5), knee, foot], width, cover)
        if who.trim == "cuff":
            ankle = (0.7 * foot[0] + 0.3 * knee[0], 0.7 * foot[1] + 0.3 * knee[1])
            pen.stroke([ankle, foot], width, trim)
    if who.trim == "seam":
        pen.stroke([(hip, 0.5), knee] if bare else [(hip, 0.5), knee, foot], 0.3 * width, trim)
    elif who.trim == "knee":
        pen.disc(knee[0], knee[1] - 0.03, 0.5 * width, 0.035, trim)
    elif who.trim == "hoops":
        for part in (0.25, 0.6):
            x, y = hip + part * (knee[0] - hip), 0.5 + part * (knee[1] - 0.5)
            pen.box(x - 0.55 * width, y, x + 0.55 * width, y + 0.03, trim)
    pen.disc(foot[0] + 0.01, foot[1] + 0.012, 0.042, 0.022, shade(who.shoes, dim))


def _arm(pen: Pen, who: Person, points: list[tuple[float, float]], dim: float = 0.9) -> None:
    """One arm through shoulder, elbow and hand."""
    skin, sleeve, width = shade(who.skin, dim), shade(who.sleeve, dim), 0.055 * who.build
    pen.stroke(points, 0.8 * width, skin)
    if who.attributes["up"] == 1:
        hand, elbow = np.asarray(points[2]), np.asarray(points[1])
        pen.stroke([points[0], points[1], elbow + 0.75 * (hand - elbow)], width, sleeve)
    else:
        pen.stroke(points[:2], width, sleeve)


def _skirt(pen: Pen, who: Person, waist: float) -> None:
    hem = 0.88 if who.attributes["down"] == 1 else 0.7
    flare = waist + 0.17 * (hem - 0.46) + 0.02
    pen.polygon([(-waist, 0.46), (waist, 0.46), (flare, hem), (-flare, hem)], who.lower)
    if who.trim in ("cuff", "hoops"):
        pen.polygon(
            [(0.01 - flare, hem - 0.05), (flare - 0.01, hem - 0.05), (flare, hem), (-flare, hem)], who.trim_colour
        )
    if who.trim in ("seam", "knee"):
        pen.box(-0.02, 0.48, 0.02, hem, who.trim_colour)


def _head(pen: Pen, who: Person, view: int) -> None:
    long = who.attributes["hair"] == 2
    pen.box(-0.025, 0.12, 0.025, 0.18, shade(who.skin, 0.85))
    if long and view != BACK:
        for x in (-0.035,) if view == SIDE else (-0.048, 0.048):
            pen.stroke([(x, 0.05), (x * 1.15, 0.2)], 0.04, who.hair)
    pen.disc(0, 0.085, 0.05, 0.068, who.skin)
    if view == BACK:
        pen.disc(0, 0.08, 0.055, 0.068, who.hair)
        if long:
            pen.polygon([(-0.058, 0.07), (0.058, 0.07), (0.06, 0.24), (-0.06, 0.24)], who.hair)
    else:
        behind = 0.02 if view == SIDE else 0.0
        pen.polygon(
            [(-0.055, 0.1), (-0.05, 0.03), (0, 0.008), (0.05, 0.03), (0.055 - 2 * behind, 0.065), (-0.03, 0.06)],
            who.hair,
        )
        for x in (0.035,) if view == SIDE else (-0.02, 0.02):
            pen.disc(x, 0.085, 0.007, 0.007, (40, 35, 35))
        if view == SIDE:
            pen.disc(-0.03, 0.075, 0.028, 0.055, who.hair)
    if who.attributes["hat"] == 2:
        pen.polygon([(-0.058, 0.055), (-0.048, 0.0), (0.048, 0.0), (0.058, 0.055)], who.hat)
        brim = {FRONT: (-0.07, 0.07), BACK: (-0.06, 0.06), SIDE: (-0.058, 0.11)}[view]
        pen.box(brim[0], 0.045, brim[1], 0.065, shade(who.hat, 0.75))


def from_ahead(pen: Pen, who: Person, view: int, swing: float) -> None:
    """A person coming (front) or going (back)."""
    shoulder, waist, step = 0.13 * who.build, 0.1 * who.build, 0.035 * swing
    _leg(pen, who, -0.05, (-0.055, 0.72), (-0.06, 0.95 + min(0, step)), 0.85)
    _leg(pen, who, 0.05, (0.055, 0.72), (0.06, 0.95 - max(0, step)), 1.0)
    if who.attributes["clothes"] == 1:
        _skirt(pen, who, waist)
    for side in (-1, 1):
        out = side * (shoulder + 0.02)
        hand = (side * (shoulder + 0.03 + 0.02 * swing * side), 0.52 - 0.05 * abs(swing))
        _arm(pen, who, [(side * (shoulder - 0.02), 0.2), (out + 0.01 * side, 0.35), hand])
    torso = [(-0.05, 0.155), (0.05, 0.155), (shoulder, 0.185), (waist, 0.5), (-waist, 0.5), (-shoulder, 0.185)]
    pen.cloth(torso, who.shirts[view])
    _head(pen, who, view)
    if who.attributes["backpack"] == 2:
        if view == BACK:
            pen.polygon([(-0.08, 0.19), (0.08, 0.19), (0.1, 0.44), (-0.1, 0.44)], who.bags)
            pen.box(-0.065, 0.33, 0.065, 0.42, shade(who.bags, 0.7))
            pen.disc(0, 0.19, 0.07, 0.025, shade(who.bags, 0.8))
        else:
            for x in (-0.08, 0.08):
                pen.stroke([(x, 0.18), (x, 0.4)], 0.028, who.bags)
    if who.attributes["bag"] == 2:
        flip = 1 if view == FRONT else -1
        pen.stroke([(-flip * 0.09, 0.17), (flip * 0.12, 0.46)], 0.022, shade(who.bags, 0.75))
        pen.box(min(flip * 0.08, flip * 0.19), 0.44, max(flip * 0.08, flip * 0.19), 0.57, shade(who.bags, 0.75))
    if who.attributes["handbag"] == 2:
        _handbag(pen, who, (shoulder + 0.03) * (-1 if view == FRONT else 1), 0.52)


def _handbag(pen: Pen, who: Person, x: float, y: float) -> None:
    pen.stroke([(x - 0.03, y + 0.05), (x, y - 0.01), (x + 0.03, y + 0.05)], 0.015, shade(who.bags, 0.6))
    pen.box(x - 0.055, y + 0.04, x + 0.055, y + 0.13, who.bags)


def from_the_side(pen: Pen, who: Person, swing: float) -> None:
    """A person walking by, to the right before any mirroring."""
    deep, stride = 0.085 * who.build, 0.13 * swing
    _arm(pen, who, [(0, 0.21), (0.04 * swing, 0.35), (0.04 + 0.1 * swing, 0.48)], 0.7)
    _leg(pen, who, 0, (0.02 - stride / 2, 0.72), (-stride, 0.95), 0.75)
    _leg(pen, who, 0, (0.02 + stride / 2, 0.72), (stride, 0.95), 1.0)
    if who.attributes["clothes"] == 1:
        _skirt(pen, who, deep)
    if who.attributes["backpack"] == 2:
        pen.polygon([(-deep, 0.19), (-deep - 0.08, 0.24), (-deep - 0.09, 0.42), (-deep, 0.44)], who.bags)
    torso = [(-0.04, 0.155), (0.04, 0.155), (deep, 0.21), (0.9 * deep, 0.5), (-0.9 * deep, 0.5), (-deep, 0.21)]
    pen.cloth(torso, who.shirts[SIDE])
    _head(pen, who, SIDE)
    if who.attributes["bag"] == 2:
        pen.box(-0.06, 0.44, 0.06, 0.57, shade(who.bags, 0.75))
        pen.stroke([(0, 0.17), (0, 0.45)], 0.022, shade(who.bags, 0.75))
    hand = (0.03 - 0.1 * swing, 0.5)
    _arm(pen, who, [(0, 0.21), (-0.05 * swing - 0.01, 0.36), hand])
    if who.attributes["handbag"] == 2:
        _handbag(pen, who, *hand)
