"""PKU VehicleID (Liu et al., CVPR 2016) from its folder or its zip.

Images are ``image/<7 digits>.jpg``; their labels are in lists, ``train_test_split/train_list.txt`` and
``test_list_800.txt``, ``test_list_1600.txt``, ``test_list_2400.txt``, in lines ``<image> <vehicle>``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold, check_images, find_base, read_lines
from resight.datasets.splitting import VALIDATION_SHARE, choose_identities
from resight.errors import DataError, RecipeError
from resight.files import list_files
from resight.records import Split
from resight.texts import texts

TEST_IMAGES = {800: 6_493, 1600: 13_377, 2400: 19_777}  # by test list; the paper's own numbers are of an older version
REPEATS = 10


@register("vehicleid")
def vehicleid(
    root: str | Path,
    *,
    size: int = 800,
    repeat: int = 0,
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """VehicleID: of each test vehicle one random image is the gallery, and all others are queries.

    Cameras are unknown: all are 0, and the protocol is ``"single_camera"``. The published protocol averages ten such
    draws: load with ``repeat=0`` to ``repeat=9`` and average the results.

    Args:
        root: the folder or zip archive; ``image`` and ``train_test_split`` may lie at any depth below.
        size: how many vehicles are tested: 800 (small), 1600 (medium) or 2400 (large).
        repeat: which of the ten draws of gallery images, 0 to 9.
        strict: whether the numbers of images and identities must be VehicleID's own (train 113,346 images of 13,164
            vehicles; the lists differ a little from the paper, as the data set's read-me says).
        fold: ``"test"`` for the published lists; ``"validation"`` to choose a model with train images alone, by the
            same protocol.
        seed, held_out: which and how many train vehicles ``fold="validation"`` holds out; by default the same share
            as of Market-1501.

    Returns:
        A data set whose splits have the column ``vehicles``, (N,) int64: the number in the lists, which may begin at
        0. Identities are one more, so that none is a distractor.

    Raises:
        DataError: not in VehicleID's layout, a list that cannot be read, a listed image that is missing, wrong
            numbers with ``strict``, or fewer train vehicles than are to be held out.
        RecipeError: no such fold, size or repeat.
    """
    check_fold("vehicleid", fold)
    if size not in TEST_IMAGES:
        raise RecipeError(f"vehicleid has no test list of size {size!r}: choose 800, 1600 or 2400.")
    if repeat not in range(REPEATS):
        raise RecipeError(f"vehicleid has no repeat {repeat!r}: choose 0 to {REPEATS - 1}.")
    where = os.fspath(root)
    there = {path for path, _ in list_files(root)}
    base = find_base(where, there, ("image", "train_test_split"), "VehicleID")
    train = _read(base, "train_list.txt", there, "vehicleid train")
    query, gallery = _draw(_read(base, f"test_list_{size}.txt", there, f"vehicleid test {size}"), size, repeat)
    data = Dataset("vehicleid", train, query, gallery, "single_camera", _notes(repeat))
    data = check_counts(data, _official(size), where, "VehicleID", strict=strict)
    return _validation(data, size, repeat, seed, held_out) if fold == "validation" else data


def _official(size: int) -> Counts:
    return {
        "train": {"images": (113_346,), "identities": (13_164,)},
        "query": {"images": (TEST_IMAGES[size] - size,)},
        "gallery": {"images": (size,), "identities": (size,)},
    }


def _notes(repeat: int) -> tuple[str, ...]:
    return (f"The gallery is draw {repeat} of {REPEATS}: the published protocol averages all of them.",)


def _read(base: str, name: str, there: Collection[str], title: str) -> Split:
    """The images of one list, in its order."""
    listed_in = f"{base}/train_test_split/{name}"
    images: list[str] = []
    vehicles: list[int] = []
    for number, line in read_lines(listed_in):
        image, vehicle, *more = [*line.split(), ""]
        if more != [""] or not vehicle.isdecimal():
            raise DataError(f"{listed_in} line {number} is {line!r}, but each must be '<image> <vehicle>': correct it.")
        images.append(f"{base}/image/{image.removesuffix('.jpg')}.jpg")
        vehicles.append(int(vehicle))
    check_images(images, there, listed_in, "VehicleID")
    numbers = np.array(vehicles, dtype=np.int64)
    return Split(texts(images), numbers + 1, np.zeros_like(numbers), {"vehicles": numbers}, title)


def _draw(split: Split, size: int, repeat: int) -> tuple[Split, Split]:
    """All images of ``split`` but one of each identity, and these."""
    order = np.random.default_rng([size, repeat]).permutation(len(split))
    drawn = np.zeros(len(split), dtype=bool)
    drawn[order[np.unique(split.identities[order], return_index=True)[1]]] = True
    return split.take(~drawn, f"{split.name} (query)"), split.take(drawn, f"{split.name} (gallery)")


def _validation(data: Dataset, size: int, repeat: int, seed: int, held_out: int | None) -> Dataset:
    train = data.train
    known = len(np.unique(train.identities))
    count = max(1, round(known * VALIDATION_SHARE)) if held_out is None else held_out
    if not 0 < count < known:
        raise DataError(
            f"vehicleid has {known} train identities, so {count} cannot be held out for validation: "
            "hold out fewer, and one or more."
        )
    held = np.isin(train.identities, choose_identities(train.identities, count, seed=seed))
    query, gallery = _draw(train.take(held), size, repeat)
    note = f"Validation: {count} of {known} train identities are held out (seed {seed}); no test image is used."
    notes = (*data.notes, note)
    return Dataset("vehicleid-validation", train.take(~held), query, gallery, data.protocol, notes)
