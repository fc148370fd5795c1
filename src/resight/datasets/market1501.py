"""Market-1501 (Zheng et al., ICCV 2015) from its folder or its zip, and other data laid out like it.

Names carry the labels: ``0002_c1s1_000451_03.jpg`` is identity 2 in camera 1, sequence 1, frame 451, box 3;
identity -1 is junk, 0000 a distractor. The gallery keeps both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold, find_base, note_strays, read_names
from resight.datasets.splitting import validation
from resight.errors import DataError
from resight.files import list_files
from resight.records import Split

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
OFFICIAL: Counts = {
    "train": {"images": (12_936,), "identities": (751,)},
    "query": {"images": (3_368,), "identities": (750,)},
    "gallery": {"images": (19_732,), "identities": (750,), "junk": (3_819,), "distractors": (2_798,)},
}
_KIND = "of Market-1501's kind, such as 0002_c1s1_000451_03.jpg (identity, camera, sequence, frame, box)"
_NAME = re.compile(
    r"(-1|\d{1,9})_c(\d{1,4})s(\d{1,4})_(\d{1,12})_(\d{1,9})(?:\.\w+)+"
)  # one official name ends in .jpg.jpg


@register("market1501")
def market1501(
    root: str | Path, *, strict: bool = True, fold: str = "test", seed: int = 0, held_out: int | None = None
) -> Dataset:
    """Market-1501, or any data with its folders and names.

    Args:
        root: the folder or zip archive; the three split folders may lie at any depth below it.
        strict: whether the numbers of images and identities must be Market-1501's own.
            Pass False for a subset; other data in the same layout is :func:`market_layout`.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train images alone:
            600 identities to train on, 151 to ask about (see :func:`resight.datasets.splitting.validation`).
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the columns ``sequences`` and ``frames``, (N,) int64.

    Raises:
        DataError: not in Market-1501's layout, an image with another name, or wrong numbers with ``strict``.
        RecipeError: no such fold.
    """
    data = check_counts(_load(root, "market1501", fold), OFFICIAL, os.fspath(root), "Market-1501", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


@register("market_layout")
def market_layout(root: str | Path, *, fold: str = "test", seed: int = 0, held_out: int | None = None) -> Dataset:
    """Any data with Market-1501's folders and names; its numbers are its own. Otherwise as :func:`market1501`."""
    data = _load(root, "market_layout", fold)
    return validation(data, held_out, seed) if fold == "validation" else data


def _load(root: str | Path, name: str, fold: str) -> Dataset:
    """The three splits, whatever their numbers."""
    check_fold(name, fold)
    where, paths = os.fspath(root).rstrip("/"), [path for path, _ in list_files(root)]
    if where.rpartition("/")[2] in FOLDERS.values():
        raise DataError(f"{where} is one split of Market-1501: pass the folder above it, which holds all three.")
    base = find_base(where, paths, tuple(FOLDERS.values()), "Market-1501")
    strays: list[str] = []
    train, query, gallery = (_read(base, key, f"{name} {key}", paths, strays) for key in FOLDERS)
    return Dataset(name, train, query, gallery, notes=note_strays(strays))


def _read(base: str, key: str, name: str, paths: Iterable[str], strays: list[str]) -> Split:
    """The split ``key`` below ``base``; files in its folder that are not images are added to ``strays``."""
    images, labels = read_names(f"{base}/{FOLDERS[key]}/", paths, _NAME, _KIND, strays)
    columns = np.array(labels, dtype=np.int64).reshape(-1, 5).T
    return Split(
        np.array(images, dtype=np.str_),
        columns[0],
        columns[1],
        {"sequences": columns[2], "frames": columns[3]},
        name,
    )
