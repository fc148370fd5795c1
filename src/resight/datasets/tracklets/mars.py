"""MARS (Zheng et al., ECCV 2016): 1,261 people in six cameras, as 20,478 tracklets of 1.2 million boxes.

``info/train_name.txt`` and ``info/test_name.txt`` list the images; a row of ``tracks_train_info.mat`` or
``tracks_test_info.mat`` says which lines of that list are a tracklet: first, last (both from 1, both included),
identity, camera. ``query_IDX.mat`` has the rows (from 1) of the test tracklets that ask. A name such as
``0001C1T0001F001.jpg`` is identity 1, camera 1, tracklet 1, frame 1; junk begins with ``00-1``, distractors with
``0000``. Images lie in folders called by the first four characters of their names.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold
from resight.datasets.splitting import validation
from resight.datasets.tracklets.layout import asking_rows, counted_lines, find_beside, whole_numbers
from resight.errors import DataError, RecipeError
from resight.files import split_archive
from resight.records import Split

PROTOCOLS = ("mars_torchreid", "mars_official", "mars_joined")
LISTS = "info/tracks_test_info.mat"
OFFICIAL: Counts = {
    "train": {"tracklets": (8_298,), "images": (509_914,), "identities": (625,)},
    "query": {"tracklets": (1_980,)},
    "gallery": {"tracklets": (10_200,)},
}


@register("mars")
def mars(
    root: str | Path,
    *,
    protocol: str = "mars_torchreid",
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """MARS. Its lists are read, and no folder of images.

    Args:
        root: the folder or zip archive that holds ``info``, ``bbox_train`` and ``bbox_test``.
        protocol: ``"mars_torchreid"`` (what most papers report), ``"mars_official"`` or ``"mars_joined"``; see
            :mod:`resight.retrieval.ranking.protocols`. They differ in what is done with the queries, not in the data.
        strict: whether the numbers of tracklets, images and identities must be MARS's own.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train tracklets alone.
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the column ``tracks``, (N,) int64: the row of its list. The gallery is the 10,200
        test tracklets that are no queries, 870 of them junk.

    Raises:
        DataError: a missing or wrong list, a row that does not fit its images, or wrong numbers with ``strict``.
        RecipeError: no such fold or protocol.
    """
    check_fold("mars", fold)
    if protocol not in PROTOCOLS:
        raise RecipeError(f"mars has no protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
    where = os.fspath(root)
    base = find_beside(where, LISTS, "MARS")
    train = _read(base, "train")
    test = _read(base, "test")
    rows = int(test.columns["tracks"].max(initial=0))
    asked = asking_rows(f"{base}/info/query_IDX.mat", "query_IDX", rows)
    queries = np.isin(test.columns["tracks"], asked)
    data = Dataset("mars", train, test.take(queries, "mars query"), test.take(~queries, "mars gallery"), protocol)
    data = check_counts(data, OFFICIAL, where, "MARS", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


def _read(base: str, half: str) -> Split:
    """All tracklets of one half; ``tracks`` is the row of its table, from 1."""
    listed, table = f"{base}/info/{half}_name.txt", f"{base}/info/tracks_{half}_info.mat"
    names = np.array(counted_lines(listed), np.str_)
    rows = whole_numbers(table, f"track_{half}_info", 4)
    first, last = rows[:, 0] - 1, rows[:, 1]
    wrong = np.flatnonzero((first < 0) | (last <= first) | (last > len(names)))
    if len(wrong):
        begin, end = rows[wrong[0], :2]
        raise DataError(
            f"{table} row {wrong[0] + 1} is the lines {begin} to {end} of {listed}, which has {len(names):,}: "
            "each tracklet needs one image or more; download both again."
        )
    lengths = last - first
    owner = np.repeat(np.arange(len(rows)), lengths)
    lines = np.arange(len(owner)) + np.repeat(first - np.cumsum(lengths) + lengths, lengths)
    names = names[lines] if len(names) else names
    people, cameras = _labels(names, listed)
    odd = np.flatnonzero((people != rows[owner, 2]) | (cameras != rows[owner, 3]))
    if len(odd):
        row = owner[odd[0]]
        raise DataError(
            f"{table} row {row + 1} says identity {rows[row, 2]}, camera {rows[row, 3]}, but holds "
            f"{names[odd[0]]}: the two lists do not belong together; download both again."
        )
    order = np.argsort(first, kind="stable")
    twice = np.flatnonzero(first[order][1:] < last[order][:-1])
    if len(twice):
        one, other = (int(order[twice[0] + step]) + 1 for step in (0, 1))
        raise DataError(f"{table} rows {one} and {other} share lines of {listed}: download both again.")
    folder = f"{base}/bbox_{half}"
    paths = np.array([f"{folder}/{name[:4]}/{name}" for name in names.tolist()], np.str_)
    if len(paths) and split_archive(folder)[0] == folder and not os.path.isdir(folder):  # noqa: PTH112
        raise DataError(f"{base} has no folder bbox_{half}, where the images of {listed} belong: unpack MARS again.")
    return Split(paths, people, cameras, {"tracks": owner + 1}, f"mars {half}")


def _labels(names: NDArray[np.str_], listed: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The identity and the camera in each name (N,)."""
    people, cameras = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    of: dict[str, tuple[int, int]] = {}
    for at, name in enumerate(names.tolist()):
        begin = name[:6]
        if begin not in of:
            person, letter, camera = begin[:4], begin[4:5], begin[5:]
            if not (person == "00-1" or person.isdecimal()) or letter != "C" or not camera.isdecimal():
                raise DataError(
                    f"{listed} line holds {name!r}, no name such as 0001C1T0001F001.jpg (identity, camera, tracklet, "
                    "frame): download it again."
                )
            of[begin] = -1 if person == "00-1" else int(person), int(camera)
        people[at], cameras[at] = of[begin]
    return people, cameras
