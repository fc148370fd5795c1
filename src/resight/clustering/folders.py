"""Groups as files: a table with the group of each image, or a folder for each group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.files import atomic_folder, read_bytes, split_archive, write_csv


def write_groups(path: str | os.PathLike[str], images: Sequence[str], groups: NDArray[np.int64]) -> None:
    """Write a CSV file, ``image,group``, in the order of the images, whole or not at all.

    Raises:
        DataError: not as many groups as images.
        ResightError: the file cannot be written.
    """
    _check_one_each(images, groups)
    write_csv(path, ("image", "group"), zip(images, groups.tolist(), strict=True))


def check_folders(folder: str | os.PathLike[str], source: str | os.PathLike[str], copy: bool) -> None:
    """Whether :func:`write_folders` could write there at all, to be asked before anything is computed.

    Args:
        folder: where the groups are to be written; source: the folder or zip archive of the images; copy: as there.

    Raises:
        DataError: the folder exists, or links are wanted to images inside a zip archive.
    """
    if os.path.lexists(folder):
        raise DataError(f"{folder} exists already and is never written over: choose a new folder.")
    name = os.fspath(source)
    if not copy and (split_archive(name)[1] or name.lower().endswith(".zip")):
        raise DataError(f"{name} is a zip archive, whose images cannot be linked to: copy them (--copy) or unpack it.")


def write_folders(
    folder: str | os.PathLike[str], images: Sequence[str], groups: NDArray[np.int64], *, copy: bool = False
) -> Path:
    """One folder per group with its images, whole or not at all.

    A folder has the number of its group, with zeros before it so that they sort. Images keep their names; where two of
    one group share a name, the later ones get ``_2``, ``_3`` and so on before the ending.

    Args:
        folder: a new folder.
        images: N paths of images; groups: (N,) the group of each.
        copy: copy the images; otherwise symbolic links lead to where they are, and break if those are moved.

    Raises:
        DataError: not as many groups as images, an image that cannot be read, or as for :func:`check_folders`.
        ResightError: the folder cannot be written.
    """
    _check_one_each(images, groups)
    inside = [path for path in images if split_archive(path)[1]]
    check_folders(folder, inside[0] if inside else "", copy)
    digits = len(str(max(groups.tolist(), default=0)))
    taken: set[tuple[int, str]] = set()
    with atomic_folder(folder) as temporary:
        for path, number in zip(images, groups.tolist(), strict=True):
            place = temporary / f"{number:0{digits}d}"
            place.mkdir(exist_ok=True)
            name = PurePath(path)
            free, again = name.name, 1
            while (number, free.casefold()) in taken:
                again += 1
                free = f"{name.stem}_{again}{name.suffix}"
            taken.add((number, free.casefold()))
            if copy:
                (place / free).write_bytes(read_bytes(path))
            else:
                (place / free).symlink_to(Path(path).absolute())
    return Path(folder)


def _check_one_each(images: Sequence[str], groups: NDArray[np.int64]) -> None:
    if len(images) != len(groups):
        raise DataError(f"There are {len(groups):,} groups for {len(images):,} images: pass one for each.")
