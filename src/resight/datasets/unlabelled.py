"""Images without labels: any folder or zip archive of pictures, for what learns from images alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.errors import DataError
from resight.files import is_image_name, list_files
from resight.records import JUNK, Split
from resight.texts import texts


@register("unlabelled")
def unlabelled(root: str | Path) -> Dataset:
    """Every image below ``root`` as a training image of unknown identity; there are no queries and no gallery.

    Args:
        root: a folder or zip archive, or a folder inside a zip archive (``"people.zip/street"``).

    Returns:
        A data set whose training images all have identity -1, as images that are never counted have, and camera 1.

    Raises:
        DataError: there is no image.
    """
    where = os.fspath(root).rstrip("/") or "/"
    files = [path for path, _ in list_files(where)]
    images = [path for path in files if is_image_name(path)]
    if not images:
        raise DataError(f"{where} holds no images: pass a folder or zip archive of pictures.")
    notes = [f"{len(files) - len(images)} file(s) that are not images were left out."] * (len(files) > len(images))
    train = Split(
        texts(images),
        np.full(len(images), JUNK, np.int64),
        np.ones(len(images), np.int64),
        name="unlabelled",
    )
    nothing = train.take([])
    return Dataset("unlabelled", train, nothing, nothing, notes=tuple(notes))
