"""Which data set lies in a folder or a zip archive."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from resight.datasets.market1501 import FOLDERS, OFFICIAL
from resight.files import is_image_name, list_files


def detect(root: str | Path) -> str:
    """The catalog's name for what lies at ``root``.

    In the layout of Market-1501 it is ``"market1501"`` where at least half of its images are there, whose numbers are
    then checked when it is loaded, and ``"market_layout"`` where there are fewer; all else is ``"folder"``.

    Raises:
        DataError: there is nothing at ``root``, or it is neither a folder nor a zip archive.
    """
    return detect_in(os.fspath(root), (path for path, _ in list_files(root)))


def detect_in(root: str, paths: Iterable[str]) -> str:
    """As :func:`detect`, where ``paths`` is every file below ``root``."""
    start = len(root.rstrip("/"))
    folders = [path[start:].split("/")[-2] for path in paths if is_image_name(path)]
    if FOLDERS["train"] not in folders:
        return "folder"
    images = sum(folder in FOLDERS.values() for folder in folders)
    whole = sum(counts["images"] for counts in OFFICIAL.values())
    return "market1501" if 2 * images >= whole else "market_layout"
