"""iLIDS-VID (Wang et al., ECCV 2014): 300 people, one tracklet of each in either of two cameras.

``sequences/cam1/person001/*.png`` and ``sequences/cam2/...``; ``train_test_splits_ilidsvid.mat`` has ``ls_set``, (10,
300): in each row the numbers (from 1) of the sorted people, half of them to train on. **Which half is which is not
said in it, and two camps of published code use opposite halves**: see ``test_half``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts
from resight.datasets.tracklets.layout import (
    Tracklet,
    check_repeat,
    cross_camera_halves,
    find_beside,
    whole_numbers,
)
from resight.datasets.tracklets.sequences import people_in
from resight.errors import DataError, RecipeError

SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"
FOLDER = "i-LIDS-VID/sequences"
ROWS = 10
HALVES = ("first", "last")
OFFICIAL: Counts = {
    "train": {"tracklets": (300,), "identities": (150,)},
    "query": {"tracklets": (150,), "identities": (150,)},
    "gallery": {"tracklets": (150,), "identities": (150,)},
}


@register("ilidsvid")
def ilidsvid(
    root: str | Path,
    *,
    repeat: int = 0,
    test_half: str = "first",
    strict: bool = True,
) -> Dataset:
    """iLIDS-VID: camera 1 asks, camera 2 is the gallery; published numbers are the CMC averaged over ten halves.

    ``resight evaluate MODEL iLIDS-VID --repeats 10`` averages ``repeat=0`` to ``repeat=9``.

    Args:
        root: the folder or zip archive that holds ``i-LIDS-VID`` and ``train-test people splits``.
        repeat: which row of the published split, 0 to 9.
        test_half: which half of that row is tested. ``"first"`` is what torchreid does; ``"last"`` is what the code
            of AGRL, PSTA and TF-CLIP does. Numbers of one are not numbers of the other.
        strict: whether the numbers of tracklets and people must be iLIDS-VID's own.

    Returns:
        A data set whose splits have the column ``tracks``; identity 1 is the first of the sorted people.

    Raises:
        DataError: not in iLIDS-VID's layout, a person in one camera alone, or wrong numbers with ``strict``.
        RecipeError: no such repeat or half.
    """
    check_repeat("ilidsvid", repeat, ROWS)
    if test_half not in HALVES:
        raise RecipeError(f"ilidsvid has no test_half {test_half!r}: choose 'first' or 'last'.")
    where = os.fspath(root)
    base = find_beside(where, SPLITS, "iLIDS-VID")
    one, other = (people_in(f"{base}/{FOLDER}/cam{camera}") for camera in (1, 2))
    alone = sorted(one.keys() ^ other.keys())
    if alone:
        raise DataError(f"{base}/{FOLDER} has {alone[0]} in one camera alone: unpack iLIDS-VID again.")
    rows = whole_numbers(f"{base}/{SPLITS}", "ls_set", len(one))
    if len(rows) != ROWS or (np.sort(rows, axis=1) != np.arange(1, len(one) + 1)).any():
        raise DataError(
            f"{base}/{SPLITS} has {len(rows)} rows, but {ROWS} orders of the {len(one)} people are needed: "
            "download it again."
        )
    half = len(one) // 2
    tested = rows[repeat, :half] if test_half == "first" else rows[repeat, half:]
    tracklets = [
        Tracklet(found[name], person, camera)
        for camera, found in ((1, one), (2, other))
        for person, name in enumerate(sorted(found), start=1)
    ]
    notes = (
        f"Row {repeat} of {ROWS} of the split; its {test_half} half is tested, as "
        f"{'torchreid does' if test_half == 'first' else 'AGRL, PSTA and TF-CLIP do'}; other code tests the other "
        "half. The protocol averages all rows (--repeats 10).",
    )
    data = cross_camera_halves("ilidsvid", tracklets, tested, 1, notes)
    return check_counts(data, OFFICIAL, where, "iLIDS-VID", strict=strict)
