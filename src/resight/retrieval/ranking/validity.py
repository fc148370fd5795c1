"""Which gallery images are valid for a query, and which of those are its true matches, under a protocol."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.files import same_file_keys
from resight.from_zero import from_one
from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.ranking.protocols import Protocol
from resight.texts import texts


class Lists(NamedTuple):
    """Some gallery images for each query.

    Attributes:
        images: (P,) int64 gallery indices; query q's are ``images[offsets[q]:offsets[q + 1]]``.
        offsets: (Q + 1,) int64.
    """

    images: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def of(self, q: int) -> NDArray[np.int64]:
        """Those of query ``q``."""
        return self.images[self.offsets[q] : self.offsets[q + 1]]

    def owners(self) -> NDArray[np.int64]:
        """(P,) whose each image is."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def select(self, chosen: NDArray[np.bool_]) -> Lists:
        """What is marked in ``chosen`` (P,)."""
        return Lists(self.images[chosen], np.concatenate([[0], np.cumsum(chosen)])[self.offsets])

    def rows(self, rows: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows, counted from the first of ``rows``, and images of the queries in ``rows``, for indexing a block."""
        start, stop = self.offsets[[rows.start, rows.stop]]
        sizes = np.diff(self.offsets[rows.start : rows.stop + 1])
        return np.repeat(np.arange(len(sizes)), sizes), self.images[start:stop]


class Validity:
    """The rules of one protocol applied to one query set and one gallery.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        protocol: None makes every gallery image valid and none a match.

    Attributes:
        same_identity: the gallery images with each query's identity, ascending; none for a junk or distractor query.
        matches: its true, valid matches, ascending.
        left_out: what the protocol leaves out for it beside junk.
        kept: (G',) int64 ascending, the gallery images that are not junk.

    Raises:
        DataError: a column the protocol needs is missing.
    """

    def __init__(self, query: Embeddings, gallery: Embeddings, protocol: Protocol | None) -> None:
        nothing = Lists(np.empty(0, np.int64), np.zeros(len(query) + 1, np.int64))
        self.same_identity = self.matches = self.left_out = nothing
        self.kept = np.arange(len(gallery))
        if protocol is None:
            return
        one, other = from_one(query, gallery)
        query_ids, gallery_ids = _column(one, "query", "identities"), _column(other, "gallery", "identities")
        self.kept = np.flatnonzero(gallery_ids != JUNK)
        same = _groups(query_ids, gallery_ids)
        same = same.select(~np.isin(query_ids, (JUNK, DISTRACTOR))[same.owners()])
        out, left_out = np.zeros(len(same.images), np.bool_), nothing  # of those of the same identity, and of all
        if protocol.ignore_same_camera:
            query_cameras, cameras = _column(query, "query", "cameras"), _column(gallery, "gallery", "cameras")
            _check_one_kind(query, query_cameras, gallery, cameras)
            out = cameras[same.images] == query_cameras[same.owners()]
            left_out = same.select(out)
        if protocol.ignore_same_path:
            if query.paths is not None and gallery.paths is not None:
                left_out = _union(left_out, _groups(_files(query), _files(gallery)), len(gallery))
                out = np.isin(_keys(same, len(gallery)), _keys(left_out, len(gallery)))
            elif np.may_share_memory(query.vectors, gallery.vectors):
                raise DataError(
                    f"The query and the gallery are the same vectors without paths, so {protocol.name} cannot leave "
                    "out each query itself: pass paths=... with both embeddings."
                )
        self.same_identity, self.left_out = same, left_out
        self.matches = same.select(~out)

    def mask(self, block: NDArray[np.float32], row: int, column: int) -> None:
        """Set the invalid pairs of a block of distances that starts at (``row``, ``column``) to infinity."""
        junk = np.ones(block.shape[1], np.bool_)
        first, last = np.searchsorted(self.kept, (column, column + block.shape[1]))
        junk[self.kept[first:last] - column] = False
        block[:, junk] = np.inf
        rows, images = self.left_out.rows(slice(row, row + len(block)))
        inside = (images >= column) & (images < column + block.shape[1])
        block[rows[inside], images[inside] - column] = np.inf


def check_same_model(query: Embeddings, gallery: Embeddings) -> None:
    """Raise DataError where both fingerprints are known and differ."""
    if query.fingerprint and gallery.fingerprint and query.fingerprint != gallery.fingerprint:
        raise DataError(
            f"The query was embedded by {query.fingerprint} and the gallery by {gallery.fingerprint}, "
            "so their distances mean nothing: embed both with the same model and preprocessing."
        )


def check_no_leak(query: Embeddings, gallery: Embeddings, rules: Protocol) -> None:
    """Raise DataError where a query's own file is in the gallery and the protocol does not leave it out for it.

    A file is the same file under another spelling: relative, absolute or through a link.
    """
    if rules.ignore_same_path or query.paths is None or gallery.paths is None:
        return
    if query.identities is None or gallery.identities is None or query.cameras is None or gallery.cameras is None:
        return  # the protocol says what it misses
    both = _groups(_files(query), _files(gallery))
    queries, images = both.owners(), both.images
    counts = (query.identities[queries] > DISTRACTOR) & (gallery.identities[images] != JUNK)
    if rules.ignore_same_camera:
        same = query.identities[queries] == gallery.identities[images]
        counts &= ~(same & (query.cameras[queries] == gallery.cameras[images]))
    if counts.any():
        q, g = int(queries[counts][0]), int(images[counts][0])
        one, other = str(query.paths[q]), str(gallery.paths[g])
        alias = "" if one == other else f", there called {other}"
        raise DataError(
            f"{one} is query {q} and also image {g} of the gallery{alias}, which protocol {rules.name} does not leave "
            "out for it: take it out of one of them, or correct its labels."
        )


def _files(embeddings: Embeddings) -> NDArray[np.str_]:
    """(N,) a text for each image's file, the same for all spellings of its path."""
    assert embeddings.paths is not None
    return texts(same_file_keys(embeddings.paths.tolist()))


def _groups(queries: NDArray[np.generic], gallery: NDArray[np.generic]) -> Lists:
    """The gallery images, ascending, with the same value as each query."""
    order = np.argsort(gallery, kind="stable")
    ordered = gallery[order]
    first, last = (np.searchsorted(ordered, queries, side) for side in ("left", "right"))
    offsets = np.concatenate([[0], np.cumsum(last - first)])
    return Lists(order[np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], last - first)], offsets)


def _keys(lists: Lists, size: int) -> NDArray[np.int64]:
    """One integer for each pair of a query and an image out of ``size``."""
    keys: NDArray[np.int64] = lists.owners() * size + lists.images
    return keys


def _union(one: Lists, other: Lists, size: int) -> Lists:
    """What is in either, ascending for each query."""
    owners, images = np.divmod(np.union1d(_keys(one, size), _keys(other, size)), size)
    return Lists(images, np.searchsorted(owners, np.arange(len(one.offsets))))


def _check_one_kind(
    query: Embeddings, cameras: NDArray[np.int64], gallery: Embeddings, gallery_cameras: NDArray[np.int64]
) -> None:
    """Refuse cameras as text on one side and as numbers on the other: no two would be the same."""
    as_text = "camera_names" in query.columns, "camera_names" in gallery.columns
    if as_text[0] != as_text[1] and not np.isin(cameras, gallery_cameras).any():
        text, numbers = ("query", "gallery") if as_text[0] else ("gallery", "query")
        raise DataError(
            f"The cameras of the {text} are text and those of the {numbers} are numbers, so none is the same and no "
            "image of a query's own camera would be left out: pass both as text or both as numbers."
        )


def _column(embeddings: Embeddings, name: str, column: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] | None = getattr(embeddings, column)
    if values is None:
        other = " or use the single_camera protocol" if column == "cameras" else ""
        raise DataError(
            f"The {name} embeddings have no {column}, which the protocol needs: "
            f"pass {column}=... as an (N,) array of integers{other}."
        )
    return values
