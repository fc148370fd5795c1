"""VERI-Wild (Lou et al., CVPR 2019) from its folder or a zip of it.

Images are ``images/<vehicle>/<image>.jpg``; the splits are lists in ``train_test_split``, and cameras in its
``vehicle_info.txt``, in lines ``<vehicle>/<image>;camera;time;model;type;colour``. Two versions of the lists
circulate, and both are read: ``test_3000.txt`` with lines ``<vehicle>/<image>``, and ``test_3000_id.txt`` with lines
``<vehicle>/<image>.jpg <label> <camera>``, whose label is not used.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold, check_images, find_base, read_lines
from resight.datasets.splitting import validation
from resight.errors import DataError, RecipeError
from resight.files import list_files
from resight.records import Split
from resight.texts import texts

TEST_IMAGES = {3000: 41_861, 5000: 69_389, 10000: 138_517}  # queries and gallery together; the paper prints 41,816
DETAILS = ("times", "models", "types", "colours")


@register("veriwild")
def veriwild(
    root: str | Path,
    *,
    size: int = 3000,
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """VERI-Wild: 40,671 vehicles in 174 cameras.

    Query images that the gallery list repeats are taken out of the gallery. That changes no result, since an image
    of the query's identity and camera does not count.

    Args:
        root: the folder or zip archive; ``images`` and ``train_test_split`` may lie at any depth below.
        size: how many vehicles are tested: 3000 (small), 5000 (medium) or 10000 (large).
        strict: whether the numbers of images and identities must be VERI-Wild's own.
        fold: ``"test"`` for the published lists; ``"validation"`` to choose a model with train images alone
            (see :func:`resight.datasets.splitting.validation`).
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the columns ``vehicles``, (N,) int64, the number of the folder (identities are
        one more, so that none is a distractor), and ``times``, ``models``, ``types`` and ``colours``, (N,) str as in
        ``vehicle_info.txt``, "" where it does not say.

    Raises:
        DataError: not in VERI-Wild's layout, a list that is missing or cannot be read, a listed image that is
            missing, an image without a camera, or wrong numbers with ``strict``.
        RecipeError: no such fold or size.
    """
    check_fold("veriwild", fold)
    if size not in TEST_IMAGES:
        raise RecipeError(f"veriwild has no test list of size {size!r}: choose 3000, 5000 or 10000.")
    where = os.fspath(root)
    there = {path for path, _ in list_files(root)}
    base = find_base(where, there, ("images", "train_test_split"), "VERI-Wild")
    details = _read_details(base, there)
    lists = (
        ("train_list.txt", "train_list_start0.txt"),
        (f"test_{size}_query.txt", f"test_{size}_id_query.txt"),
        (f"test_{size}.txt", f"test_{size}_id.txt"),
    )
    train, query, gallery = (_read(base, names, there, details) for names in lists)
    gallery = gallery.take(~np.isin(gallery.paths, query.paths))
    data = check_counts(Dataset("veriwild", train, query, gallery), _official(size), where, "VERI-Wild", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


def _official(size: int) -> Counts:
    return {
        "train": {"images": (277_797,), "identities": (30_671,)},
        "query": {"images": (size,), "identities": (size,)},
        "gallery": {"images": (TEST_IMAGES[size] - size,), "identities": (size,)},
    }


def _read_details(base: str, there: Collection[str]) -> Mapping[str, str]:
    """What ``vehicle_info.txt`` says after the first semicolon of ``<vehicle>/<image>``; its header does no harm."""
    for path in (f"{base}/train_test_split/vehicle_info.txt", f"{base}/vehicle_info.txt"):
        if path in there:
            lines = (line.partition(";") for _, line in read_lines(path))
            return {key.removesuffix(".jpg"): rest for key, _, rest in lines}
    return {}


def _read(base: str, names: tuple[str, str], there: Collection[str], details: Mapping[str, str]) -> Split:
    """The images of the first of two lists that is there, in its order."""
    folder = f"{base}/train_test_split"
    name = next((name for name in names if f"{folder}/{name}" in there), None)
    if name is None:
        raise DataError(f"{folder} has no {names[0]} nor {names[1]}: download or unpack VERI-Wild's lists again.")
    images: list[str] = []
    vehicles: list[int] = []
    cameras: list[int] = []
    rows: list[tuple[str, ...]] = []
    for number, line in read_lines(f"{folder}/{name}"):
        listed, *rest = line.split()
        key = listed.removesuffix(".jpg")
        vehicle, slash, _ = key.partition("/")
        if not slash or not vehicle.isdecimal():
            raise DataError(
                f"{folder}/{name} line {number} is {line!r}, but each must begin with <vehicle>/<image>: correct it."
            )
        camera, *about = details.get(key, rest[1] if len(rest) > 1 else "").split(";")
        if not camera.strip().isdecimal():
            raise DataError(
                f"{folder}/{name} line {number}: no camera is known of {listed}: "
                "put VERI-Wild's vehicle_info.txt, which names it, beside the list."
            )
        images.append(f"{base}/images/{key}.jpg")
        vehicles.append(int(vehicle))
        cameras.append(int(camera))
        rows.append((*about, *[""] * len(DETAILS))[: len(DETAILS)])
    check_images(images, there, f"{folder}/{name}", "VERI-Wild")
    ids = np.array(vehicles, dtype=np.int64)
    facts = np.array(rows, dtype=np.str_).reshape(-1, len(DETAILS)).T
    columns = {"vehicles": ids, **dict(zip(DETAILS, facts, strict=True))}
    return Split(
        texts(images),
        ids + 1,
        np.array(cameras, dtype=np.int64),
        columns,
        f"veriwild {name.removesuffix('.txt')}",
    )
