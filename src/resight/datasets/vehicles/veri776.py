"""VeRi-776 (Liu et al., ECCV 2016) from its folder or a zip of it.

Names carry the labels: ``0002_c002_00030600_0.jpg`` is vehicle 2 in camera 2 at time 30600, number 0. Which gallery
images are one track stands in ``test_track.txt``, a line of image names for each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold, find_base, note_strays, read_lines, read_names
from resight.datasets.splitting import validation
from resight.errors import DataError, RecipeError
from resight.files import list_files
from resight.records import Split
from resight.texts import texts

FOLDERS = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
OFFICIAL: Counts = {
    "train": {"images": (37_778, 37_781), "identities": (576,)},
    "query": {"images": (1_678,), "identities": (200,)},
    "gallery": {"images": (11_579,), "identities": (200,)},
}
TRACKS = "test_track.txt"
_NAME = re.compile(r"(\d{1,9})_c(\d{1,4})_(\d{1,12})_(\d{1,9})\.\w+")
_KIND = "such as 0002_c002_00030600_0.jpg (identity, camera, time, number)"


@register("veri776")
def veri776(
    root: str | Path,
    *,
    tracks: bool = False,
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """VeRi-776: 776 vehicles in 20 cameras.

    Args:
        root: the folder or zip archive; ``image_train``, ``image_query`` and ``image_test`` may lie at any depth below.
        tracks: measure from image to track (the protocol ``"image_to_track"``) instead of from image to image; the
            gallery then has the column ``tracks``, (N,) int64, the line of ``test_track.txt``.
        strict: whether the numbers of images and identities must be VeRi-776's own. Its train images are 37,778 by
            its read-me and 37,781 by other lists: both are right here. Without, ``image_train`` may be missing.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train images alone
            (see :func:`resight.datasets.splitting.validation`).
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the column ``times``, (N,) int64.

    Raises:
        DataError: not in VeRi-776's layout, an image with another name, wrong numbers with ``strict``, or, with
            ``tracks``, a gallery image that is in no track or in two.
        RecipeError: no such fold, or ``tracks`` with ``fold="validation"``, whose images have none.
    """
    check_fold("veri776", fold)
    if tracks and fold == "validation":
        raise RecipeError("veri776 has no tracks of its train images: leave out tracks or fold='validation'.")
    paths = [path for path, _ in list_files(root)]
    base = find_base(os.fspath(root), paths, (FOLDERS["query"], FOLDERS["gallery"]), "VeRi-776")
    strays: list[str] = []
    train, query, gallery = (_read(base, key, paths, strays) for key in FOLDERS)
    data = Dataset("veri776", train, query, gallery, notes=note_strays(strays))
    if tracks:
        numbers = _tracks(f"{base}/{TRACKS}", gallery)
        gallery = replace(gallery, columns={**gallery.columns, "tracks": numbers})
        data = replace(data, gallery=gallery, protocol="image_to_track")
    data = check_counts(data, OFFICIAL, os.fspath(root), "VeRi-776", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


def _read(base: str, key: str, paths: Iterable[str], strays: list[str]) -> Split:
    images, labels = read_names(f"{base}/{FOLDERS[key]}/", paths, _NAME, _KIND, strays)
    columns = np.array(labels, dtype=np.int64).reshape(-1, 4).T
    return Split(texts(images), columns[0], columns[1], {"times": columns[2]}, f"veri776 {key}")


def _tracks(path: str, gallery: Split) -> NDArray[np.int64]:
    """The line of ``test_track.txt`` in which each gallery image stands."""
    line_of: dict[str, int] = {}
    for number, line in read_lines(path):
        for name in line.split():
            if line_of.setdefault(name, number) != number:
                raise DataError(f"{path} has {name} in lines {line_of[name]} and {number}: take it out of one.")
    names = [image.rpartition("/")[2] for image in gallery.paths.tolist()]
    missing = [name for name in names if name not in line_of]
    if missing:
        raise DataError(
            f"{path} has {len(missing):,} of {len(names):,} gallery images in no track, first {missing[0]}: "
            "download it again."
        )
    return np.array([line_of[name] for name in names], dtype=np.int64)
