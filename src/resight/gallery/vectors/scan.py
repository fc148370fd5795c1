"""The nearest of many rows by FAISS, in float32, with a bound on how far its values are from the truth.

Shape letters: ``Q`` queries, ``S`` slots, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.pools import Lock, Pool
from resight.retrieval.ranking.threads import THREADS, spread

_FEW = 20  # queries from which on FAISS multiplies matrices
_SLAB = 2**16  # rows at a time then
_WEAK, _WIDER, _MORE = 1 / 3, 1.3, 32  # a mask that leaves more than this; how many more are then looked for
_SLICE = 2**12  # fewer rows than this are no work for a thread of their own

Mask = NDArray[np.bool_]
Result = TypeVar("Result")


class Nearest(NamedTuple):
    """(Q, K) rough distances, ascending, infinity where there are no more, and the rows they are of (-1 there).

    Rough distances are |q - x|^2 for euclidean and -q.x for cosine, whose vectors must have length one.
    """

    rough: NDArray[np.float32]
    rows: NDArray[np.int64]


def scan(queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, metric: str, mask: Mask | None) -> Nearest:
    """The ``k`` nearest of (S, D) rows, of those in the mask (S,), to each of (Q, D) queries."""
    if mask is not None:
        share = np.count_nonzero(mask) / max(len(mask), 1)
        wide = int(_WIDER * k / max(share, _WEAK)) + _MORE
        if share > _WEAK and wide < len(rows):  # it leaves out little: faster to do that afterwards
            found = _passing(_scan(queries, rows, wide, metric, None), mask, k)
            if found is not None:
                return found
    return _scan(queries, rows, k, metric, mask)


def _passing(near: Nearest, mask: Mask, k: int) -> Nearest | None:
    """The first ``k`` in the mask for each query; None where there are fewer for some."""
    kept = mask[near.rows] & (near.rows >= 0)
    if (kept.sum(axis=1) < k).any():
        return None
    order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
    return Nearest(np.take_along_axis(near.rough, order, 1), np.take_along_axis(near.rows, order, 1))


def _scan(queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, metric: str, mask: Mask | None) -> Nearest:
    if len(queries) < _FEW:
        step = max(-(-len(rows) // THREADS), _SLICE)
        parts: list[Nearest] = []

        def work(some: slice) -> None:
            faiss().omp_set_num_threads(1)  # of this thread only
            within = None if mask is None else mask[some]
            parts.append(_knn(queries, rows[some], k, metric, within, some.start))

        spread(work, len(rows), step)
        return merged(parts, len(queries), k)
    return apart(lambda: _by_products(queries, rows, k, metric, mask))


def _by_products(
    queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, metric: str, mask: Mask | None
) -> Nearest:
    found = merged([], len(queries), k)
    for start in range(0, len(rows), _SLAB):
        some = slice(start, min(start + _SLAB, len(rows)))
        if mask is None:
            found = merged([found, _knn(queries, rows[some], k, metric, None, start)], len(queries), k)
        else:
            kept = np.flatnonzero(mask[some])
            part = _knn(queries, rows[some][kept], k, metric, None, 0)
            named = np.where(part.rows >= 0, kept[part.rows] + start if len(kept) else -1, -1)
            found = merged([found, Nearest(part.rough, named)], len(queries), k)
    return found


def slack(queries: NDArray[np.float32], longest: float, metric: str) -> NDArray[np.float64]:
    """(Q,) by how much two rough distances may be in the wrong order: twice the most that one is off.

    u = 2^-24 for each rounding, D of them in a sum whatever its order, some more for the products and for scaling to
    length one. FAISS computes |q - x|^2 as |q|^2 + |x|^2 - 2 q.x when there are many queries.

    Args:
        longest: the largest |x|^2.
    """
    wide = queries.astype(np.float64)
    lengths = np.sqrt(np.vecdot(wide, wide))
    most = lengths**0 if metric == "cosine" else (lengths + longest**0.5) ** 2
    found: NDArray[np.float64] = 2 * (1.01 * queries.shape[1] + 16) * 2.0**-24 * most
    return found


def _knn(
    queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, metric: str, mask: Mask | None, start: int
) -> Nearest:
    """The nearest of contiguous rows of which the first has the number ``start``."""
    k = min(k, len(rows))
    rough, found = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    if k:
        library = faiss()
        to = library.swig_ptr
        bits, selector = None, None
        if mask is not None:
            bits = np.packbits(mask, bitorder="little")
            selector = library.IDSelectorBitmap(len(mask), to(bits))
        known = (to(queries), to(rows), queries.shape[1], len(queries), len(rows), k, to(rough), to(found))
        if metric == "cosine":
            library.knn_inner_product(*known, selector)
            np.negative(rough, out=rough)
        else:
            library.knn_L2sqr(*known, None, selector)
    rough[found < 0] = np.inf
    found[found >= 0] += start
    return Nearest(rough, found)


def merged(parts: list[Nearest], count: int, k: int) -> Nearest:
    """The ``k`` nearest of several, for so many queries."""
    if len(parts) == 1 and parts[0].rows.shape[1] == k:
        return parts[0]
    nothing = Nearest(np.full((count, k), np.inf, np.float32), np.full((count, k), -1, np.int64))
    rough, rows = (np.concatenate(some, axis=1) for some in zip(nothing, *parts, strict=True))
    order = np.argsort(rough, axis=1, kind="stable")[:, :k]
    return Nearest(np.take_along_axis(rough, order, 1), np.take_along_axis(rows, order, 1))


_importing = Lock()
_threads = Pool(THREADS, "resight-faiss")


def apart(work: Callable[[], Result]) -> Result:
    """What ``work`` gives, done in a thread of ours: in a forked process FAISS would wait for its parent's threads.

    OpenMP remembers them for each thread that used it, and a fork takes along only the thread that forks.
    """
    (result,) = _threads.map(lambda _: work(), (None,))
    return result


def faiss() -> Any:
    """The library, imported when it is first needed.

    Raises:
        DataError: it is not installed.
    """
    try:
        with _importing:
            import faiss as library
    except ImportError:
        raise DataError("A gallery is searched with FAISS: install it with pip install 'resight[gallery]'.") from None
    return library
