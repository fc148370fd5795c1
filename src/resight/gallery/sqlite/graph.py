"""The approximate index: a graph of neighbours (HNSW, Malkov and Yashunin 2018) by FAISS, in a file of links alone.

The vectors stay where they are, in the cache: the file holds none, so there is nothing in it to erase, and both are
memory-mapped. A node has the number of its slot. What changed since the graph was built is not looked for in it.

Shape letters: ``Q`` queries, ``S`` slots, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError, first_line
from resight.files import atomic_path
from resight.gallery.recall import NEIGHBOUR, beyond
from resight.gallery.vectors.scan import Mask, Nearest, apart, faiss, merged, scan

_LINKS, _CARE = 32, 80  # neighbours of a node, and how many are looked at to choose them
_LOOKS = (24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)  # nodes that a search keeps in view: as few as will do
_RECALL = 0.98  # of the nearest 10, that will do
_PROBES = 200
_SHARE = 0.1  # of the slots must pass a filter, or to look at each that does is faster


def build(rows: NDArray[np.float32], live: Mask | None, metric: str, path: Path) -> int:
    """Write the graph of (S, D) rows, S at least 1. It takes the memory of a copy of them.

    Args:
        rows: (S, D).
        live: (S,) which of them count.
        metric: "euclidean" or "cosine"; then rows have length one.
        path: where to.

    Returns:
        How many nodes a search should keep in view.

    Raises:
        ResightError: the file cannot be written.
    """
    library = faiss()
    kind = library.METRIC_INNER_PRODUCT if metric == "cosine" else library.METRIC_L2
    index = library.IndexHNSWFlat(rows.shape[1], _LINKS, kind)
    index.hnsw.efConstruction = _CARE
    apart(lambda: index.add(rows))
    with atomic_path(path) as temporary:
        try:
            library.write_index(index, str(temporary), library.IO_FLAG_SKIP_STORAGE)
        except RuntimeError as error:  # FAISS names its own line, and at the end what the system said
            reason = re.search(r"\(([^()]+)\)\W*$", first_line(error))
            raise ResightError(
                f"The index {path} cannot be written ({reason[1] if reason else first_line(error)}): free some space; "
                "the gallery is unchanged."
            ) from None
    return _look(index, rows, live, metric)


def _look(index: Any, rows: NDArray[np.float32], live: Mask | None, metric: str) -> int:
    """The fewest nodes in view with which the graph finds enough of what is near to points that are in none of it."""
    there = np.arange(len(rows)) if live is None else np.flatnonzero(live)
    some = rows[there[:: max(len(there) // _PROBES, 1)][:_PROBES]]
    points = beyond(some, rows[scan(some, rows, min(NEIGHBOUR, len(there)), metric, live).rows[:, -1]])
    k = min(10, len(there))
    truth = scan(points, rows, k, metric, live).rows
    for look in _LOOKS:
        how = faiss().SearchParametersHNSW(efSearch=max(look, 2 * k))
        found = apart(partial(index.search, points, 2 * k, params=how))[1]
        right = [np.isin(true, near).mean() for true, near in zip(truth, found, strict=True)]
        if not right or np.mean(right) >= _RECALL:
            break
    return look


class Graph:
    """A graph that was built.

    Args:
        path: its file.
        rows: (S, D) the vectors of its nodes and any others; they are looked at where they lie.
        metric: as when it was built.
        look: how many nodes a search keeps in view at least.

    Raises:
        DataError: the file is gone, or is no graph of these rows.
    """

    def __init__(self, path: Path, rows: NDArray[np.float32], metric: str, look: int) -> None:
        self._faiss, self._metric, self._rows, self._look = faiss(), metric, rows, look
        try:
            self._index: Any = self._faiss.read_index(str(path), self._faiss.IO_FLAG_MMAP_IFC)
            self.slots = int(self._index.ntotal)
            if self._index.d != rows.shape[1] or self.slots > len(rows):
                raise RuntimeError
        except RuntimeError:
            raise DataError(f"{path} is no index of this gallery: build it again.") from None
        flat = self._faiss.IndexFlat(rows.shape[1], self._index.metric_type)
        data = rows[: self.slots].reshape(-1).view(np.uint8)
        owner = self._index.hnsw.neighbors.owner  # some owner is needed: the rows are held by this object
        flat.codes = self._faiss.MaybeOwnedVectorUInt8.create_view(self._faiss.swig_ptr(data), data.nbytes, owner)
        flat.ntotal = self.slots
        self._flat = flat
        self._index.own_fields = False
        self._index.storage = flat

    def search(
        self,
        queries: NDArray[np.float32],
        rows: NDArray[np.float32],
        k: int,
        mask: Mask | None,
        changed: NDArray[np.int64],
    ) -> Nearest:
        """About the ``k`` nearest rows of those in the mask.

        Args:
            queries: (Q, D).
            rows: (S, D), at least as many as the graph has nodes.
            k: how many.
            mask: (S,); None for all.
            changed: slots below the number of nodes that are not what the graph thinks; these are looked at one by one,
                as are those that are new.
        """
        share = 1.0 if mask is None else np.count_nonzero(mask) / max(len(mask), 1)
        if share < _SHARE:
            return scan(queries, rows, k, self._metric, mask)
        parts = [self._by_links(queries, k, mask, changed, share)]
        others = changed if mask is None else changed[mask[changed]]
        if len(others):
            apart = scan(queries, rows[others], k, self._metric, None)
            parts.append(Nearest(apart.rough, np.where(apart.rows >= 0, others[apart.rows], -1)))
        if len(rows) > self.slots:
            new = scan(queries, rows[self.slots :], k, self._metric, None if mask is None else mask[self.slots :])
            parts.append(Nearest(new.rough, np.where(new.rows >= 0, new.rows + self.slots, -1)))
        found = merged(parts, len(queries), k)
        return scan(queries, rows, k, self._metric, mask) if (found.rows < 0).any() else found  # it went astray

    def _by_links(
        self,
        queries: NDArray[np.float32],
        k: int,
        mask: Mask | None,
        changed: NDArray[np.int64],
        share: float,
    ) -> Nearest:
        chosen = None
        if mask is not None or len(changed):
            kept = np.ones(self.slots, bool) if mask is None else mask[: self.slots].copy()
            kept[changed] = False
            bits = np.packbits(kept, bitorder="little")
            chosen = self._faiss.IDSelectorBitmap(self.slots, self._faiss.swig_ptr(bits))
        how = self._faiss.SearchParametersHNSW(efSearch=int(max(self._look, 2 * k) / share))
        if chosen is not None:
            how.sel = chosen
        k = min(k, self.slots)
        rough, found = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        apart(partial(self._index.search, np.ascontiguousarray(queries), k, params=how, D=rough, I=found))
        if self._metric == "cosine":
            np.negative(rough, out=rough)
        rough[found < 0] = np.inf
        return Nearest(rough, found)
