"""The crops to adapt to, and what is known of each: camera, track, frame, time, and the identity where there is one.

Shape letters: ``N`` images.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from resight import datasets
from resight.adaptation.answered import Answered, answered
from resight.adaptation.cells import UNKNOWN, coded, numbers, text_of
from resight.counted import counted
from resight.datasets.catalog import common_folder
from resight.datasets.detect import is_table
from resight.datasets.labels import from_folders
from resight.datasets.table import image_paths, read_columns
from resight.errors import DataError, RecipeError
from resight.files import atomic_path, list_images
from resight.gallery.adding.incoming import incoming
from resight.gallery.gallery import Gallery
from resight.gallery.moving import picture
from resight.gallery.record import Filter
from resight.labels import UNSAID, Label
from resight.records import DISTRACTOR, JUNK, Split
from resight.secrets import without_secrets
from resight.texts import texts

_CAMERA_FOLDER = re.compile(r"(?:camera|cam|c|kamera)[-_ ]?\w{1,12}", re.IGNORECASE)
_PAGE = 256
_IN_A_FRAME = 30  # boxes at the most: where more images share a number, it is no frame's but counts something else


@dataclass(frozen=True, eq=False)
class Crops:
    """N crops.

    Attributes:
        images: their paths; identities are -1 unless they are known.
        cameras: (N,) int64 from 0 on, -1 where unknown; ``camera_names``: what they are called.
        tracks: (N,) int64 from 0 on, -1 where unknown: the images of one track are of one identity.
        frames: (N,) int64 from 0 on, -1 where unknown: two images of one number were in one frame of one camera.
        times: (N,) float64, seconds on one clock for all cameras; NaN where unknown.
        notes: what a reader should know, one sentence each.
        answers: what people answered about pairs of them.
    """

    images: Split
    cameras: NDArray[np.int64]
    camera_names: tuple[str, ...]
    tracks: NDArray[np.int64]
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    notes: tuple[str, ...] = ()
    answers: Answered | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> bool:
        """Whether two identities or more are known."""
        known = self.images.identities[self.images.identities > DISTRACTOR]
        return len(np.unique(known)) > 1

    def take(self, which: NDArray[Any]) -> Crops:
        """The crops at ``which``, indices or a mask."""
        columns = (self.tracks[which], self.frames[which], self.times[which])
        answers = self.answers and self.answers.take(which)
        return Crops(self.images.take(which), self.cameras[which], self.camera_names, *columns, self.notes, answers)

    def fingerprint(self) -> str:
        """64 hex digits that stand for the images' names and all that is known of them."""
        paths = self.images.paths.tolist()
        start = len(common_folder(paths))
        digest = hashlib.sha256("\n".join(path[start:] for path in paths).encode("utf-8", "surrogateescape"))
        for column in (self.images.identities, self.cameras, self.tracks, self.frames, self.times):
            digest.update(column.tobytes())
        if self.answers:
            digest.update(self.answers.people.tobytes() + self.answers.apart.tobytes())
        return digest.hexdigest()


def read(source: Any, *, cameras: str = "", tracks: str = "", name: str = "", pictures: Path | None = None) -> Crops:
    """What there is to adapt to at a place.

    Args:
        source: a folder or zip archive of crops; a data set, of which the training images are taken; a CSV or Parquet
            file, a data frame or a dictionary of columns with ``path`` and any of ``camera``, ``track``, ``frame``,
            ``sequence`` (frames count anew in each), ``time`` and ``identity``; or a gallery.
        cameras: for a folder a regular expression with a group ``camera`` that is searched in each path, besides
            ``track``, ``frame`` and ``time`` if they are there; for a table the name of the column.
        tracks: for a table the name of the column of tracks.
        name: the format of the data set, or ``people`` for a folder with a folder for each person; found out when not
            given.
        pictures: a folder for the pictures of a gallery, which have no files of their own.

    Raises:
        DataError: nothing is there, it cannot be read, or a name that the pattern does not fit.
        RecipeError: a pattern without a group, or an option that does not go with the source.
    """
    if isinstance(source, Split):
        return _of_split(source, ())
    where = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
    if not where or is_table(where):
        return _table(source, where or "the table", cameras, tracks)
    if gallery := gallery_at(where):
        if cameras or tracks:
            raise RecipeError(
                f"{without_secrets(where)} is a gallery, which knows cameras itself: leave --cameras and --tracks out."
            )
        return _gallery(gallery, pictures)
    if tracks:
        raise RecipeError(f"--tracks names a column of a table, which {where} is not: leave it out.")
    if cameras:
        return _by_pattern(where, cameras)
    if name == "people":
        return _people(where)
    kind = name or datasets.detect(where)
    if kind != "folder" or name:
        data = datasets.load(kind, where)
        if not len(data.train):
            raise DataError(f"{where} has no training images: pass the folder of its crops instead.")
        return _of_split(data.train, data.notes)
    return _folder(where)


def _of_split(split: Split, notes: tuple[str, ...]) -> Crops:
    """Training images of a data set; its junk stays out, and so do distractors where identities are known."""
    known = split.identities > DISTRACTOR
    split = split.take(known) if known.any() else split
    columns = {name: split.columns.get(name) for name in ("tracks", "frames", "sequences", "times")}
    for name in ("frames", "times"):  # a column of text may be called so too
        if (found := columns[name]) is not None and found.dtype.kind not in "fiu":
            columns[name] = None
    seen = split.columns.get("camera_names", split.cameras)
    known_cameras = not (split.name == "unlabelled" and len(np.unique(split.cameras)) == 1)
    return _crops(split, seen if known_cameras else None, columns, notes)


def _folder(where: str) -> Crops:
    """Plain crops: cameras and frames from names like Market-1501's, else from folders named like cameras."""
    found = incoming(where)
    assert isinstance(found.images, list)  # pictures, not embeddings
    paths = found.images
    if any(found.cameras):
        numbers = [re.search(r"_c\d+s(\d+)_", path) for path in paths]
        columns = {"frames": found.frames, "sequences": np.array([int(n[1]) if n else 0 for n in numbers])}
        return _crops(_unlabelled(paths, found.identities), np.array(found.cameras), columns, found.notes)
    base = common_folder(paths)
    folders = [path[len(base) :].split("/")[0] if "/" in path[len(base) :] else "" for path in paths]
    if len(set(folders)) > 1 and all(_CAMERA_FOLDER.fullmatch(one) for one in folders):
        note = f"The folders give {counted(len(set(folders)), 'camera')} ({', '.join(sorted(set(folders))[:4])})."
        return _crops(_unlabelled(paths), np.array(folders), {}, (*found.notes, note))
    note = "No camera can be read from the names: pass a pattern such as --cameras '(?P<camera>[^/]+)/[^/]+$'."
    return _crops(_unlabelled(paths), None, {}, (*found.notes, note))


def _people(where: str) -> Crops:
    """Crops in a folder for each person, named ``<camera>_*.jpg`` where cameras are known."""
    paths, _ = list_images(where)
    if not paths:
        raise DataError(f"{where} holds no images: it needs files like <identity>/<camera>_1.jpg.")
    base = common_folder(paths)
    if len(base) > len(where.rstrip("/")) + 1 and all("/" not in path[len(base) :] for path in paths):
        base = base[: base[:-1].rfind("/") + 1]  # the folder of a lone person
    who, seen = from_folders([path[len(base) :] for path in paths])
    known = [camera for camera in seen if camera]
    if known and len(known) < len(seen):
        raise DataError(
            f"The camera cannot be read of {len(seen) - len(known):,} of {len(seen):,} images: name them "
            "<camera>_*.jpg as the others, or pass a pattern as --cameras."
        )
    return _crops(_unlabelled(paths, who), np.array(known) if known else None, {}, ())


def _by_pattern(where: str, pattern: str) -> Crops:
    """Plain crops, with what a pattern reads in their paths."""
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise RecipeError(f"The pattern {pattern!r} is no regular expression ({error}): correct it.") from None
    groups = search.groupindex.keys() & {"camera", "track", "frame", "time", "sequence", "identity"}
    if "camera" not in groups:
        raise RecipeError(
            f"The pattern {pattern!r} has no group called camera: write one, as in '(?P<camera>[^/]+)/[^/]+$'."
        )
    paths, _ = list_images(where)
    if not paths:
        raise DataError(f"{where} holds no images: pass a folder or zip archive of crops.")
    matches = [search.search(path) for path in paths]
    missed = [path for path, match in zip(paths, matches, strict=True) if match is None or not match["camera"]]
    if missed:
        raise DataError(
            f"The pattern {pattern!r} does not fit {len(missed):,} of {len(paths):,} images, first {missed[0]}: "
            "widen it or take those images out."
        )
    read = {group: np.array([match[group] or "" for match in matches if match]) for group in groups}
    return _from_columns(_unlabelled(paths, read.get("identity")), read, where)


def _table(source: Any, where: str, cameras: str, tracks: str) -> Crops:
    columns = read_columns(source, where, ("path",))
    for wanted in ("path", cameras, tracks):
        if wanted and wanted not in columns:
            raise DataError(f"{where} has no column {wanted!r}, only {', '.join(columns)}: name one of these.")
    paths = image_paths(columns["path"], source, None, where)
    renamed = {"camera": cameras or "camera", "track": tracks or "track"}
    read = {name: columns[renamed.get(name, name)] for name in _KNOWN if renamed.get(name, name) in columns}
    who = columns.get("identity")
    return _from_columns(_unlabelled(paths.tolist(), None if who is None else who.tolist(), None), read, where)


_KNOWN = ("camera", "track", "frame", "sequence", "time")


def _from_columns(images: Split, read: dict[str, NDArray[Any]], where: str) -> Crops:
    """Crops from columns of text or numbers."""
    columns: dict[str, NDArray[Any] | None] = {"tracks": read.get("track"), "sequences": read.get("sequence")}
    for name, key in (("frame", "frames"), ("time", "times")):
        if name in read:
            columns[key] = numbers(read[name], f"{where}: the column {name}")
    return _crops(images, read.get("camera"), columns, ())


def gallery_at(where: str) -> str:
    """What opens the gallery at a place, "" where there is none."""
    if "://" in where:
        return where
    path = Path(where)
    if path.is_file() and path.suffix == ".db":
        return where
    return where if not path.exists() and Path(f"{where}.db").is_file() else ""


def _gallery(uri: str, pictures: Path | None) -> Crops:
    """The records of a gallery; their pictures become files in a folder, from the sources or the thumbnails."""
    if pictures is None:
        raise DataError(f"{without_secrets(uri)} is a gallery, whose pictures need a folder: pass one.")
    paths, seen, times, who, ids = [], [], [], [], []
    lost = 0
    pictures.mkdir(parents=True, exist_ok=True)
    with Gallery.open(uri, read_only=True) as gallery:
        after = ""
        while records := gallery.store.page(Filter(), _PAGE, after):
            after = records[-1].id
            for record in records:
                file = pictures / f"{record.id}.png"
                if not file.exists():
                    pixels, _ = picture(gallery.store, record)
                    if pixels is None:
                        lost += 1
                        continue
                    with atomic_path(file) as temporary:
                        temporary.write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
                paths.append(str(file))
                seen.append(record.camera)
                times.append(np.nan if record.time is None else record.time)
                who.append(record.identity)
                ids.append(record.id)
        answers, told = answered(ids, gallery.store.answers())
    if not paths:
        raise DataError(f"{without_secrets(uri)} holds no record with a picture: there is nothing to adapt to.")
    notes = (f"{counted(lost, 'record')} left out, with neither source nor thumbnail.",) * bool(lost)
    names = np.array(seen) if any(seen) else None
    found = _crops(_unlabelled(paths, who), names, {"times": np.array(times)}, (*notes, *told))
    return replace(found, answers=answers)


def _unlabelled(paths: Sequence[str], who: Any = None, distractors: Label = UNSAID) -> Split:
    """Images whose identity is known where ``who`` says so; ``distractors`` as for a split."""
    nothing = np.full(len(paths), JUNK, np.int64)
    if who is None:
        return Split(texts(paths), nothing, nothing + 1)
    names: Any = np.array([text_of(one) or "-1" for one in who], np.str_)
    return Split(texts(paths), names, nothing + 1, distractors=distractors)


def _crops(images: Split, seen: Any, columns: dict[str, Any], notes: tuple[str, ...]) -> Crops:
    """Columns as numbers from 0 on; a track, sequence and frame counts within its camera."""
    count = len(images)
    unknown = np.full(count, UNKNOWN, np.int64)
    cameras = unknown
    names: tuple[str, ...] = ()
    if seen is not None:
        cameras, names = coded(seen)
        nowhere = int((cameras < 0).sum())
        if names and nowhere:
            notes = (*notes, f"{nowhere:,} of {count:,} images have no camera: no rule of time and place is for them.")
    tracks, frames = columns.get("tracks"), columns.get("frames")
    of_track, of_frame = unknown, unknown
    if tracks is not None:
        numbered, called = coded(tracks)
        none = called.index("-1") if "-1" in called else UNKNOWN
        of_track = _codes((cameras, numbered), (numbered >= 0) & (numbered != none))
    if frames is not None:
        sequences = columns.get("sequences")
        where = np.zeros(count, np.int64) if sequences is None else coded(sequences)[0]
        of_frame = _codes((cameras, where, frames), (np.asarray(frames) >= 0) & (cameras >= 0) & (where >= 0))
        fullest = int(np.bincount(of_frame[of_frame >= 0]).max(initial=0))
        if fullest > _IN_A_FRAME:
            of_frame = unknown
            notes = (*notes, f"Up to {fullest:,} images share one number of a frame: these numbers are not used.")
    times = columns.get("times")
    moments = np.full(count, np.nan) if times is None else np.asarray(times, np.float64)
    split = Split(images.paths, images.identities, cameras, images.columns, images.name)
    return Crops(split, cameras, names, of_track, of_frame, moments, tuple(notes))


def _codes(columns: tuple[NDArray[Any], ...], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) numbers from 0 on, one for each different row of the columns; -1 where it is not known."""
    numbers = np.stack([np.unique(column, return_inverse=True)[1] for column in columns])
    found = np.unique(numbers, axis=1, return_inverse=True)[1].ravel().astype(np.int64)
    found[~known] = UNKNOWN
    return found
