"""Market-1501 (Zheng et al., ICCV 2015) from its folder or its zip, and other data laid out like it.

Names carry the labels: ``0002_c1s1_000451_03.jpg`` is identity 2 in camera 1, sequence 1, frame 451, box 3;
identity -1 is junk, 0000 a distractor. The gallery keeps both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.splitting import validation
from resight.errors import DataError, RecipeError
from resight.files import is_image_name, list_files
from resight.records import Split

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
OFFICIAL = {
    "train": {"images": 12_936, "identities": 751},
    "query": {"images": 3_368, "identities": 750},
    "gallery": {"images": 19_732, "identities": 750, "junk": 3_819, "distractors": 2_798},
}
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
    data = _load(root, "market1501", fold)
    wrong = wrong_counts(data)
    if wrong and strict:
        raise DataError(
            f"{os.fspath(root)} does not hold all of Market-1501, for {wrong[0]}: download or unpack it again, "
            "or pass strict=False if this is a subset."
        )
    if wrong:
        data = replace(data, notes=(*data.notes, "The numbers of images are not Market-1501's own."))
    return validation(data, held_out, seed) if fold == "validation" else data


@register("market_layout")
def market_layout(root: str | Path, *, fold: str = "test", seed: int = 0, held_out: int | None = None) -> Dataset:
    """Any data with Market-1501's folders and names; its numbers are its own. Otherwise as :func:`market1501`."""
    data = _load(root, "market_layout", fold)
    return validation(data, held_out, seed) if fold == "validation" else data


def _load(root: str | Path, name: str, fold: str) -> Dataset:
    """The three splits, whatever their numbers."""
    if fold not in ("test", "validation"):
        raise RecipeError(f"{name} has no fold {fold!r}: choose 'test' or 'validation'.")
    paths = [path for path, _ in list_files(root)]
    base = find_layout(os.fspath(root), paths)
    strays: list[str] = []
    train, query, gallery = (_read(base, key, f"{name} {key}", paths, strays) for key in FOLDERS)
    notes: tuple[str, ...] = ()
    if strays:
        names = ", ".join(sorted({path.rpartition("/")[2] for path in strays})[:3])
        notes = (f"{len(strays)} file(s) that are not images were left out ({names}).",)
    return Dataset(name, train, query, gallery, notes=notes)


def wrong_counts(data: Dataset) -> list[str]:
    """What differs from the published numbers, each like ``"train has 12,935 images instead of 12,936"``."""
    facts = data.facts()
    return [
        f"{split} has {facts[split][what]:,} {what} instead of {expected:,}"
        for split, counts in OFFICIAL.items()
        for what, expected in counts.items()
        if facts[split][what] != expected
    ]


def find_layout(root: str, paths: Iterable[str]) -> str:
    """The folder, at or below ``root``, that holds the three split folders; ``paths`` is every file below ``root``.

    Raises:
        DataError: there is none, there are two, or a split folder is missing.
    """
    root = root.rstrip("/") or "/"
    if root.rpartition("/")[2] in FOLDERS.values():
        raise DataError(f"{root} is one split of Market-1501: pass the folder above it, which holds all three.")
    found: dict[str, set[str]] = {}
    for folder in {path.rpartition("/")[0] for path in paths}:
        base, _, name = folder.rpartition("/")
        if name in FOLDERS.values() and len(base) >= len(root):
            found.setdefault(base, set()).add(name)
    wanted = set(FOLDERS.values())
    whole = sorted(base for base, names in found.items() if names == wanted)
    if len(whole) > 1:
        raise DataError(f"{root} holds Market-1501's folders {len(whole)} times: pass {whole[0]} or {whole[1]}.")
    if whole:
        return whole[0]
    if not found:
        raise DataError(
            f"{root} is not Market-1501, for nothing in it is called bounding_box_train: "
            "pass the folder or zip that holds bounding_box_train, query and bounding_box_test."
        )
    base = max(sorted(found), key=lambda folder: len(found[folder]))
    missing = " and ".join(sorted(wanted - found[base]))
    raise DataError(f"{base} has no files in {missing}: download or unpack Market-1501 again.")


def _read(base: str, key: str, name: str, paths: Iterable[str], strays: list[str]) -> Split:
    """The split ``key`` below ``base``; files in its folder that are not images are added to ``strays``."""
    prefix = f"{base}/{FOLDERS[key]}/"
    images: list[str] = []
    labels: list[tuple[str, ...]] = []
    for path in paths:
        if not path.startswith(prefix):
            continue
        file = path[len(prefix) :]
        if not is_image_name(file):
            strays.append(path)
            continue
        match = _NAME.fullmatch(file)
        if match is None:
            raise DataError(
                f"{path} has no name of Market-1501's kind, such as 0002_c1s1_000451_03.jpg "
                "(identity, camera, sequence, frame, box): rename it or take it out of the folder."
            )
        images.append(path)
        labels.append(match.groups())
    columns = np.array(labels, dtype=np.int64).reshape(-1, 5).T
    return Split(
        np.array(images, dtype=np.str_),
        columns[0],
        columns[1],
        {"sequences": columns[2], "frames": columns[3]},
        name,
    )
