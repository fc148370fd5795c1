"""MSMT17 (Wei et al., CVPR 2018) from its folder or a zip of it, version 1 or version 2.

Images are ``train/<person>/<name>.jpg`` and ``test/...``, in version 2, whose faces are blurred, ``mask_train_v2`` and
``mask_test_v2``; their labels are in ``list_train.txt``, ``list_val.txt``, ``list_query.txt`` and
``list_gallery.txt``, in lines ``<image> <person>``. Names carry the camera: ``0000_000_01_0303morning_0015_0.jpg`` is
person 0, image 0, camera 1, on March 3rd in the morning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold, check_images, find_base, read_lines
from resight.datasets.splitting import validation
from resight.errors import DataError
from resight.files import list_files
from resight.records import Split
from resight.texts import texts

FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
OFFICIAL: Counts = {
    "train": {"images": (32_621,), "identities": (1_041,)},
    "query": {"images": (11_659,), "identities": (3_060,)},
    "gallery": {"images": (82_161,), "identities": (3_060,)},
}
_NAME = re.compile(r"(?:.*/)?\d+_\d+_(\d{1,4})_([^_/]+)_[^/]*\.\w+")


@register("msmt17")
def msmt17(
    root: str | Path, *, strict: bool = True, fold: str = "test", seed: int = 0, held_out: int | None = None
) -> Dataset:
    """MSMT17: 4,101 people in 15 cameras.

    Its two train lists, of 30,248 and 2,373 images of the same 1,041 people, are one split here, as in the paper.

    Args:
        root: the folder or zip archive; the two folders of images may lie at any depth below, the lists beside them.
        strict: whether the numbers of images and identities must be MSMT17's own.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train images alone, by
            identities that are not trained on (see :func:`resight.datasets.splitting.validation`).
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the columns ``people``, (N,) int64, the number in the lists, and ``times``, (N,)
        str such as ``0303morning``. Identities are one more in train and go on from there in the test, whose numbers
        begin at 0 again.

    Raises:
        DataError: not in MSMT17's layout, a list that is missing or cannot be read, a listed image that is missing or
            has another name, or wrong numbers with ``strict``.
        RecipeError: no such fold.
    """
    check_fold("msmt17", fold)
    where = os.fspath(root)
    there = {path for path, _ in list_files(root)}
    folders = next((two for two in FOLDERS if any(f"/{two[0]}/" in path for path in there)), FOLDERS[0])
    base = find_base(where, there, folders, "MSMT17")
    train = _read(base, folders[0], ("list_train.txt", "list_val.txt"), there, "msmt17 train", 1)
    known = int(train.identities.max(initial=0))
    query = _read(base, folders[1], ("list_query.txt",), there, "msmt17 query", known + 1)
    gallery = _read(base, folders[1], ("list_gallery.txt",), there, "msmt17 gallery", known + 1)
    data = check_counts(Dataset("msmt17", train, query, gallery), OFFICIAL, where, "MSMT17", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


def _read(base: str, folder: str, lists: tuple[str, ...], there: Collection[str], title: str, first: int) -> Split:
    """The images of some lists, in their order; person 0 gets the identity ``first``."""
    images: list[str] = []
    people: list[int] = []
    cameras: list[int] = []
    times: list[str] = []
    for name in lists:
        before = len(images)
        for number, line in read_lines(f"{base}/{name}"):
            image, _, person = line.rpartition(" ")
            match = _NAME.fullmatch(image.strip())
            if match is None or not person.isdecimal():
                raise DataError(
                    f"{base}/{name} line {number} is {line!r}, but each must be '<image> <person>' with an image such "
                    "as 0000/0000_000_01_0303morning_0015_0.jpg: correct it."
                )
            images.append(f"{base}/{folder}/{image.strip()}")
            people.append(int(person))
            cameras.append(int(match[1]))
            times.append(match[2])
        check_images(images[before:], there, f"{base}/{name}", "MSMT17")
    numbers = np.array(people, dtype=np.int64)
    return Split(
        texts(images),
        numbers + first,
        np.array(cameras, dtype=np.int64),
        {"people": numbers, "times": np.array(times, dtype=np.str_)},
        title,
    )
