"""Rough squared distances of all images of one set to each other, tile by tile, as whole numbers that sort as they do.

The rough distance of i and j is |p_i - p_j|^2, with the p of :class:`resight.retrieval.ranking.rough.Rough`, and the
same both ways. Its bits are its code: the 32 of float32 or the 16 of bfloat16. A code below zero, made by rounding,
means zero.

Shape letters: ``N`` images, ``D`` embedding, ``T`` rows of a tile, ``W`` columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.ranking.rough import Rough

Codes = NDArray[np.signedinteger[Any]]
Images = slice | NDArray[np.int64]


class Tile(NamedTuple):
    """The codes of some rows and columns, both counted from the first.

    Attributes:
        rows, columns: these.
        codes: (T, W) the caller's to change, until the next tile is asked for.
    """

    rows: slice
    columns: slice
    codes: Codes


class Tiles(Protocol):
    """Rough distances v of what is truly t apart.

    Attributes:
        shift, kind: by how many bits a code is shorter than a float32, and its type.
        error: (N,) and relative: |v - t| <= error + relative * t for each image.
    """

    shift: int
    kind: type[np.signedinteger[Any]]
    error: NDArray[np.float64]
    relative: float

    def between(self, rows: slice, columns: Images, height: int, width: int) -> Iterator[Tile]:
        """The tiles of some images and others, of at most so many rows and columns."""


@runtime_checkable
class TiledProducts(Protocol):
    """A way to compute the distances of all images of one set to each other."""

    def tiles(self, rough: Rough) -> Tiles | None:
        """Less exact distances that are faster than those of float32; None for those of float32."""


class Float32:
    """Tiles of float32, by whatever computes the products of ``rough``."""

    shift, kind, relative = 0, np.int32, 0.0

    def __init__(self, rough: Rough) -> None:
        self._rough, self.error = rough, rough.error + 2.0**-22  # adding |p_i|^2 rounds once more

    def between(self, rows: slice, columns: Images, height: int, width: int) -> Iterator[Tile]:
        """See :class:`Tiles`."""
        points, beside = self._rough.points(rows), self._rough.squares[rows, None]
        points *= -2
        there, above = self._rough.points(columns), self._rough.squares[columns]
        buffer = np.empty(height * width, np.float32)
        for right in parts(len(there), width):
            multiply = self._rough.multiplier(there[right])
            for left in parts(len(points), height):
                wanted = points[left]
                size = len(wanted), right.stop - right.start
                distances = buffer[: size[0] * size[1]].reshape(size)
                multiply(wanted, distances)
                distances += above[right]
                distances += beside[left]
                yield Tile(left, right, distances.view(np.int32))


def parts(count: int, size: int) -> list[slice]:
    """Slices of ``size`` of so many rows."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
