"""PRID-2011 (Hirzer et al., SCIA 2011): people of whom the first 200 are in both of two cameras.

``multi_shot/cam_a/person_0001/*.png`` and ``cam_b``. The data set comes without a split. Published code uses
``splits_prid2011.json``, a list of ten ``{"train": [folders], "test": [folders]}`` of 89 people each: the 178 in both
cameras whose sequences are long enough.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts
from resight.datasets.tracklets.layout import Tracklet, check_repeat, cross_camera_halves, find_beside
from resight.datasets.tracklets.sequences import people_in
from resight.errors import DataError, RecipeError
from resight.files import read_bytes

SPLITS = "splits_prid2011.json"
FOLDERS = "multi_shot/cam_a"
ROWS = 10
BOTH = 200  # of the people of a camera, the first so many are in both
LONG = 28  # images in either camera, from which 178 people are used
OFFICIAL: Counts = {
    "train": {"tracklets": (178,), "identities": (89,)},
    "query": {"tracklets": (89,), "identities": (89,)},
    "gallery": {"tracklets": (89,), "identities": (89,)},
}


@register("prid2011")
def prid2011(root: str | Path, *, repeat: int = 0, splits: str = "published", strict: bool = True) -> Dataset:
    """PRID-2011: camera A asks, camera B is the gallery; published numbers are the CMC averaged over ten halves.

    ``resight evaluate MODEL prid_2011 --repeats 10`` averages ``repeat=0`` to ``repeat=9``.

    Args:
        root: the folder or zip archive that holds ``multi_shot``, and beside it or above ``splits_prid2011.json``.
        repeat: which of the ten halves, 0 to 9.
        splits: ``"published"`` reads ``splits_prid2011.json``; ``"drawn"`` draws ten halves of our own, whose numbers
            are not comparable with published ones.
        strict: whether the numbers of tracklets and people must be 89 and 89.

    Returns:
        A data set whose splits have the column ``tracks``; person_0001 is identity 1.

    Raises:
        DataError: not in PRID-2011's layout, no split file, people in it who are not there, or wrong numbers with
            ``strict``.
        RecipeError: no such repeat or splits.
    """
    check_repeat("prid2011", repeat, ROWS)
    if splits not in ("published", "drawn"):
        raise RecipeError(f"prid2011 has no splits {splits!r}: choose 'published' or 'drawn'.")
    where = os.fspath(root)
    base = find_beside(where, FOLDERS, "PRID-2011")
    cameras = {1: people_in(f"{base}/multi_shot/cam_a"), 2: people_in(f"{base}/multi_shot/cam_b")}
    both = {name for name in cameras[1].keys() & cameras[2].keys() if _number(base, name) <= BOTH}
    if splits == "drawn":
        long = sorted(name for name in both if min(len(cameras[camera][name]) for camera in cameras) >= LONG)
        order = np.random.default_rng((2011, repeat)).permutation(long).tolist()
        tested, used = order[: len(order) // 2], order
        note = f"Half {repeat} of {ROWS} of our own drawing: numbers are not comparable with published ones."
    else:
        one = _published(base, where)[repeat]
        tested, used = one["test"], one["train"] + one["test"]
        note = f"Half {repeat} of {ROWS} of {SPLITS}. The protocol averages all (--repeats 10)."
    missing = sorted(set(used) - both)
    if missing:
        raise DataError(f"{base} has no {missing[0]} in both cameras, which the split needs: unpack PRID-2011 again.")
    tracklets = [
        Tracklet(found[name], _number(base, name), camera) for camera, found in cameras.items() for name in sorted(used)
    ]
    halves = np.array([_number(base, name) for name in tested], np.int64)
    data = cross_camera_halves("prid2011", tracklets, halves, 1, (note,))
    return check_counts(data, OFFICIAL, where, "PRID-2011", strict=strict)


def _number(base: str, name: str) -> int:
    digits = name.rpartition("_")[2]
    if not digits.isdecimal():
        raise DataError(f"{base} has a folder {name!r}, no name such as person_0001: rename it or take it out.")
    return int(digits)


def _published(base: str, where: str) -> list[dict[str, list[str]]]:
    """The ten halves of the split file, which lies beside ``multi_shot`` or in a folder above it."""
    content, path = None, f"{base}/{SPLITS}"
    for folder in dict.fromkeys((base, base.rpartition("/")[0], where.rstrip("/"))):
        try:
            content, path = read_bytes(f"{folder}/{SPLITS}"), f"{folder}/{SPLITS}"
            break
        except DataError:
            continue
    if content is None:
        raise DataError(
            f"{path} is missing, which the data set does not come with: put torchreid's file there, or pass "
            "splits='drawn' (--set splits=drawn) for halves of our own."
        )
    try:
        rows: Any = json.loads(content)
        found = [{half: [str(name) for name in row[half]] for half in ("train", "test")} for row in rows]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is no list of {{'train': [...], 'test': [...]}}: download it again.") from None
    if len(found) < ROWS:
        raise DataError(f"{path} has {len(found)} halves, but {ROWS} are needed: download it again.")
    return found
