"""Any number of pictures, one after the other, as batches of one size; what cannot be read is left out and named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.images.decode import Pixels, fit
from resight.images.pictures import Colour, pixels_of
from resight.images.quality import quality
from resight.models.card import Preprocessing
from resight.pools import Pool

WORKERS = min(8, (os.cpu_count() or 1) + 1)
_pool = Pool(WORKERS, "resight-decode")


class Item(NamedTuple):
    """A picture, its place among all, and its name; or, in the place of the picture, why there is none."""

    position: int
    name: str
    picture: object


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be embedded.

    Attributes:
        position: which of those that were given, from 0.
        name: its path; ``"image 7"`` where it has none.
        reason: one sentence: what is wrong with it, and what to do.
    """

    position: int
    name: str
    reason: str


OnError: TypeAlias = Callable[[BadImage], None]


@dataclass(frozen=True, eq=False)
class Batch:
    """B images of one size, and those that were to stand among them but are bad.

    Attributes:
        pixels: (B, H, W, 3) uint8 RGB.
        positions: (B,) int64, which they are of those that were given.
        names: B names.
        quality: (B,) float32, see :mod:`resight.images.quality`; None where it was not asked for.
        bad: in order.
    """

    pixels: Pixels
    positions: NDArray[np.int64]
    names: tuple[str, ...]
    quality: NDArray[np.float32] | None = None
    bad: tuple[BadImage, ...] = ()


def read(
    items: Iterable[Item], to: Preprocessing, *, batch_size: int, colour: Colour = "RGB", judge: bool = False
) -> Iterator[Batch]:
    """The pictures resized as ``to`` says, in order, ``batch_size`` at a time, decoded in threads.

    No more than one batch of ``items`` is held. A batch with a bad image is smaller. ``judge`` tells their quality.
    """

    def one(item: Item) -> tuple[Pixels, float] | str:
        try:
            if isinstance(item.picture, DataError):
                raise item.picture
            pixels = pixels_of(item.picture, item.name, colour)
            return fit(pixels, to.height, to.width, how=to.resize, interpolation=to.interpolation), quality(
                pixels
            ) if judge else 0.0
        except DataError as error:
            return str(error)

    rest = iter(items)
    while group := list(islice(rest, batch_size)):
        found = list(_pool.map(one, group)) if len(group) > 1 else [one(group[0])]
        good, made, bad = [], [], []
        for item, one_found in zip(group, found, strict=True):
            if isinstance(one_found, str):
                bad.append(BadImage(item.position, item.name, one_found))
            else:
                good.append(item)
                made.append(one_found)
        pixels = np.empty((len(good), to.height, to.width, 3), np.uint8)
        for at, (fitted, _) in enumerate(made):
            pixels[at] = fitted
        yield Batch(
            pixels,
            np.array([item.position for item in good], np.int64),
            tuple(item.name for item in good),
            np.array([value for _, value in made], np.float32) if judge else None,
            tuple(bad),
        )
