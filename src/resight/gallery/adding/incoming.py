"""What can be added to a gallery: pictures or embeddings, and what is known of each, wherever it is written.

A data set and a file of embeddings bring cameras and identities; a plain folder or zip archive brings them in its file
names, where these are like Market-1501's or a pattern is given; a CSV list has them in columns.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.counted import counted
from resight.datasets.tables import Table, read_table
from resight.embedding import files
from resight.embedding.named import read_names
from resight.embedding.source import find
from resight.errors import DataError, RecipeError
from resight.files import left_out, list_images
from resight.gallery.adding.dating import times_of
from resight.gallery.record import DAY
from resight.gallery.times import moment
from resight.images.decode import is_image_file
from resight.records import DISTRACTOR, JUNK, Embeddings, Split

MARKET = r"(?P<identity>-1|\d{1,9})_c(?P<camera>\d{1,4})s\d{1,4}_(?P<frame>\d{1,12})_\d{1,9}(\.\w+)+$"
MARKET_NOTE = "Cameras were read from the names, which are like Market-1501's."
LIST = ("path", "camera", "time", "identity")


@dataclass(frozen=True, eq=False)
class Incoming:
    """N sightings to be added.

    Attributes:
        images: paths of N pictures, which may lead through a zip archive, or N embeddings.
        cameras: N names, "" where unknown.
        identities: N names, None where unknown.
        times: N times in seconds since 1970, or None where unknown.
        frames: (N,) the frame of its video or sequence that each is, or None where unknown.
        notes: what a reader should know, one sentence each.
    """

    images: list[str] | Embeddings
    cameras: list[str]
    identities: list[str | None]
    times: list[float | None]
    frames: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str] | None:
        """Where the pictures are, from whatever folder one looks later; None for embeddings, which may know it."""
        return None if isinstance(self.images, Embeddings) else [str(Path(path).absolute()) for path in self.images]

    def timed(self, start: float, rate: float) -> list[float | None]:
        """N times from the frames, ``rate`` of them a second from ``start`` on, in seconds since 1970.

        Raises:
            DataError: the frames are unknown.
            RecipeError: a rate that is not above 0.
        """
        if self.frames is None:
            raise DataError("There are no frame numbers to make times of: leave the frame rate out.")
        if not 0 < rate < math.inf:
            raise RecipeError(f"The frame rate is {rate:g}: it must be above 0.")
        return [start + frame / rate for frame in self.frames.tolist()]


def incoming(
    where: str | Path,
    name: str = "",
    part: str = "",
    pattern: str = "",
    *,
    time: str = "",
    by_folder: bool = False,
) -> Incoming:
    """What there is to add at a place.

    Args:
        where: a data set, folder, zip archive or image; embeddings that ``resight embed`` wrote (``.parquet``,
            ``.npz``); or a CSV list of pictures with the columns ``path`` (from the list's own folder), and ``camera``,
            ``time`` and ``identity`` where known.
        name: which data set it is; found out when not given (``folder`` is never guessed).
        part: of a data set only this split.
        pattern: a regular expression that is searched in each path of a plain folder, with any of the groups
            ``camera``, ``identity``, ``time`` and ``frame``.
        time: where the times of plain files are read: ``exif``, ``name`` or ``file``
            (:func:`resight.gallery.adding.dating.times_of`).
        by_folder: the camera of each plain file is the name of the folder in which it lies.

    Raises:
        DataError: nothing is there, or it cannot be read.
        RecipeError: a pattern without these groups, a pattern, times or folders where there are no plain files, or
            two ways to read the same.
    """
    path, suffix = Path(where), Path(where).suffix.lower()
    asked = "A pattern" if pattern else f"Time from {time}" if time else "A camera by folder" if by_folder else ""
    if asked and (name or suffix in (".csv", *files.SUFFIXES)):
        raise RecipeError(f"{asked} is about the names of plain files, but {path} is read otherwise: leave it out.")
    if suffix in files.SUFFIXES:
        return _without_junk(files.read(path))
    if suffix == ".csv":
        return _list(path)
    if path.is_file() and suffix != ".zip" and not is_image_file(path):
        raise DataError(
            f"{path} is no image, zip archive, CSV list or file of embeddings: for a video use resight watch."
        )
    found = str(where) if asked else find(where, name, part)
    if isinstance(found, Split):
        return _without_junk(found)
    if is_image_file(found) and not path.is_dir():
        return _more(_named([found], pattern), str(path.parent), time, by_folder=by_folder)
    paths, others = list_images(found)
    sentence = left_out(others)
    if not paths:
        raise DataError(f"{where} holds no images: nothing to add. {sentence}".rstrip())
    named = _more(_named(paths, pattern), found, time, by_folder=by_folder)
    return replace(named, notes=(*named.notes, sentence)) if sentence else named


def _more(named: Incoming, root: str, time: str, *, by_folder: bool) -> Incoming:
    """With times and cameras that are read otherwise than by a pattern."""
    paths = named.images
    assert isinstance(paths, list)
    if time:
        if any(known is not None for known in named.times):
            raise RecipeError(f"The pattern reads times, and so does {time}: leave one of the two out.")
        times, notes = times_of(paths, time)
        named = replace(named, times=times, notes=(*named.notes, *notes))
    if by_folder:
        top = PurePath(root)
        above = [PurePath(path).parent for path in paths]
        cameras = ["" if folder == top else folder.name for folder in above]
        notes = tuple(note for note in named.notes if note != MARKET_NOTE)
        if "" in cameras:
            notes += (f"{counted(cameras.count(''), 'image')} outside of the cameras' folders: of unknown camera.",)
        named = replace(named, cameras=cameras, notes=notes)
    return named


def _without_junk(of: Split | Embeddings) -> Incoming:
    if of.identities is None or not (of.identities == JUNK).any():
        return _known(of)
    keep = of.identities != JUNK
    return _known(of.take(keep), (_left_out(int((~keep).sum())),))


def _known(of: Split | Embeddings, notes: tuple[str, ...] = ()) -> Incoming:
    """What is known from the columns: names where there are any, else numbers."""
    columns = of.columns
    cameras = [""] * len(of) if of.cameras is None else list(map(str, of.cameras.tolist()))
    identities: list[str | None] = [None] * len(of)
    if of.identities is not None:
        names = columns.get("identity_names", of.identities).tolist()
        known = (of.identities > DISTRACTOR).tolist()
        identities = [str(name) if yes else None for name, yes in zip(names, known, strict=True)]
    times: list[float | None] = [None] * len(of)
    if "times" in columns and _are_seconds(columns["times"]):
        times = [float(time) if math.isfinite(time) else None for time in columns["times"].tolist()]
    elif "times" in columns:
        notes += ("The times of this data set are not seconds since 1970: they are left out.",)
    return Incoming(
        of if isinstance(of, Embeddings) else of.paths.tolist(),
        columns["camera_names"].tolist() if "camera_names" in columns else cameras,
        identities,
        times,
        columns.get("frames"),
        notes,
    )


def _are_seconds(times: NDArray[Any]) -> bool:
    """Whether a column holds seconds since 1970, and not words like "morning", frames, or seconds of a film."""
    return times.dtype.kind in "fiu" and bool((times[np.isfinite(times)] > 366 * DAY).any())


def _named(paths: list[str], pattern: str) -> Incoming:
    """Plain files, with what ``pattern`` reads in their paths, or Market-1501's names where all are like these."""
    if not pattern and not all(re.search(MARKET, path) for path in paths):
        return Incoming(paths, [""] * len(paths), [None] * len(paths), [None] * len(paths))
    rows = read_names(paths, pattern or MARKET)
    notes: list[str] = []
    if not pattern:
        notes.append(MARKET_NOTE)
        junk = [row["identity"] == "-1" for row in rows]
        if any(junk):
            notes.append(_left_out(sum(junk)))
            paths = [path for path, bad in zip(paths, junk, strict=True) if not bad]
            rows = [row for row, bad in zip(rows, junk, strict=True) if not bad]
        for row in rows:
            row["identity"] = row["identity"].lstrip("0")  # 0000 is a distractor
    return Incoming(
        paths,
        [row.get("camera", "") for row in rows],
        [row.get("identity") or None for row in rows],
        [moment(row["time"]) if row.get("time") else None for row in rows],
        np.array([int(row["frame"]) for row in rows], np.int64) if "frame" in rows[0] else None,
        tuple(notes),
    )


def _list(path: Path) -> Incoming:
    """A CSV list of pictures."""
    table = read_table(path, ("path",), others=True)
    rows = len(table.lines)
    extra = [name for name in table.columns if name not in LIST]
    if extra:
        raise DataError(f"{path} line 1: the columns are path and any of {', '.join(LIST[1:])}, but not {extra[0]!r}.")
    cameras, times, identities = (table.columns.get(name, ("",) * rows) for name in LIST[1:])
    return Incoming(
        [_listed(table, row) for row in range(rows)],
        list(cameras),
        [name or None for name in identities],
        [
            moment(time, f"{path} line {line}: the time") if time else None
            for time, line in zip(times, table.lines, strict=True)
        ],
    )


def _listed(table: Table, row: int) -> str:
    """The path in a row, from the list's own folder; with the backslashes of Windows where there is no such file."""
    cell = table.columns["path"][row]
    if "://" in cell:
        raise table.error(row, f"{cell} is an address, from which nothing is downloaded: write the path of a file.")
    found = Path(table.path).parent / cell
    return str(Path(table.path).parent / cell.replace("\\", "/") if "\\" in cell and not found.exists() else found)


def _left_out(count: int) -> str:
    return f"{count:,} junk images were left out."
