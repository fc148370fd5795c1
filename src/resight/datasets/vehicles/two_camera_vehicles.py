"""567 vehicles in two cameras, one image each (Nguyen, Truong and Nguyen, Apache-2.0), from the folder or its zip.

The files ``images/train/car_0001_cam1.jpg`` and ``images/train/car_0001_cam2.jpg`` are one vehicle; a number tells
vehicles apart only within their type and within ``train`` or ``test``.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.labels import number_identities
from resight.datasets.layouts import Counts, check_counts, check_fold, find_base, note_strays, read_names
from resight.datasets.splitting import validation
from resight.files import list_files
from resight.records import Split
from resight.texts import texts

PARTS = ("train", "test")
OFFICIAL: Counts = {
    "train": {"images": (1_014,), "identities": (507,)},
    "query": {"images": (60,), "identities": (60,)},
    "gallery": {"images": (60,), "identities": (60,)},
}
NAME = re.compile(r"([a-z]+)_(\d{1,9})_cam([12])\.\w+")
_KIND = "such as car_0001_cam1.jpg (type, number, camera)"


@register("two_camera_vehicles")
def two_camera_vehicles(
    root: str | Path, *, strict: bool = True, fold: str = "test", seed: int = 0, held_out: int | None = None
) -> Dataset:
    """Cars, motorcycles, trucks and buses: camera 1 asks, camera 2 answers.

    Args:
        root: the folder or zip archive; ``images/train`` and ``images/test`` may lie at any depth below.
        strict: whether the numbers of images and identities must be the data set's own: 507 vehicles to train on and
            60 to test, each with one image per camera.
        fold: ``"test"`` for the published test part; ``"validation"`` to choose a model with train images alone. It
            holds out a seeded share of the train vehicles; the lists ``train.txt`` and ``val.txt`` are not used.
        seed, held_out: which and how many vehicles ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the column ``types``, (N,) str: car, motorcycle, truck or bus.

    Raises:
        DataError: not in this layout, an image with another name, or wrong numbers with ``strict``.
        RecipeError: no such fold.
    """
    check_fold("two_camera_vehicles", fold)
    paths = [path for path, _ in list_files(root)]
    base = find_base(os.fspath(root), paths, [f"images/{part}" for part in PARTS], "two_camera_vehicles")
    strays: list[str] = []
    images: list[str] = []
    names: list[str] = []
    labels: list[tuple[str, ...]] = []
    for part in PARTS:
        found, groups = read_names(f"{base}/images/{part}/", paths, NAME, _KIND, strays)
        images += found
        labels += groups
        names += [f"{part}/{kind}_{number}" for kind, number, _ in groups]
    cameras = np.array([int(camera) for _, _, camera in labels], dtype=np.int64)
    types = np.array([kind for kind, _, _ in labels], dtype=np.str_)
    everyone = Split(texts(images), number_identities(names), cameras, {"types": types})
    to_train = np.array([name.startswith("train/") for name in names], dtype=bool)
    query, gallery = (
        everyone.take(~to_train & (cameras == camera), f"two_camera_vehicles camera {camera}") for camera in (1, 2)
    )
    train = everyone.take(to_train, "two_camera_vehicles train")
    data = Dataset("two_camera_vehicles", train, query, gallery, notes=note_strays(strays))
    data = check_counts(data, OFFICIAL, os.fspath(root), "two_camera_vehicles", strict=strict)
    return _validation(data, held_out, seed) if fold == "validation" else data


def _validation(data: Dataset, held_out: int | None, seed: int) -> Dataset:
    """As :func:`resight.datasets.splitting.validation`, with every query from camera 1."""
    chosen = validation(data, held_out, seed)
    held = ~np.isin(data.train.identities, chosen.train.identities)
    query, gallery = (
        data.train.take(held & (data.train.cameras == camera), f"{data.train.name} (camera {camera})")
        for camera in (1, 2)
    )
    return replace(chosen, query=query, gallery=gallery)
