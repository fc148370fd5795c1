"""Whatever can be embedded, as items in order and what is known of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resight.datasets.catalog import common_folder, load
from resight.datasets.detect import detect
from resight.errors import DataError
from resight.files import left_out, list_files, list_images, repeated_members, split_archive
from resight.images.decode import is_image_file
from resight.images.pictures import Picture, is_array, is_open_file
from resight.images.stream import Item
from resight.images.video import Video
from resight.paths import reachable
from resight.records import Embeddings, Split
from resight.texts import texts


@dataclass(frozen=True, eq=False)
class Source:
    """N images in order.

    Attributes:
        items: the images from a position on, each with that position and its name.
        paths: (N,) str, their names.
        identities, cameras: (N,) int64, or None where unknown; ``columns``: as in :class:`~resight.records.Split`.
        files: whether every name is the path of an image file.
        others: the paths of files of the folder that are not images by their names.
        stamp: what the fingerprint covers besides.
    """

    items: Callable[[int], Iterator[Item]]
    paths: NDArray[np.str_]
    identities: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    files: bool = False
    others: tuple[str, ...] = ()
    stamp: str = ""

    def __len__(self) -> int:
        return len(self.paths)

    def embeddings(
        self, vectors: NDArray[np.float32], which: NDArray[np.int64], fingerprint: str, metric: str
    ) -> Embeddings:
        """The vectors of the images at ``which``, with what is known of these."""
        identities, cameras = (None if known is None else known[which] for known in (self.identities, self.cameras))
        columns = {name: column[which] for name, column in self.columns.items()}
        return Embeddings(vectors, identities, cameras, self.paths[which], columns, fingerprint, metric)

    def fingerprint(self) -> str:
        """64 hex digits that stand for the images' names, sizes in bytes, order and labels.

        Names count from the deepest folder that holds all images, so a copy elsewhere has the same fingerprint.
        """
        start = len(common_folder(self.paths.tolist()))
        sizes = _sizes(self.paths.tolist())
        digest = hashlib.sha256(f"{len(self)} {self.stamp}\n".encode())
        for path, size in zip(self.paths.tolist(), sizes, strict=True):
            digest.update(f"{path[start:]}\t{size}\n".encode("utf-8", "surrogateescape"))
        for name, column in (("identities", self.identities), ("cameras", self.cameras)):
            if column is not None:
                digest.update(name.encode() + column.astype("<i8").tobytes())
        return digest.hexdigest()


Pictures: TypeAlias = Split | Video | Source | Picture | Iterable[Picture]


def source_of(images: Pictures) -> Source | Iterator[Item]:
    """``images`` as a :class:`Source`; an iterator, whose length is unknown, as its items.

    Raises:
        DataError: nothing to embed.
    """
    if isinstance(images, Source):
        return images
    if isinstance(images, Split):
        if not len(images):
            raise DataError(f"{images.name} has no images: nothing to embed.")
        return _files(images.paths, images.identities, images.cameras, images.columns)
    if isinstance(images, Video):
        known = {"frames": images.frames, "boxes": images.boxes, "lines": images.lines}
        known |= {} if images.tracks is None else {"tracks": images.tracks}
        film = f"{Path(images.path).stat().st_size} bytes"
        return Source(images.items, images.names, None, images.cameras, known, stamp=film)
    if isinstance(images, (str, os.PathLike)):
        name = reachable(images)
        if not isinstance(name, str):
            raise DataError(f"the path {name!r} is of type bytes: pass it as text, as os.fsdecode gives it.")
        if is_image_file(name) and not Path(name).is_dir():
            return _files(np.array([name], np.str_))
        if repeated := repeated_members(name):
            raise DataError(
                f"{name} holds several files under the name {repeated[0]}, of which only the last can be read: "
                "unpack it, give each file a name of its own, and pass the folder."
            )
        found, others = list_images(name)
        if not found:
            raise DataError(f"{name} holds no images: nothing to embed. {left_out(others)}".rstrip())
        return replace(_files(texts(found)), others=tuple(others))
    if hasattr(images, "__array__") and not (isinstance(images, Image.Image) or is_array(images)):
        images = np.asarray(images)  # a column of a table
    if isinstance(images, np.ndarray) and images.dtype.kind in "UO" and images.ndim == 1:
        images = images.tolist()
    if isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or is_open_file(images):
        images = [images]  # type: ignore[list-item] # one picture
    elif is_array(images) and images.ndim < 4:
        images = [images]
    if not hasattr(images, "__iter__"):
        images = [images]  # type: ignore[list-item] # refused when it is read, as anything odd in a list is
    if not (isinstance(images, Sequence) or is_array(images)):
        pictures: Any = images
        return (Item(at, _name(picture, at), picture) for at, picture in enumerate(pictures))
    several = images
    if not len(several):
        raise DataError("the list of images is empty: nothing to embed.")
    names = texts([_name(several[at], at) for at in range(len(several))])

    def items(start: int) -> Iterator[Item]:
        return (Item(at, str(names[at]), several[at]) for at in range(start, len(several)))

    return Source(items, names, files=all(isinstance(picture, (str, os.PathLike)) for picture in several))


def find(where: str | os.PathLike[str], name: str = "", part: str = "") -> Split | str:
    """What to embed at a place: the splits of a data set, one after the other, or a folder, zip archive or image.

    Args:
        where: a path.
        name: the data set's name; found out when not given, and then a mere folder of images is no data set.
        part: train, query or gallery; all three when not given.

    Returns:
        For a data set its images with the column ``split``, for anything else the path.

    Raises:
        DataError: nothing is there, it is not that data set, or there is no such part.
    """
    path = os.fspath(where)
    kind = name or ("folder" if is_image_file(path) and not Path(path).is_dir() else detect(path))
    if kind == "folder" and not name:
        if part:
            raise DataError(f"{path} is no known data set and has no {part}: say which set it is, or ask for no part.")
        return path
    data = load(kind, path)
    if part and part not in data.splits:
        raise DataError(f"{part!r} is no part of {data.name}: choose one of {', '.join(data.splits)}.")
    splits = {key: split for key, split in data.splits.items() if part in ("", key)}
    shared = [key for key in data.query.columns if len({_shape(split, key) for split in splits.values()}) == 1]
    columns = {key: np.concatenate([split.columns[key] for split in splits.values()]) for key in shared}
    columns["split"] = np.concatenate([np.full(len(split), key) for key, split in splits.items()])
    paths, identities, cameras = (
        np.concatenate([getattr(split, own) for split in splits.values()]) for own in ("paths", "identities", "cameras")
    )
    return Split(paths, identities, cameras, columns, data.name)


def _shape(split: Split, column: str) -> tuple[int, ...] | None:
    """The shape of one entry of a column; None where there is no such column."""
    return split.columns[column].shape[1:] if column in split.columns else None


def _files(
    paths: NDArray[np.str_],
    identities: NDArray[np.int64] | None = None,
    cameras: NDArray[np.int64] | None = None,
    columns: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> Source:
    def items(start: int) -> Iterator[Item]:
        return (Item(at, str(paths[at]), str(paths[at])) for at in range(start, len(paths)))

    return Source(items, paths, identities, cameras, columns, files=True)


def _name(picture: object, at: int) -> str:
    return os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else f"image {at}"


def _sizes(paths: Sequence[str]) -> Iterator[int]:
    """The size in bytes of each file; -1 where there is none."""
    archives: dict[str, dict[str, int]] = {}
    for path in paths:
        archive, member = split_archive(path)
        if member and archive not in archives:
            archives[archive] = dict(list_files(archive))
        try:
            yield archives[archive].get(path, -1) if member else Path(path).stat().st_size
        except OSError:
            yield -1
