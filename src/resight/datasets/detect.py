"""Which data set lies in a folder or a zip archive."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from resight.datasets.market1501 import FOLDERS, OFFICIAL
from resight.datasets.table import SUFFIXES as TABLES
from resight.datasets.tracklets import ilidsvid, lsvid, mars, mot, prid2011
from resight.datasets.tracklets.layout import holding
from resight.datasets.vehicles import two_camera_vehicles, veri776
from resight.files import is_image_name, list_files

TRACKLETS = {mars.LISTS: "mars", lsvid.LISTS: "lsvid", ilidsvid.SPLITS: "ilidsvid", prid2011.FOLDERS: "prid2011"}


def detect(root: str | Path) -> str:
    """The catalog's name for what lies at ``root``.

    In the layout of Market-1501 it is ``"market1501"`` where at least half of its images are there, whose numbers are
    then checked when it is loaded, and ``"market_layout"`` where there are fewer. ``"cuhk03"``, ``"msmt17"``,
    ``"veri776"``, ``"vehicleid"``, ``"veriwild"``, ``"two_camera_vehicles"`` and ``"course"`` are known by their
    folders and lists; a CSV or Parquet file is a ``"table"``. ``"mars"``, ``"lsvid"``, ``"ilidsvid"`` and
    ``"prid2011"`` are known by their lists alone, since half a million images may lie beside them; images three folders
    deep, ``<identity>/<camera>/<tracklet>/*.jpg``, are ``"tracklets"``; crops beside a ``seqinfo.ini`` are ``"mot"``.
    All else is ``"folder"``.

    Raises:
        DataError: there is nothing at ``root``, or it is neither a folder nor a zip archive.
    """
    if is_table(root):
        return "table"
    for mark, name in TRACKLETS.items() if Path(root).is_dir() else ():
        if holding(os.fspath(root), mark):
            return name
    return detect_in(os.fspath(root), (path for path, _ in list_files(root)))


def is_table(root: str | Path) -> bool:
    """Whether a CSV or Parquet file lies at ``root``."""
    return Path(root).suffix.lower() in TABLES and Path(root).is_file()


def detect_in(root: str, paths: Iterable[str]) -> str:
    """As :func:`detect`, where ``paths`` is every file below ``root``."""
    start = len(root.rstrip("/"))
    folders: Counter[str] = Counter()
    files: set[str] = set()
    depths: set[int] = set()
    lists, pairs = False, 0
    for path in paths:
        for mark, name in TRACKLETS.items():
            if f"/{mark}" in path:
                return name
        *_, above, folder, name = ["", "", *path[start:].split("/")]
        if is_image_name(name):
            folders[folder] += 1
            depths.add(path[start:].count("/"))
            pairs += above == "images" and two_camera_vehicles.NAME.fullmatch(name) is not None
        else:
            files.add(name)
        lists |= folder == "train_test_split" and name.startswith("train_list")
    if folders[FOLDERS["train"]] or (folders[FOLDERS["query"]] and folders[FOLDERS["gallery"]]):
        images = sum(folders[folder] for folder in FOLDERS.values())
        whole = sum(counts["images"][0] for counts in OFFICIAL.values())
        return "market1501" if 2 * images >= whole else "market_layout"
    if folders[veri776.FOLDERS["query"]] and folders[veri776.FOLDERS["gallery"]]:
        return "veri776"
    if "train_idloss.csv" in files:
        return "course"
    if {"list_train.txt", "list_query.txt", "list_gallery.txt"} <= files:
        return "msmt17"
    if "cuhk-03.mat" in files or folders["images_detected"] or folders["images_labeled"]:
        return "cuhk03"
    if lists:
        return "vehicleid" if folders["image"] else "veriwild"
    if mot.INFO in files:
        return "mot"
    if pairs and pairs == folders["train"] + folders["test"]:
        return "two_camera_vehicles"
    return "tracklets" if len(depths) == 1 and depths & {4, 5} else "folder"
