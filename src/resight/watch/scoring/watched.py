"""The tracks of a watch, kept to be written and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.datasets.tracklets.mot_table import MotTable, read_mot, write_mot
from resight.errors import DataError, RecipeError
from resight.gallery.gallery import Gallery
from resight.watch.following.track import Track
from resight.watch.frames import count_frames
from resight.watch.scoring.challenge import boxed, counted
from resight.watch.scoring.scores import Scores, score
from resight.watch.views import View


@dataclass(frozen=True, eq=False)
class Kept:
    """A track: its camera, the id of its record, and its boxes (L, 4) in frames (L,) from 1."""

    camera: str
    record: str
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """The scores of a watch.

    Attributes:
        tracks: of each camera, every track an identity of its own: how good following is.
        identities: of each camera, with the names that were given; ``together``: of all cameras, in which a person must
            have one name.
    """

    tracks: dict[str, Scores]
    identities: dict[str, Scores]
    together: Scores

    def parts(self) -> dict[str, dict[str, Scores]]:
        """The scores of each camera by what an identity is: ``tracks`` and ``identities``."""
        return {"tracks": self.tracks, "identities": self.identities}

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        plain = {what: {name: one.numbers() for name, one in part.items()} for what, part in self.parts().items()}
        return plain | {"together": self.together.numbers()}


@dataclass
class Tracks:
    """Tracks as they end: pass :meth:`add` to :func:`resight.watch.watch.watch` as ``on_track``."""

    kept: list[Kept] = field(default_factory=list)

    def add(self, view: View, track: Track, record: str) -> None:
        """Keep a track; images are not kept."""
        self.kept.append(Kept(view.camera, record, track.frames + 1, track.boxes))

    def tables(self, cameras: Sequence[str], gallery: Gallery | None = None) -> dict[str, MotTable]:
        """The tracks of each camera.

        Their identities are those of the gallery, numbered from 1 in the order in which they were first seen; without a
        gallery every track has its own. So has the later of two tracks of one name in one frame, which no person can
        have.
        """
        names = (
            {record.id: record.identity for record in gallery.get([one.record for one in self.kept])} if gallery else {}
        )
        number: dict[str, int] = {}
        taken: set[tuple[str, str, int]] = set()
        parts: dict[str, list[tuple[NDArray[np.int64], int, NDArray[np.float64]]]] = {camera: [] for camera in cameras}
        for at, one in enumerate(sorted(self.kept, key=lambda track: (int(track.frames[0]), track.camera))):
            name = names.get(one.record) or f"\0{at}"
            places = {(one.camera, name, frame) for frame in one.frames.tolist()}
            if places & taken:
                name = f"\0{at}"
            taken |= places
            who = number.setdefault(name, len(number) + 1)
            parts[one.camera].append((one.frames, who, one.boxes))
        return {camera: _table(some) for camera, some in parts.items()}

    def save(self, folder: str | Path, cameras: Sequence[str], gallery: Gallery) -> list[Path]:
        """Write the tracks of each camera into ``<folder>/<camera>.txt``, a table of the MOTChallenge, with identities.

        Raises:
            DataError: two cameras whose names give one file name.
            ResightError: a file cannot be written.
        """
        files = {camera: Path(folder) / f"{camera.replace('/', '_')}.txt" for camera in cameras}
        if len(set(files.values())) < len(files):
            raise DataError(f"The cameras {', '.join(cameras)} do not give each a file name of its own: rename one.")
        for camera, table in self.tables(cameras, gallery).items():
            write_mot(files[camera], zip(table.frames.tolist(), table.identities.tolist(), table.boxes, strict=True))
        return list(files.values())

    def measure(self, truth: Mapping[str, MotTable], gallery: Gallery, every: int = 1) -> Measured:
        """The scores against the truth of each camera, in which a person has one number over all cameras.

        Args:
            truth: by the camera's name.
            gallery: with the names of the tracks.
            every: every which frame was looked at, from the first on; only these count.
        """
        cameras = list(truth)
        number = {camera: at for at, camera in enumerate(cameras)}
        seen = {camera: table.take((table.frames - 1) % every == 0) for camera, table in truth.items()}
        sides = []
        for tables in (self.tables(cameras), self.tables(cameras, gallery)):
            pairs = {camera: counted(seen[camera], tables[camera]) for camera in cameras}
            sides.append({camera: [boxed({number[camera]: side}) for side in pair] for camera, pair in pairs.items()})
        right, found = (boxed({number[c]: pairs[c][side] for c in cameras}) for side in (0, 1))
        alone, named = ({c: score(*pair) for c, pair in side.items()} for side in sides)
        return Measured(alone, named, score(right, found))


def read_truth(files: Sequence[str | Path], views: Sequence[View]) -> dict[str, MotTable]:
    """The truth of each video, in their order.

    Raises:
        RecipeError: not one file for each video, two videos of one camera, or a live camera, of which nobody knows it.
        DataError: a file that cannot be read, or that has no box in the frames of its video.
    """
    if len(files) != len(views):
        raise RecipeError(
            f"There are {len(files)} files to measure against for {len(views)} videos: give one for each."
        )
    if len({view.camera for view in views}) < len(views):
        raise RecipeError(
            "Two videos are of one camera, so their frames cannot be distinguished: measure them one by one."
        )
    found = {}
    for view, file in zip(views, files, strict=True):
        table, count = read_mot(file), count_frames(view.address)
        if not len(table):
            raise DataError(f"{file} has no boxes: there is nothing to measure against.")
        if 0 < count < table.frames.min():
            raise DataError(
                f"{file} has boxes from frame {table.frames.min():,} on, but {view.source} has {count:,} frames, the "
                "first being 1: pass the boxes of this video."
            )
        found[view.camera] = table
    return found


def _table(parts: Sequence[tuple[NDArray[np.int64], int, NDArray[np.float64]]]) -> MotTable:
    """Tracks as a table, in the order of its frames."""
    frames = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
    who = np.concatenate([np.empty(0, np.int64), *(np.full(len(part[0]), part[1]) for part in parts)])
    boxes = np.concatenate([np.empty((0, 4)), *(part[2] for part in parts)])
    order = np.argsort(frames, kind="stable")
    ones, nothing = np.ones(len(frames)), np.full(len(frames), np.nan)
    return MotTable(frames[order], who[order], boxes[order], ones, np.full(len(frames), -1), nothing)
