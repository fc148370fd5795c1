"""Sequences of the MOTChallenge as data: every true box a crop, every person of a sequence an identity.

A sequence is a folder with ``gt/gt.txt``, ``seqinfo.ini`` and ``img1/000001.jpg``. :func:`cut_crops` writes its crops
once, ``<sequence>/<identity>/000001.jpg``; the data set ``mot`` reads these. A sequence is a camera. Identities are not
shared between sequences, though their numbers are. What is measured is *reassociation*, which a tracker needs: who of
those in a frame some frames later is the person in this box?
"""

from __future__ import annotations

import configparser
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.tracklets.layout import holding
from resight.datasets.tracklets.mot_table import MotTable, read_mot
from resight.errors import DataError, RecipeError
from resight.files import atomic_folder, is_image_name, list_files, read_bytes
from resight.records import Split
from resight.texts import texts

INFO, TRUTH = "seqinfo.ini", "gt/gt.txt"
PEDESTRIAN = 1
SMALLEST = 8  # pixels; no crop is cut of a box with a shorter side inside the frame
_DETECTOR = re.compile(r"-(?:DPM|FRCNN|SDP)$")  # MOT17 has each sequence once for each of its public detectors


@register("mot")
def mot(
    root: str | Path,
    *,
    test_sequences: str | list[str] | None = None,
    gap: int = 30,
    stride: int = 10,
) -> Dataset:
    """Crops of MOT sequences that :func:`cut_crops` wrote.

    The first half of each sequence is to train on, the second is tested; the frame between them is
    ``seqLength // 2 + 1``, the last to train on.

    Args:
        root: the folder that :func:`cut_crops` wrote.
        test_sequences: test this one or these whole and train on the others whole: then no person is in both.
        gap: how many frames later the candidates stand; ``stride``: boxes of frames divisible by it ask.

    Returns:
        A data set with the protocol ``"reassociation"`` and the columns ``tracks``, ``frames`` and ``later_frames``
        (``frames + gap``), (N,) int64, and ``sequence_names``, (N,) str.

    Raises:
        DataError: no crops, or crops of other names.
        RecipeError: a gap or stride below 1, or a sequence that is not there.
    """
    if gap < 1 or stride < 1:
        raise RecipeError(f"mot has gap {gap} and stride {stride}: both are 1 or more.")
    if isinstance(test_sequences, str):
        test_sequences = [test_sequences]
    where = os.fspath(root).rstrip("/")
    everything, lengths = _crops(where, gap)
    names = sorted(lengths)
    notes: tuple[str, ...]
    which = everything.columns["sequence_names"]
    if test_sequences is not None:
        unknown = sorted(set(test_sequences) - set(names))
        if unknown:
            raise RecipeError(f"{where} has no sequence {unknown[0]!r}: choose from {', '.join(names)}.")
        tested = np.isin(which, test_sequences)
        notes = (f"{', '.join(test_sequences)} tested, {len(names) - len(set(test_sequences))} sequences to train on.",)
    else:
        tested = everything.columns["frames"] > np.array([lengths[name] // 2 + 1 for name in which.tolist()])
        both = np.intersect1d(everything.identities[tested], everything.identities[~tested])
        notes = (
            f"The first half of each sequence is to train on, the second is tested; {len(both)} identities are in both "
            "halves (test_sequences=... tests whole sequences).",
        )
    asks = tested & (everything.columns["frames"] % stride == 0)
    query = everything.take(asks, "mot query")
    wanted = np.unique(np.stack([query.cameras, query.columns["later_frames"]], 1), axis=0)
    place = np.stack([everything.cameras, everything.columns["frames"]], 1)
    stays = tested & _among(place, wanted)
    if not stays.any():
        notes += (f"Nothing can be evaluated: no box lies {gap} frames after a query's. Choose a smaller gap.",)
    return Dataset(
        "mot",
        everything.take(~tested, "mot train"),
        query,
        everything.take(stays, "mot gallery"),
        "reassociation",
        notes,
    )


def _among(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ``rows`` (N, 2) are among ``wanted`` (M, 2)."""
    top = int(max(rows[:, 1].max(initial=0), wanted[:, 1].max(initial=0))) + 1
    return np.isin(rows[:, 0] * top + rows[:, 1], wanted[:, 0] * top + wanted[:, 1])


def _crops(where: str, gap: int) -> tuple[Split, dict[str, int]]:
    """All crops, and the length of each sequence."""
    images = [path for path, _ in list_files(where) if is_image_name(path)]
    lengths: dict[str, int] = {}
    labels = []
    for path in images:
        parts = path[len(where) + 1 :].split("/")
        stem = parts[-1].rpartition(".")[0]
        if len(parts) != 3 or not parts[1].isdecimal() or not stem.isdecimal():
            cut = (
                " (cut its crops first: resight data crops SEQUENCES FOLDER)"
                if "img1" in parts or "gt" in parts
                else ""
            )
            raise DataError(f"{path} is no crop such as MOT17-02/0001/000123.jpg{cut}: pass the folder of crops.")
        labels.append((parts[0], int(parts[1]), int(stem)))
        if parts[0] not in lengths:
            lengths[parts[0]] = int(sequence_info(f"{where}/{parts[0]}/{INFO}")["seqLength"])
    if not labels:
        raise DataError(f"{where} holds no crops: cut them first (resight data crops SEQUENCES FOLDER).")
    camera = {name: at for at, name in enumerate(sorted(lengths), start=1)}
    person = {key: at for at, key in enumerate(sorted({label[:2] for label in labels}), start=1)}
    frames = np.array([frame for _, _, frame in labels], np.int64)
    identities = np.array([person[name, who] for name, who, _ in labels], np.int64)
    columns = {
        "tracks": identities,
        "frames": frames,
        "later_frames": frames + gap,
        "sequence_names": np.array([name for name, _, _ in labels], np.str_),
    }
    cameras = np.array([camera[name] for name, _, _ in labels], np.int64)
    return Split(texts(images), identities, cameras, columns, "mot"), lengths


def sequence_info(path: str) -> dict[str, Any]:
    """The entries of ``seqinfo.ini``: ``name``, ``imDir``, ``imExt``, ``frameRate`` and ``seqLength`` at least.

    Raises:
        DataError: no such file, or no length in it.
    """
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(read_bytes(path).decode("utf-8-sig"))
        found: dict[str, Any] = dict(parser["Sequence"])
        found["seqLength"] = int(found["seqLength"])
    except (configparser.Error, KeyError, ValueError):
        raise DataError(
            f"{path} has no [Sequence] with a whole seqLength: correct it, or unpack the data again."
        ) from None
    return {"imDir": "img1", "imExt": ".jpg", "frameRate": "0", "name": path.split("/")[-2]} | found


def sequences_in(root: str | Path) -> dict[str, str]:
    """The folders of the sequences at or below ``root``, by their names, each once.

    MOT17 has each sequence three times, for three detectors: the first of them is taken, under the name without it.

    Raises:
        DataError: there is none, or two folders of one name.
    """
    where = os.fspath(root).rstrip("/")
    found: dict[str, str] = {}
    for folder in holding(where, TRUTH):
        called = folder.rpartition("/")[2]
        before = found.setdefault(_DETECTOR.sub("", called), folder)
        if before != folder and before.rpartition("/")[2] == called:
            raise DataError(f"{before} and {folder} are sequences of one name: pass one of them, or rename it.")
    if not found:
        raise DataError(f"{where} holds no sequence, for there is no {TRUTH} in it: pass the folder of one or several.")
    return found


def cut_crops(root: str | Path, folder: str | Path, *, least_visible: float = 0.25) -> Counter[str]:
    """Write the crops of all sequences at or below ``root`` into a new folder, whole or not at all.

    Boxes are clipped to the frame. Rows that do not count (confidence 0, another class than a pedestrian's), that show
    less than ``least_visible`` of a person, or of which fewer than 8 pixels are left, are not cut.

    Returns:
        How many crops were cut, and of what kinds how many were not: ``crops``, ``not counted``, ``hidden``, ``small``.

    Raises:
        DataError: no sequence, a frame that is missing, cannot be read or comes after the end, a table that cannot be
            read, or no box of which a crop can be cut.
        ResightError: the folder is not empty or cannot be written.
    """
    counts: Counter[str] = Counter({"crops": 0, "not counted": 0, "hidden": 0, "small": 0})
    sequences = sequences_in(root)
    with atomic_folder(folder) as staging:
        for name, place in sequences.items():
            info = sequence_info(f"{place}/{INFO}")
            table = read_mot(f"{place}/{TRUTH}")
            if table.frames.max(initial=0) > info["seqLength"]:
                raise DataError(
                    f"{place}/{TRUTH} has boxes up to frame {table.frames.max():,}, but {INFO} says seqLength="
                    f"{info['seqLength']}: correct the one that is wrong."
                )
            unknown = np.flatnonzero(table.identities < 0)
            if len(unknown):
                raise DataError(
                    f"{place}/{TRUTH} has {len(unknown):,} boxes of nobody (identity {table.identities[unknown[0]]}), "
                    "as a file of detections has: pass true boxes with identities, 0 or more."
                )
            counted = (table.confidence != 0) & np.isin(table.classes, (PEDESTRIAN, -1))
            seen = ~(table.visibility < least_visible)
            counts["not counted"] += int((~counted).sum())
            counts["hidden"] += int((counted & ~seen).sum())
            (staging / name).mkdir(parents=True)
            (staging / name / INFO).write_bytes(read_bytes(f"{place}/{INFO}"))
            _cut(table.take(counted & seen), f"{place}/{info['imDir']}", info["imExt"], staging / name, counts)
        if not counts["crops"]:
            why = ", ".join(f"{count:,} {what}" for what, count in counts.items() if what != "crops")
            raise DataError(f"{os.fspath(root)} has no box of which a crop can be cut ({why}): check {TRUTH}.")
    return counts


def _cut(table: MotTable, images: str, ending: str, folder: Path, counts: Counter[str]) -> None:
    import cv2

    order = np.argsort(table.frames, kind="stable")
    starts = np.flatnonzero(np.diff(table.frames[order], prepend=-1))
    for rows in np.split(order, starts[1:]) if len(order) else ():
        frame = int(table.frames[rows[0]])
        path = f"{images}/{frame:06d}{ending}"
        pixels = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise DataError(f"{path} is no readable image: unpack the sequence again.")
        height, width = pixels.shape[:2]
        for row in rows.tolist():
            left, top, right, bottom = np.round(table.boxes[row]).astype(int).tolist()
            left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
            if right - left < SMALLEST or bottom - top < SMALLEST:
                counts["small"] += 1
                continue
            target = folder / f"{table.identities[row]:04d}" / f"{frame:06d}.jpg"
            target.parent.mkdir(exist_ok=True)
            code = cv2.imencode(".jpg", pixels[top:bottom, left:right], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            target.write_bytes(code.tobytes())
            counts["crops"] += 1
