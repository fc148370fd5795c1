"""Small multi-camera re-identification sets of synthetic people and vehicles: no picture of a real person is in them.

Many identities share the same colours and every camera shifts them, so that colour alone does not identify a person;
patterns, prints and bags (or stripes, stickers and roof racks) do, from where they can be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.synthetic.cameras import Image, backdrop, camera_model, occlude, photograph
from resight.datasets.synthetic.people import draw_person, person
from resight.datasets.synthetic.vehicles import draw_vehicle, vehicle
from resight.errors import DataError, ResightError
from resight.files import atomic_folder, write_text
from resight.records import DISTRACTOR, Split

Kind: TypeAlias = Literal["person", "vehicle"]

VERSION = 1  # counts up whenever the same arguments give other images
MANIFEST = "synthetic.json"
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SIZES: Mapping[str, tuple[int, int]] = {"person": (128, 64), "vehicle": (128, 128)}
MOST_CAMERAS = 9  # Market-1501's file names have one digit for the camera, and many programs read just that one


def attributes(kind: Kind, identity: int, *, seed: int = 0) -> Mapping[str, int]:
    """What identity ``identity`` (from 1) of a set is like; it holds for each of its images.

    People have Market-1501's attributes with its coding (``hat``: no 1, yes 2; ``up``, ``down``: long 1, short 2;
    ``clothes``: dress 1, trousers 2; ...); vehicles have ``type`` and ``colour``, numbered from 1 in the order of
    ``synthetic_vehicles.TYPES`` and ``COLOURS``.
    """
    _check(kind=kind, identity=identity, seed=seed)
    return (person if kind == "person" else vehicle)(identity, seed).attributes


def draw(
    kind: Kind, identity: int, camera: int, index: int, *, seed: int = 0, size: tuple[int, int] | None = None
) -> Image:
    """One image of one identity: the same arguments always give the same pixels, whatever was drawn before.

    Args:
        kind: ``"person"`` or ``"vehicle"``.
        identity: from 1; ``camera``: from 1; ``index``: from 0, which image of that identity in that camera.
        seed: which set, 0 or more.
        size: (height, width) in pixels, at least 16 each; (128, 64) for people and (128, 128) for vehicles.

    Returns:
        (H, W, 3) uint8, RGB, before any JPEG compression.

    Raises:
        DataError: an argument out of its range.
    """
    _check(kind=kind, identity=identity, camera=camera, index=index, seed=seed, size=size)
    size = size or SIZES[kind]
    rng = np.random.default_rng((seed, 2, identity, camera, index))
    seen_by = camera_model(camera, seed, size)
    image = backdrop(seen_by, rng, size)
    _subject(image, kind, identity, camera, seed, rng)
    chance = rng.random()
    if chance < 0.15:
        occlude(image, rng)
    elif chance < 0.22:  # another person passes in front, at the edge of the picture
        shift = float(rng.choice([-1, 1]) * rng.uniform(0.55, 0.75))
        _subject(image, kind, identity + int(rng.integers(1, 100)), camera, seed, rng, shift)
    return photograph(image, seen_by, rng)


def _subject(
    image: Image, kind: Kind, identity: int, camera: int, seed: int, rng: np.random.Generator, shift: float = 0.0
) -> None:
    seen_by = camera_model(camera, seed, (image.shape[0], image.shape[1]))
    if kind == "person":
        draw_person(image, person(identity, seed), seen_by, rng, shift)
    else:
        draw_vehicle(image, vehicle(identity, seed), seen_by, rng, shift)


@register("synthetic")
def generate(
    root: str | Path,
    *,
    kind: Kind = "person",
    identities: int = 120,
    cameras: int = 4,
    images_per_camera: int = 3,
    distractors: int = 0,
    seed: int = 0,
    test_fraction: float = 0.4,
    size: tuple[int, int] | None = None,
) -> Dataset:
    """Draw a set into ``root``, in Market-1501's folders and file names, or take the one that is there.

    The folder appears whole or not at all, with a ``synthetic.json`` that holds the arguments and everybody's
    attributes. Each camera has each identity ``images_per_camera`` times; of a test identity the first of them is a
    query, the others are in the gallery.

    Args:
        root: a new or empty folder, or one that an earlier call with the same arguments filled.
        kind: ``"person"`` or ``"vehicle"``.
        identities: how many to train on and to ask about together, at least 2.
        cameras: 2 to 9; ``images_per_camera``: at least 2.
        distractors: how many more identities are in the gallery, labelled 0, without any query.
        seed: which set, 0 or more.
        test_fraction: the share of identities to ask about, between 0 and 1; at least one is on either side.
        size: (height, width) in pixels, at least 16 each; (128, 64) for people and (128, 128) for vehicles.

    Returns:
        A data set whose splits have one int64 column per attribute (see :func:`attributes`), 0 for distractors.

    Raises:
        DataError: an argument out of its range, or ``root`` holds anything else.
        ResightError: ``root`` cannot be written.
    """
    arguments: dict[str, Any] = {
        "kind": kind,
        "identities": identities,
        "cameras": cameras,
        "images_per_camera": images_per_camera,
        "distractors": distractors,
        "seed": seed,
        "test_fraction": test_fraction,
        "size": size,
    }
    _check(**arguments)
    arguments["size"] = list(size or SIZES[kind])
    plan = _plan(arguments)
    root = Path(root)
    if not _is_there(root, arguments, plan):
        _write(root, arguments, plan)
    query, gallery, train = (_split(root, key, plan, kind, seed) for key in ("query", "gallery", "train"))
    return Dataset(f"synthetic {kind}", train, query, gallery, notes=("The images are synthetic.",))


@dataclass(frozen=True)
class _Shot:
    """One image to draw: its split, its file's name, its label (0 for a distractor) and whom it really shows."""

    split: str
    name: str
    label: int
    identity: int
    camera: int
    index: int


def _plan(arguments: Mapping[str, Any]) -> list[_Shot]:
    """Every image of the set, sorted by split and name."""
    count, cameras, images = (arguments[key] for key in ("identities", "cameras", "images_per_camera"))
    order = np.random.default_rng((arguments["seed"], 4)).permutation(count) + 1
    tested = set(order[: min(count - 1, max(1, round(count * arguments["test_fraction"])))].tolist())

    def shots() -> Iterator[_Shot]:
        for identity in range(1, count + arguments["distractors"] + 1):
            label = identity if identity <= count else DISTRACTOR
            for camera in range(1, cameras + 1):
                for index in range(images):
                    split = "query" if index == 0 else "gallery"
                    if label not in tested:
                        split = "train" if label else "gallery"
                    frame = ((identity - 1) * cameras + camera - 1) * images + index
                    name = f"{label:04d}_c{camera}s1_{frame:06d}_{index + 1:02d}.jpg"
                    yield _Shot(split, name, label, identity, camera, index)

    return sorted(shots(), key=lambda shot: (shot.split, shot.name))


def _split(root: Path, key: str, plan: list[_Shot], kind: Kind, seed: int) -> Split:
    shots = [shot for shot in plan if shot.split == key]
    described = [attributes(kind, shot.identity, seed=seed) for shot in shots]
    return Split(
        np.array([str(root / FOLDERS[key] / shot.name) for shot in shots], dtype=np.str_),
        np.array([shot.label for shot in shots], dtype=np.int64),
        np.array([shot.camera for shot in shots], dtype=np.int64),
        {
            name: np.array([one[name] if s.label else 0 for s, one in zip(shots, described, strict=True)], np.int64)
            for name in attributes(kind, 1, seed=seed)
        },
        f"synthetic {kind} {key}",
    )


def _is_there(root: Path, arguments: Mapping[str, Any], plan: list[_Shot]) -> bool:
    """Whether ``root`` holds the whole set already; an error if it holds anything else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    cure = "choose another folder or delete this one"
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        found = manifest["arguments"] | {"version": manifest["version"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{root} holds something other than a synthetic set: {cure}.") from None
    wanted = dict(arguments) | {"version": VERSION}
    for key in wanted:
        if found.get(key) != wanted[key]:
            raise DataError(f"{root} holds a synthetic set with {key}={found.get(key)}, not {wanted[key]}: {cure}.")
    for shot in plan:
        path = root / FOLDERS[shot.split] / shot.name
        if not path.is_file():
            raise DataError(f"{path} is missing from its synthetic set: delete {root} and generate it again.")
    return True


def _write(root: Path, arguments: Mapping[str, Any], plan: list[_Shot]) -> None:
    """Draw the set beside ``root`` and move it there when it is whole."""
    root = root.resolve()
    try:
        with atomic_folder(root) as staging:
            _draw_all(staging, arguments, plan)
    except ResightError:
        if not _is_there(root, arguments, plan):  # unless another process was faster with the same set
            raise


def _draw_all(folder: Path, arguments: Mapping[str, Any], plan: list[_Shot]) -> None:
    kind, seed, size = arguments["kind"], arguments["seed"], tuple(arguments["size"])
    for name in FOLDERS.values():
        (folder / name).mkdir(parents=True)
    for shot in plan:
        image = draw(kind, shot.identity, shot.camera, shot.index, seed=seed, size=size)
        quality = camera_model(shot.camera, seed, size).quality
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        (folder / FOLDERS[shot.split] / shot.name).write_bytes(code.tobytes())
    known = {f"{s.label:04d}": dict(attributes(kind, s.identity, seed=seed)) for s in plan if s.label}
    manifest = {"version": VERSION, "arguments": dict(arguments), "identities": dict(sorted(known.items()))}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, default=int) + "\n")


_LEAST = {"identities": 2, "cameras": 2, "images_per_camera": 2, "identity": 1, "camera": 1}  # all others 0


def _check(**arguments: Any) -> None:
    """Refuse the first argument that is out of its range."""
    for name, value in arguments.items():
        if name == "kind":
            good, wanted = value in SIZES, " or ".join(map(repr, SIZES))
        elif name == "test_fraction":
            good, wanted = isinstance(value, float) and 0 < value < 1, "a share between 0 and 1, for example 0.4"
        elif name == "size":
            pair = isinstance(value, tuple | list) and len(value) == 2
            good = value is None or (pair and all(_is_whole(side, 16) for side in value))
            wanted = "(height, width) in whole pixels, at least 16 each"
        else:
            least = _LEAST.get(name, 0)
            good, wanted = _is_whole(value, least), f"a whole number from {least} on"
            if name == "cameras":
                good, wanted = good and value <= MOST_CAMERAS, f"a whole number from 2 to {MOST_CAMERAS}"
        if not good:
            raise DataError(f"A synthetic set cannot have {name}={value!r}: pass {wanted}.")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)
