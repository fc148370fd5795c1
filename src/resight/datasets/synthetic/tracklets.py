"""Synthetic tracklets: people who walk through a scene, cut out of its frames, with occlusion and shaky boxes.

They are written as ``train`` and ``test/<identity>/<camera>/<tracklet>/<frame>.jpg`` and read as any folder of
tracklets (:mod:`resight.datasets.tracklets.tracklet_folder`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.synthetic.cameras import camera_model
from resight.datasets.synthetic.scene import drawn_frame, plan
from resight.datasets.tracklets.tracklet_folder import tracklets
from resight.errors import DataError, ResightError
from resight.files import atomic_folder, write_text

MANIFEST, VERSION = "synthetic_tracklets.json", 1
CROWD = 8  # people who walk about at the same time
SHAKE = 0.06  # standard deviation of a box's sides, in widths and heights of the person
SHORTEST = 3  # frames of a tracklet
_LEAST = {"identities": 2, "cameras": 2, "rate": 1, "seed": 0}


@register("synthetic_tracklets")
def synthetic_tracklets(
    root: str | Path,
    *,
    identities: int = 48,
    cameras: int = 3,
    seconds: float = 40.0,
    rate: int = 4,
    size: tuple[int, int] = (240, 426),
    test_fraction: float = 0.5,
    seed: int = 0,
) -> Dataset:
    """Draw a set of tracklets into ``root``, or take the one that is there.

    Args:
        root: a new or empty folder, or one that an earlier call with the same arguments filled.
        identities: how many people, at least 2; ``cameras``: 2 to 9.
        seconds: how long they walk about, at least 10; ``rate``: frames per second.
        size: (height, width) of a frame, at least 64 each; a crop is up to two thirds as high.
        test_fraction: the share of people to ask about, between 0 and 1.
        seed: which people, cameras and walks, 0 or more.

    Returns:
        As :func:`~resight.datasets.tracklets.tracklet_folder.tracklets`.

    Raises:
        DataError: an argument out of its range, or ``root`` holds anything else.
        ResightError: ``root`` cannot be written.
    """
    arguments: dict[str, Any] = {
        "identities": identities,
        "cameras": cameras,
        "seconds": seconds,
        "rate": rate,
        "size": list(size),
        "test_fraction": test_fraction,
        "seed": seed,
    }
    for name, least in _LEAST.items():
        if not isinstance(arguments[name], int) or arguments[name] < least:
            raise DataError(f"Synthetic tracklets cannot have {name}={arguments[name]!r}: pass {least} or more.")
    if cameras > 9 or seconds < 10 or min(size) < 64 or not 0 < test_fraction < 1:
        raise DataError(
            "Synthetic tracklets have at most 9 cameras, take 10 seconds or more, in frames of 64 x 64 pixels or more, "
            "with a test_fraction between 0 and 1."
        )
    target = Path(root)
    if not _is_there(target, arguments):
        try:
            with atomic_folder(target) as staging:
                _draw(staging, arguments)
        except ResightError:
            if not _is_there(target, arguments):  # unless another process was faster with the same set
                raise
    data = tracklets(target, seed=seed)
    return replace(data, name="synthetic tracklets", notes=("The images are synthetic.",))


def _is_there(root: Path, arguments: dict[str, Any]) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != {"version": VERSION, "arguments": arguments}:
        raise DataError(
            f"{root} holds something other than this set of synthetic tracklets: choose another folder or delete it."
        )
    return True


def _draw(folder: Path, arguments: dict[str, Any]) -> None:
    count, cameras, seconds = arguments["identities"], arguments["cameras"], arguments["seconds"]
    rate, size, seed = arguments["rate"], tuple(arguments["size"]), arguments["seed"]
    tested = set(range(1, 1 + min(count - 1, max(1, round(count * arguments["test_fraction"])))))
    for first in range(1, count + 1, CROWD):
        visits = plan(people=min(CROWD, count + 1 - first), cameras=cameras, seconds=seconds, seed=seed, first=first)
        for camera in range(1, cameras + 1):
            own = [visit for visit in visits if visit.camera == camera]
            seen_by = camera_model(camera, seed, size)
            crops: dict[int, list[tuple[int, bytes]]] = {at: [] for at in range(len(own))}
            for frame in range(round(seconds * rate)):
                there = [at for at, visit in enumerate(own) if visit.at(frame / rate) is not None]
                if not there:
                    continue
                image, boxes = drawn_frame([own[at] for at in there], frame / rate, seen_by, camera, size, seed)
                for at in there:
                    if own[at].identity in boxes:
                        rng = np.random.default_rng((seed, 8, camera, own[at].identity, frame))
                        code = _crop(image, boxes[own[at].identity], seen_by.quality, rng)
                        crops[at] += [(frame, code)] if code else []
            for at, some in crops.items():
                if len(some) >= SHORTEST:
                    half = "test" if own[at].identity in tested else "train"
                    place = folder / half / f"{own[at].identity:04d}" / f"c{camera}" / f"{some[0][0]:05d}"
                    place.mkdir(parents=True)
                    for frame, code in some:
                        (place / f"{frame:05d}.jpg").write_bytes(code)
    write_text(folder / MANIFEST, json.dumps({"version": VERSION, "arguments": arguments}, indent=1) + "\n")


def _crop(image: np.ndarray[Any, Any], box: Any, quality: int, rng: np.random.Generator) -> bytes:
    """A JPEG of the box, whose sides are a little off; empty where little of it lies in the frame."""
    left, top, wide, tall = box
    off = np.clip(rng.normal(0, SHAKE, 4), -2 * SHAKE, 2 * SHAKE) * (wide, tall, wide, tall)
    low = np.maximum(np.round([left + off[0], top + off[1]]), 0).astype(int)
    high = np.minimum(np.round([left + wide + off[2], top + tall + off[3]]), image.shape[1::-1]).astype(int)
    if (high - low < 0.4 * np.array([wide, tall])).any():
        return b""
    crop = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
