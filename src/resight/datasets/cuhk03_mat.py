"""CUHK03's one big file, ``cuhk-03.mat``, unpacked into images. Needs h5py."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from resight.datasets.cuhk03 import TEST_SETS
from resight.errors import DataError
from resight.files import atomic_path, write_text


def unpack(mat: str | Path, folder: str | Path) -> int:
    """Write the images of ``cuhk-03.mat`` to ``images_detected`` and ``images_labeled``, and its 20 test sets beside.

    Images that are there already stay as they are, so that a stopped call can go on. 28,193 images take about 1 GB.

    Args:
        mat: the file, about 2 GB.
        folder: where to write; the published configs of the new protocol belong there too.

    Returns:
        How many images there are.

    Raises:
        DataError: h5py is not installed, or the file is not CUHK03's.
        ResightError: a file cannot be written.
    """
    try:
        h5py = import_module("h5py")
    except ImportError:
        raise DataError(f"{os.fspath(mat)} can be read with h5py only: pip install h5py.") from None
    target, count = Path(folder), 0
    try:
        with h5py.File(mat, "r") as file:
            for boxes in ("detected", "labeled"):
                for pair, pair_reference in enumerate(file[boxes][0], start=1):
                    for person, cells in enumerate(np.asarray(file[pair_reference]).T, start=1):
                        for number, cell in enumerate(cells, start=1):
                            view = 1 if number <= 5 else 2
                            name = f"{pair}_{person:03d}_{view}_{number:02d}.png"
                            count += _write(file[cell], target / f"images_{boxes}" / name)
            sets = [np.asarray(file[reference]).T.astype(int) for reference in file["testsets"][0]]
    except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{os.fspath(mat)} is not CUHK03's cuhk-03.mat ({error}): download it again.") from None
    lines = [f"{at} {pair} {person}\n" for at, rows in enumerate(sets) for pair, person in rows.tolist()]
    write_text(target / TEST_SETS, "".join(lines))
    return count


def _write(cell: Any, path: Path) -> bool:
    """Write one image, (3, W, H) as MATLAB lays it out, unless it is there; whether the cell holds one at all."""
    if cell.ndim != 3:  # an empty cell
        return False
    if not path.is_file():
        image = np.ascontiguousarray(np.asarray(cell).T)[..., ::-1]
        code = cv2.imencode(".png", image)[1]
        with atomic_path(path) as temporary:
            temporary.write_bytes(code.tobytes())
    return True
