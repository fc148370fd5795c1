"""LS-VID (Li et al., ICCV 2019): 3,772 people in fifteen cameras. ``info_test.mat`` needs h5py.

A line of ``info/list_sequence/list_seq_train.txt`` or ``list_seq_test.txt`` is ``<path prefix> <identity>``; a
tracklet is every file whose path begins with the prefix, sorted. The camera is the third field of its name, between
``_``. ``query`` in ``info/data/info_test.mat`` has the lines (from 1) of the test tracklets that ask.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold
from resight.datasets.splitting import validation
from resight.datasets.tracklets.layout import Tracklet, asking_rows, counted_lines, find_beside, split_of
from resight.errors import DataError
from resight.files import is_image_name, list_files, split_archive
from resight.records import JUNK

LISTS = "info/list_sequence/list_seq_test.txt"
OFFICIAL: Counts = {
    "train": {"tracklets": (2_831,), "identities": (842,)},
    "query": {"tracklets": (3_504,)},
    "gallery": {"tracklets": (7_829,)},
}


@register("lsvid")
def lsvid(
    root: str | Path,
    *,
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """LS-VID. Folders are listed, and no image is opened.

    Args:
        root: the folder or zip archive that holds ``info``.
        strict: whether the numbers of tracklets and identities must be LS-VID's own.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train tracklets alone.
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the column ``tracks``. Where its lists have the identity 0, which is a person
        there, identities count one more. The gallery is without the queries.

    Raises:
        DataError: a missing or wrong list, a tracklet without images, or wrong numbers with ``strict``.
        RecipeError: no such fold.
    """
    check_fold("lsvid", fold)
    where = os.fspath(root)
    base = find_beside(where, LISTS, "LS-VID")
    lists = {half: _lines(f"{base}/info/list_sequence/list_seq_{half}.txt") for half in ("train", "test")}
    asked = asking_rows(f"{base}/info/data/info_test.mat", "query", len(lists["test"])) - 1
    zero = any(person == 0 for lines in lists.values() for _, person in lines)
    files = _Files(base)
    half = {
        key: [
            Tracklet(
                images := files.beginning(prefix), person + (zero and person != JUNK), files.camera(images, prefix)
            )
            for prefix, person in lines
        ]
        for key, lines in lists.items()
    }
    _refuse_shared(base, [image for tracklets in half.values() for one in tracklets for image in one.images])
    chosen = set(asked.tolist())
    query = [half["test"][at] for at in asked.tolist()]
    gallery = [one for at, one in enumerate(half["test"]) if at not in chosen]
    notes = ("Its lists have a person 0, so identities count one more here.",) if zero else ()
    parts = (split_of(half["train"], "lsvid train"), split_of(query, "lsvid query"), split_of(gallery, "lsvid gallery"))
    data = check_counts(Dataset("lsvid", *parts, "tracklets", notes), OFFICIAL, where, "LS-VID", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


def _refuse_shared(base: str, images: Sequence[str]) -> None:
    """Refuse an image of two tracklets: one prefix begins another, or is listed twice."""
    found, often = np.unique(np.array(images, np.str_), return_counts=True)
    if (often > 1).any():
        raise DataError(
            f"{found[often > 1][0]} is in two tracklets of {base}/info/list_sequence: prefixes must differ, and none "
            "may begin another; correct the lists."
        )


def _lines(path: str) -> list[tuple[str, int]]:
    found = []
    for number, line in enumerate(counted_lines(path), start=1):
        prefix, _, person = line.rpartition(" ")
        if not prefix or not person.lstrip("-").isdecimal() or int(person) < JUNK:
            raise DataError(
                f"{path} line {number} is {line!r}, but each must be '<path prefix> <identity>': correct it."
            )
        found.append((prefix.strip(), int(person)))
    return found


class _Files:
    """The images below a folder or in an archive, each folder listed once when it is first needed."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._folders: dict[str, Sequence[str]] = {}
        archived = split_archive(base)[1] or base.lower().endswith(".zip")
        self._packed: Mapping[str, list[str]] | None = _by_folder(base) if archived else None

    def beginning(self, prefix: str) -> list[str]:
        """The images whose path below the base begins with ``prefix``, sorted."""
        folder, _, start = f"{self._base}/{prefix}".rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._list(folder)
        return [f"{folder}/{name}" for name in self._folders[folder] if name.startswith(start)]

    def _list(self, folder: str) -> Sequence[str]:
        if self._packed is not None:
            return self._packed.get(folder, [])
        try:
            return sorted(filter(is_image_name, os.listdir(folder)))  # noqa: PTH208
        except OSError:
            return []  # a tracklet without images is reported with its number

    @staticmethod
    def camera(images: Sequence[str], prefix: str) -> int:
        """The third field of the first image's name; 0 where there is no image."""
        if not images:
            return 0
        fields = images[0].rpartition("/")[2].split("_")
        if len(fields) < 4 or not fields[2].isdecimal():
            raise DataError(
                f"{images[0]} (of {prefix}) has no camera as the third of four fields between '_': rename it."
            )
        return int(fields[2])


def _by_folder(base: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, _ in list_files(base):
        if is_image_name(path):
            folder, _, name = path.rpartition("/")
            found.setdefault(folder, []).append(name)
    return found
