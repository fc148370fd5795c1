"""Distances between embeddings, in float64 inside and float32 outside, computed in tiles of one fixed grid.

Shape letters: ``Q`` queries, ``G`` gallery, ``D`` embedding.

Euclidean distance is the plain length |a - b| = sqrt(|a|^2 + |b|^2 - 2 a.b), cosine distance 1 - a.b / (|a| |b|).
The products run in float64, because float32 loses |a - b| in the cancellation where it matters most: identical
vectors of length 1 would come out 3e-4 apart. What float64 cannot tell from zero is set to zero, see :data:`ROUNDING`.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import DataError
from resight.retrieval.ranking.threads import spread

Metric = Literal["euclidean", "cosine"]
METRICS: tuple[str, ...] = get_args(Metric)

ROUNDING = 2.0**-52
"""A squared distance (for cosine, twice the distance) below ``2 * D * ROUNDING * |a|^2`` is rounding noise and becomes
0; with D = 512 these are distances below 5e-7 of the vectors' length, about what float32 coordinates resolve."""

TILE_QUERIES, TILE_GALLERY = 256, 4096  # 1 MiB + 16 MiB + 8 MiB of float64 at D = 512
TOGETHER = 2**14  # float64 values in work at a time, row by row: more memory costs more than the arithmetic in it
_ALIGN = 64  # edges of the grid are filled up with zero rows to a multiple of this
_SHORT = 2.0**-80  # squared lengths of vectors that are scaled
_LONGEST = 1e18  # squares of longer vectors leave float32


def check_metric(metric: str) -> None:
    """Raise DataError unless ``metric`` is one of :data:`METRICS`."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise DataError(f"There is no metric {metric!r}: choose one of {', '.join(METRICS)}.")


class Distances:
    """The (Q, G) distances of two sets of vectors, of which any block of rows and columns can be asked for.

    Every product is computed on a grid of tiles that starts at row 0 and column 0, whatever block is asked for, so a
    pair's distance does not depend on the block (given the same arrays, library and number of BLAS threads). Edge
    tiles are filled up with zeros so that no row takes another path through BLAS than its neighbours: equal gallery
    vectors then get equal distances in any row. That last point is how the usual BLAS libraries behave, not
    something they promise; where sums are exact (small integers) it holds with any of them.

    Args:
        query: (Q, D) floats, finite.
        gallery: (G, D) floats, finite.
        metric: "euclidean" or "cosine".

    Raises:
        DataError: an unknown metric, shapes that do not fit, a vector longer than 1e18 (euclidean), or one of length
            zero (cosine), which has no direction.
    """

    def __init__(self, query: NDArray[Any], gallery: NDArray[Any], metric: str) -> None:
        check_metric(metric)
        for name, vectors in (("query", query), ("gallery", gallery)):
            if vectors.ndim != 2 or vectors.shape[1] == 0:
                raise DataError(
                    f"The {name} vectors have shape {vectors.shape} but (N, D) with D >= 1 is needed: "
                    "pass one row per image."
                )
        if query.shape[1] != gallery.shape[1]:
            raise DataError(
                f"The query vectors have {query.shape[1]} dimensions and the gallery's {gallery.shape[1]}: "
                "embed both with the same model."
            )
        self.metric, self.shape = metric, (len(query), len(gallery))
        squares = [_squared_lengths(name, v, metric) for name, v in (("query", query), ("gallery", gallery))]
        sides, self.power = _into_range([query, gallery], squares, metric)
        (self.query, self.gallery), self.squares = sides, tuple(squares)

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The float32 distances of ``rows`` (start a multiple of TILE_QUERIES) to ``columns`` (of TILE_GALLERY)."""
        if rows.start % TILE_QUERIES or columns.start % TILE_GALLERY:
            raise ValueError(f"blocks start on the grid, not at ({rows.start}, {columns.start})")
        top, left = rows.start, columns.start
        bottom, right = min(rows.stop, self.shape[0]), min(columns.stop, self.shape[1])
        out = np.empty((bottom - top, right - left), np.float32)
        tiles = [
            (start, self._rows(0, start, min(start + TILE_QUERIES, bottom)))
            for start in range(top, bottom, TILE_QUERIES)
        ]
        for column in range(left, right, TILE_GALLERY):
            stop = min(column + TILE_GALLERY, right)
            candidates = self._rows(1, column, stop)
            for row, wanted in tiles:
                height = min(TILE_QUERIES, bottom - row)
                product = (wanted @ candidates.T)[:height, : stop - column]
                target = out[row - top : row - top + height, column - left : stop - left]
                self._finish(product, row, column, target)
        return np.ldexp(out, -self.power, out=out) if self.power else out

    def _rows(self, side: int, start: int, stop: int) -> NDArray[np.float64]:
        """Rows of the query (side 0, negated) or gallery (1) in float64, filled up with zero rows."""
        vectors = (self.query, self.gallery)[side]
        padded = np.zeros((-(-(stop - start) // _ALIGN) * _ALIGN, vectors.shape[1]))
        padded[: stop - start] = vectors[start:stop]
        if self.metric == "cosine":
            padded[: stop - start] /= np.sqrt(self.squares[side][start:stop, None])
        if side == 0:
            padded *= -1.0 if self.metric == "cosine" else -2.0
        return padded

    def _finish(self, product: NDArray[np.float64], row: int, column: int, out: NDArray[np.float32]) -> None:
        """From products to distances, in ``out``."""
        dimensions = self.query.shape[1]
        if self.metric == "cosine":
            np.add(product, 1.0, out=out, casting="same_kind")
            noise: Any = np.float32(dimensions * ROUNDING)
        else:
            squares = self.squares[0][row : row + len(out), None]
            product += squares
            np.add(product, self.squares[1][column : column + out.shape[1]], out=out, casting="same_kind")
            noise = (2 * dimensions * ROUNDING * squares).astype(np.float32)
        zero = out <= noise
        if zero.any():
            out[zero] = 0.0
        if self.metric == "euclidean":
            np.sqrt(out, out=out)


def _into_range(
    sides: list[NDArray[Any]], squares: list[NDArray[np.float64]], metric: str
) -> tuple[list[NDArray[Any]], int]:
    """Vectors so short or long that float32 does not resolve their squares, scaled by powers of two, which is exact.

    Cosine distances stay the same. Euclidean ones become 2^power as large: all vectors are scaled alike, if all are
    short.

    Args:
        sides: query and gallery, (Q, D) and (G, D).
        squares: their squared lengths, which are scaled in place.

    Returns:
        The two sides, and the power.
    """
    if metric == "euclidean":
        longest = max(float(one.max(initial=0.0)) for one in squares)
        if not 0 < longest < _SHORT:
            return sides, 0
        power = -(int(np.frexp(longest)[1]) // 2)
        for one in squares:
            np.ldexp(one, 2 * power, out=one)
        return [np.ldexp(one, power) for one in sides], power
    found = []
    for vectors, one in zip(sides, squares, strict=True):
        extreme = np.flatnonzero((one < _SHORT) | (one > 1 / _SHORT))
        if len(extreme):
            powers = -(np.frexp(one[extreme])[1] // 2)
            vectors = vectors.copy()
            vectors[extreme] = np.ldexp(vectors[extreme], powers[:, None])
            one[extreme] = np.ldexp(one[extreme], 2 * powers)
        found.append(vectors)
    return found, 0


def _squared_lengths(name: str, vectors: NDArray[Any], metric: str) -> NDArray[np.float64]:
    squares = np.empty(len(vectors))

    def work(rows: slice) -> None:
        wide = vectors[rows].astype(np.float64)
        squares[rows] = np.vecdot(wide, wide)

    spread(work, len(squares), max(TOGETHER // vectors.shape[1], 1))
    if metric == "cosine" and not squares.all():
        raise DataError(
            f"The {name} vectors have {int((squares == 0).sum())} of length zero, first in row "
            f"{int(np.argmin(squares != 0))}, and cosine distance needs a direction: leave those images out "
            "or use the euclidean metric."
        )
    if metric == "euclidean" and squares.size and not squares.max() <= _LONGEST**2:
        row = int(np.argmax(~(squares <= _LONGEST**2)))
        raise DataError(
            f"The {name} vector in row {row} is longer than {_LONGEST:.0e} (or not finite), which no trained model "
            "produces: embed that image again or leave it out."
        )
    return squares


def pairwise(query: ArrayLike, gallery: ArrayLike, metric: str = "euclidean") -> NDArray[np.float32]:
    """All distances at once; for large sets use :mod:`resight.retrieval.ranking.rank`, which keeps no Q x G matrix.

    Args:
        query: (Q, D) floats, finite.
        gallery: (G, D) floats, finite.
        metric: "euclidean" for |a - b| (not squared), in [0, inf); "cosine" for 1 - cos(a, b), in [0, 2].

    Returns:
        (Q, G) float32. Identical vectors are exactly 0 apart.

    Raises:
        DataError: see :class:`Distances`.
    """
    sides = [np.asarray(one) for one in (query, gallery)]
    for name, vectors in zip(("query", "gallery"), sides, strict=True):
        if vectors.dtype.kind not in "iuf":
            raise DataError(f"The {name} vectors must hold numbers but hold {vectors.dtype}: pass (N, D) floats.")
    distances = Distances(sides[0], sides[1], metric)
    return distances.block(slice(0, distances.shape[0]), slice(0, distances.shape[1]))
