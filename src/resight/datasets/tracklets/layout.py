"""What data sets of tracklets share: their splits, where their lists lie, MATLAB files, halves of identities.

The images of a tracklet stand one after the other in a split, in the order of time, and have one number in its column
``tracks``. Nothing here opens an image.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset
from resight.datasets.layouts import read_lines
from resight.errors import DataError, RecipeError, first_line
from resight.files import list_files, read_bytes, split_archive
from resight.records import Split

DEPTH = 2  # folders below the one given in which lists are looked for


class Tracklet(NamedTuple):
    """The images of one identity in one camera, in the order of time."""

    images: Sequence[str]
    identity: int
    camera: int


def split_of(tracklets: Sequence[Tracklet], name: str) -> Split:
    """A split of tracklets, numbered from 1 in their order.

    Raises:
        DataError: a tracklet without images.
    """
    lengths = np.array([len(one.images) for one in tracklets], np.int64)
    if not lengths.all():
        at = int(np.argmin(lengths != 0))
        raise DataError(
            f"Tracklet {at + 1} of {name} (identity {tracklets[at].identity}, camera {tracklets[at].camera}) has no "
            "images: take it out, or unpack the data set again."
        )
    paths = np.array([image for one in tracklets for image in one.images], np.str_)
    identities, cameras = (np.repeat(np.array([one[at] for one in tracklets], np.int64), lengths) for at in (1, 2))
    tracks = np.repeat(np.arange(1, len(tracklets) + 1), lengths)
    return Split(paths, identities, cameras, {"tracks": tracks}, name)


def find_beside(root: str, wanted: str, title: str) -> str:
    """The folder, ``root`` or at most two below it, in which the file ``wanted`` lies, such as ``info/names.txt``.

    Raises:
        DataError: there is none, or several.
    """
    found = holding(root, wanted)
    if len(found) > 1:
        raise DataError(f"{root} holds {title} {len(found)} times: pass {found[0]} or {found[1]}.")
    if not found:
        raise DataError(f"{root} is not {title}, for there is no {wanted} in it: pass the folder or zip that holds it.")
    return found[0]


def holding(root: str, wanted: str) -> list[str]:
    """The folders, ``root`` and at most two below it, that hold a file or folder called ``wanted``, sorted.

    A folder is listed no deeper than that, since half a million images may lie below it; a zip archive is.

    Raises:
        DataError: there is nothing at ``root``.
    """
    where = root.rstrip("/") or "/"
    archive, inside = split_archive(where)
    if not inside and not archive.lower().endswith(".zip"):
        if not os.path.isdir(where):  # noqa: PTH112
            list_files(where)  # says what is wrong with it
        level, found = [where], []
        for _ in range(DEPTH + 1):
            found += [folder for folder in level if os.path.exists(f"{folder}/{wanted}")]  # noqa: PTH110
            if found:
                return sorted(found)
            level = [below for folder in level for below in _folders(folder)]
        return []
    ends = f"/{wanted}"
    paths = [path for path, _ in list_files(where)]
    whole = {path[: -len(ends)] for path in paths if path.endswith(ends)}
    return sorted(whole | {path[: path.index(f"{ends}/")] for path in paths if f"{ends}/" in path})


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if not entry.name.startswith(".") and _is_folder(entry)]
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror or error}): check its rights.") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def read_mat(path: str, name: str) -> NDArray[Any]:
    """The array ``name`` of a MATLAB file; a file of version 7.3, which is HDF5, needs h5py.

    Raises:
        DataError: the file is missing, damaged, or has no such array.
    """
    content = read_bytes(path)
    try:
        if content[:8] == b"\x89HDF\r\n\x1a\n" or content[512:520] == b"\x89HDF\r\n\x1a\n":
            return _read_hdf5(content, name)
        from scipy.io import loadmat

        return np.asarray(loadmat(io.BytesIO(content))[name])  # type: ignore[no-untyped-call]
    except KeyError:
        raise DataError(f"{path} has no {name!r}: download it again.") from None
    except ImportError:
        raise DataError(f"{path} can be read with h5py only: pip install 'resight[cuhk03]'.") from None
    except Exception as error:  # whatever a reader meets in bytes that are none of its own
        raise DataError(f"{path} is not a readable MATLAB file ({first_line(error)}): download it again.") from None


def _read_hdf5(content: bytes, name: str) -> NDArray[Any]:
    h5py = import_module("h5py")
    with h5py.File(io.BytesIO(content), "r") as file:
        return np.asarray(file[name]).T  # MATLAB counts columns first


def whole_numbers(path: str, name: str, columns: int) -> NDArray[np.int64]:
    """The array ``name`` of a MATLAB file as (N, columns) whole numbers; a single column may lie on its side.

    Raises:
        DataError: as :func:`read_mat`, or another shape or other numbers.
    """
    found = read_mat(path, name)
    if columns == 1 and found.ndim == 2 and 1 in found.shape:
        found = found.reshape(-1, 1)
    if (
        found.ndim != 2
        or found.shape[1] != columns
        or found.dtype.kind not in "iuf"
        or (found != np.round(found)).any()
    ):
        raise DataError(
            f"{path} has {name!r} of shape {found.shape} and type {found.dtype}, but (N, {columns}) whole numbers are "
            "needed: download it again."
        )
    return found.astype(np.int64)


def counted_lines(path: str) -> list[str]:
    """The lines of a list whose lines other files count: line 1 is the first.

    Raises:
        DataError: as :func:`~resight.datasets.layouts.read_lines`, or a blank line before the last, which may have been
            counted or not.
    """
    lines = read_lines(path)
    blank = next((at for at, (number, _) in enumerate(lines, start=1) if number != at), None)
    if blank is not None:
        raise DataError(f"{path} line {blank} is blank, but other files count its lines: download it again.")
    return [line for _, line in lines]


def asking_rows(path: str, name: str, rows: int) -> NDArray[np.int64]:
    """The rows (Q,), from 1, of the tracklets that ask, from a MATLAB file.

    Raises:
        DataError: as :func:`whole_numbers`, or a row that is not there or asks twice.
    """
    asked = whole_numbers(path, name, 1).ravel()
    wrong = asked[(asked < 1) | (asked > rows)]
    if len(wrong):
        raise DataError(f"{path} asks with row {wrong[0]} of {rows:,}, which count from 1: download it again.")
    found, often = np.unique(asked, return_counts=True)
    if (often > 1).any():
        raise DataError(f"{path} asks with row {found[often > 1][0]} more than once: download it again.")
    return asked


def cross_camera_halves(
    name: str,
    tracklets: Sequence[Tracklet],
    tested: NDArray[np.int64],
    query_camera: int,
    notes: tuple[str, ...],
) -> Dataset:
    """Two cameras, half of the identities: tested ones in ``query_camera`` ask, in the other they are the gallery."""
    asked = set(tested.tolist())
    train = [one for one in tracklets if one.identity not in asked]
    query = [one for one in tracklets if one.identity in asked and one.camera == query_camera]
    gallery = [one for one in tracklets if one.identity in asked and one.camera != query_camera]
    of_train, of_query, of_gallery = (
        split_of(part, f"{name} {key}") for key, part in (("train", train), ("query", query), ("gallery", gallery))
    )
    return Dataset(name, of_train, of_query, of_gallery, "tracklets", notes)


def check_repeat(name: str, repeat: int, rows: int) -> None:
    """Raise RecipeError unless ``repeat`` is one of ``rows`` published halves."""
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat not in range(rows):
        raise RecipeError(f"{name} has no repeat {repeat!r}: choose 0 to {rows - 1}.")
