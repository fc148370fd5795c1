"""Pictures to judge a changed model by: part of a data set, an unlabelled folder of crops, or synthetic people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from resight import datasets
from resight.errors import DataError
from resight.files import is_image_name, list_files
from resight.records import Split
from resight.texts import texts

QUERIES, GALLERY, CALIBRATION = 200, 1_000, 128  # at most so many images


@dataclass(frozen=True)
class Samples:
    """Images to calibrate with, separate from queries and gallery; ``labelled``: who is on them is known."""

    calibration: Split
    query: Split
    gallery: Split
    protocol: str
    labelled: bool


@contextmanager
def samples(root: str | Path | None = None) -> Iterator[Samples]:
    """Part of the data set at ``root``; in an unlabelled folder all are unknown; without a root, synthetic people.

    Raises:
        DataError: nothing at ``root``, or fewer than four images.
    """
    if root is None:
        with TemporaryDirectory() as folder:
            yield _part(datasets.load("synthetic", Path(folder) / "people", identities=48, cameras=3, seed=1))
        return
    kind = datasets.detect(root)
    try:
        data = datasets.load(kind, root)
    except DataError:
        if kind != "folder":
            raise
        yield _unlabelled(root)  # crops side by side, whose names say nothing
        return
    yield _part(data)


def _part(data: datasets.Dataset) -> Samples:
    """All images of as many identities as fit."""
    people = np.unique(data.query.identities)
    share = min(1.0, QUERIES / len(data.query), GALLERY / max(1, np.isin(data.gallery.identities, people).sum()))
    kept = people[_evenly(len(people), max(2, round(share * len(people))))]
    query, gallery = (
        split.take(np.flatnonzero(np.isin(split.identities, kept))) for split in (data.query, data.gallery)
    )
    rest = data.train if len(data.train) else data.gallery
    return Samples(rest.take(_evenly(len(rest), CALIBRATION)), query, gallery, data.protocol, labelled=True)


def _unlabelled(root: str | Path) -> Samples:
    paths = texts([path for path, _ in list_files(root) if is_image_name(path)])
    if len(paths) < 4:
        raise DataError(f"{root} holds {len(paths)} images, but at least 4 are needed: pass a folder with more.")
    every = Split(paths, np.zeros(len(paths), np.int64), np.zeros(len(paths), np.int64))
    first, second, third = (every.take(np.arange(at, len(every), 3)) for at in range(3))
    return Samples(
        first.take(_evenly(len(first), CALIBRATION)),
        second.take(_evenly(len(second), QUERIES)),
        third.take(_evenly(len(third), GALLERY)),
        "market1501",
        labelled=False,
    )


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))
