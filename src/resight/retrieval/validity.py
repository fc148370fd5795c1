"""Which gallery images are valid for a query, and which of those are its true matches, under a protocol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.protocols import Protocol

_NONE = np.empty(0, np.int64)


class _Groups:
    """Gallery indices by value: for each query its group's, ascending. Memory is O(Q + G)."""

    def __init__(self, queries: NDArray[np.generic], gallery: NDArray[np.generic]) -> None:
        self.order = np.argsort(gallery, kind="stable")
        ordered = gallery[self.order]
        self.first = np.searchsorted(ordered, queries, "left")
        self.last = np.searchsorted(ordered, queries, "right")

    def of(self, q: int) -> NDArray[np.int64]:
        return self.order[self.first[q] : self.last[q]]


class Validity:
    """The rules of one protocol applied to one query set and one gallery.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        protocol: None makes every gallery image valid and none a match.

    Raises:
        DataError: a column the protocol needs is missing.
    """

    def __init__(self, query: Embeddings, gallery: Embeddings, protocol: Protocol | None) -> None:
        self.protocol = protocol
        self._same_path: _Groups | None = None
        if protocol is None:
            return
        query_ids, self._gallery_ids = _column(query, "query", "identities"), _column(gallery, "gallery", "identities")
        self._query_ids = query_ids
        self._junk = np.flatnonzero(self._gallery_ids == JUNK)
        self._same_identity = _Groups(query_ids, self._gallery_ids)
        if protocol.ignore_same_camera:
            self._query_cameras = _column(query, "query", "cameras")
            self._gallery_cameras = _column(gallery, "gallery", "cameras")
        if protocol.ignore_same_path:
            if query.paths is not None and gallery.paths is not None:
                self._same_path = _Groups(query.paths, gallery.paths)
            elif np.may_share_memory(query.vectors, gallery.vectors):
                raise DataError(
                    f"The query and the gallery are the same vectors without paths, so {protocol.name} cannot leave "
                    "out each query itself: pass paths=... with both embeddings."
                )

    def _left_out(self, q: int, same: NDArray[np.int64]) -> NDArray[np.int64]:
        """Gallery indices the protocol leaves out for query ``q`` beside junk; ``same`` is its identity's group."""
        out = _NONE
        if self.protocol is not None and self.protocol.ignore_same_camera:
            out = same[self._gallery_cameras[same] == self._query_cameras[q]]
        if self._same_path is not None:
            out = np.union1d(out, self._same_path.of(q))
        return out

    def same_identity(self, q: int) -> NDArray[np.int64]:
        """Gallery indices with query ``q``'s identity, ascending; none for a junk or distractor query."""
        if self.protocol is None or self._query_ids[q] in (JUNK, DISTRACTOR):
            return _NONE
        return self._same_identity.of(q)

    def matches(self, q: int) -> NDArray[np.int64]:
        """Gallery indices of the true, valid matches of query ``q``, ascending."""
        same = self.same_identity(q)
        out = self._left_out(q, same) if len(same) else _NONE
        return same[~np.isin(same, out)] if len(out) else same

    def mask(self, block: NDArray[np.float32], row: int, column: int) -> None:
        """Set the invalid pairs of a block of distances that starts at (``row``, ``column``) to infinity."""
        if self.protocol is None:
            return
        junk = self._junk[(self._junk >= column) & (self._junk < column + block.shape[1])]
        block[:, junk - column] = np.inf
        for r in range(len(block)):
            out = self._left_out(row + r, self.same_identity(row + r)) - column
            block[r, out[(out >= 0) & (out < block.shape[1])]] = np.inf


def _column(embeddings: Embeddings, name: str, column: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] | None = getattr(embeddings, column)
    if values is None:
        other = " or use the single_camera protocol" if column == "cameras" else ""
        raise DataError(
            f"The {name} embeddings have no {column}, which the protocol needs: "
            f"pass {column}=... as an (N,) array of integers{other}."
        )
    return values
