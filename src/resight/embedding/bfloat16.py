"""All images of one set compared by products in bfloat16, on processors that multiply it faster than float32.

The squares are part of the product, in two numbers each, since one has 8 bits:

    |p_i|^2 + |p_j|^2 - 2 p_i.p_j = (p_i, high_i, low_i, 1, 1) . (-2 p_j, 1, 1, high_j, low_j).

Shape letters: ``N`` images, ``D`` embedding, ``T`` rows of a tile, ``W`` columns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from resight.retrieval.ranking.rough import Rough
from resight.retrieval.ranking.threads import one_blas_thread, one_openmp_thread, spread
from resight.retrieval.ranking.tiles import Images, Tile, Tiles, parts

_WORTH = 10**9  # pairs of images from which on what torch saves is more than loading it takes
_FASTER = 1.5  # than float32 has bfloat16 to be
_ROUNDED = 2.0**-8  # of a number at most, where it becomes bfloat16


@dataclass(frozen=True)
class Bfloat16Products:
    """To be passed as ``products=`` to :class:`resight.KReciprocal`; the result stays the same.

    Products are in bfloat16 where that is faster: where torch is loaded or there are so many images that it is worth
    loading, and this processor multiplies bfloat16 faster than float32.
    """

    def tiles(self, rough: Rough) -> Tiles | None:
        """The distances of N images to each other; None where bfloat16 would not be faster."""
        worth = "torch" in sys.modules or rough.shape[0] ** 2 >= _WORTH
        return Bfloat16(rough) if worth and faster() else None


class Bfloat16:
    """Tiles of bfloat16 by torch, see :class:`resight.retrieval.ranking.tiles.Tiles`.

    With b the rounded p and r = p - b, the product b_i.b_j is off by r_i.p_j + b_i.r_j. Sums are made in float32, with
    two roundings for each term at most. The result is rounded to bfloat16.
    """

    shift, kind, relative = 16, np.int16, _ROUNDED

    def __init__(self, rough: Rough) -> None:
        import torch

        count, dimensions = rough.shape[0], rough.dimensions
        self._points = torch.empty((count, dimensions + 4), dtype=torch.bfloat16, device="cpu")
        self._points[:, dimensions + 2 :] = 1
        squares = torch.from_numpy(rough.squares)
        self._points[:, dimensions] = high = squares.bfloat16()
        self._points[:, dimensions + 1] = squares - high
        lost = np.empty(count)

        def work(rows: slice) -> None:
            with one_openmp_thread():
                exact = torch.from_numpy(rough.points(rows))
                self._points[rows, :dimensions] = exact
                left = (exact - self._points[rows, :dimensions]).numpy()
            lost[rows] = np.sqrt(np.vecdot(left, left))

        spread(work, count, 256)
        lost = 1.01 * lost + 2.0**-60
        lengths = 1.001 * np.sqrt(rough.squares.astype(np.float64))
        products = 2 * (lost * lengths.max() + (lengths + lost) * lost.max())
        sums = 2.0**-23 * 1.01 * (dimensions + 8) * (lengths + lengths.max() + 2.0**-8) ** 2
        self.error = (1 + _ROUNDED) * (products + sums + 2.0**-15) + rough.error

    def between(self, rows: slice, columns: Images, height: int, width: int) -> Iterator[Tile]:
        """See :class:`resight.retrieval.ranking.tiles.Tiles`."""
        import torch

        points, there = self._points[rows], self._points[columns]
        last = there.shape[1] - 4
        buffer = torch.empty(height * width, dtype=torch.bfloat16, device="cpu")
        with one_openmp_thread():
            there = torch.cat([there[:, :last] * -2, there[:, last + 2 :], there[:, last : last + 2]], 1)
        for right in parts(len(there), width):
            for left in parts(len(points), height):
                size = left.stop - left.start, right.stop - right.start
                found = buffer[: size[0] * size[1]].view(size)
                with one_openmp_thread():
                    torch.mm(points[left], there[right].T, out=found)
                yield Tile(left, right, found.view(torch.int16).numpy())


@cache
def faster() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32, tried once in some milliseconds."""
    import torch

    rng = np.random.default_rng(0)
    rows, columns = (rng.standard_normal((count, 512), np.float32) for count in (128, 256))
    left, right = (torch.from_numpy(one).bfloat16() for one in (rows, columns))

    def seconds(work: Callable[[], object]) -> float:
        took = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
        return min(took)

    with one_openmp_thread(), one_blas_thread():
        return _FASTER * seconds(lambda: torch.mm(left, right.T)) < seconds(lambda: np.matmul(rows, columns.T))
