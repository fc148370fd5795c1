"""Is this data fit for use? Everything that is wrong with it at once, each finding with its cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, load
from resight.datasets.detect import detect, detect_in, is_table
from resight.datasets.layouts import wrong_counts
from resight.datasets.market1501 import OFFICIAL
from resight.datasets.splitting import answerable
from resight.errors import DataError
from resight.files import list_images, repeated_members
from resight.images.camera_labels import same_camera_share
from resight.images.copies import exact_copies, similar_copies
from resight.images.finding import PATHS, Finding, of_images
from resight.images.near_copies import FLAT, contrast
from resight.images.scan import (
    DAMAGED,
    EMPTY,
    FOREIGN,
    POINTER,
    REFUSED,
    UNREADABLE,
    UNSUPPORTED,
    WHOLE,
    Scan,
    scan,
)
from resight.paths import reachable
from resight.records import DISTRACTOR, Split

__all__ = ["Finding", "check"]
LEAST_HEIGHT, LEAST_WIDTH = 32, 16

_BAD_FILES = {
    EMPTY: ("{} image file(s) are empty (0 bytes)", "copy them again or remove them"),
    FOREIGN: ("{} file(s) are named like images but hold something else", "remove them"),
    DAMAGED: ("{} image file(s) are damaged or cut off", "copy them again or remove them"),
    UNREADABLE: ("{} image file(s) cannot be read", "check their rights, or download the archive again"),
    POINTER: ("{} file(s) are pointers of Git LFS, not the images", "run git lfs pull where they were cloned"),
    UNSUPPORTED: ("{} image file(s) are HEIC, which needs an extra", "pip install 'resight[heif]'"),
    REFUSED: (
        "{} image file(s) hold 32-bit integers or floats without a known range, or too many pixels",
        "save them with 8 or 16 bits, and smaller",
    ),
}
NOT_READ = frozenset(
    {".svg", ".psd", ".xcf", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
    | {".exr", ".hdr", ".jxl", ".ico", ".dds", ".eps", ".npy", ".mat"}
)
"""What names of pictures end with that cannot be read, or not without knowing their range."""


def check(
    path: str | Path,
    dataset: str | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> list[Finding]:
    """Look for everything that is wrong with a data set, its labels and its files; errors come first.

    Nothing wrong with the data is raised: where it cannot even be loaded, that is a finding as well, and its files
    are looked at all the same.

    Args:
        path: the folder or zip archive.
        dataset: its name in the catalog; by default what :func:`resight.datasets.detect` says.
        threads: how many files to open at a time; by default one per processor core.
        progress: called now and then with (files done, files in all).
        options: for the data set's loader.

    Raises:
        RecipeError: no such data set or option.
    """
    path = reachable(path)
    try:
        pictures, others = ([], []) if is_table(path) else list_images(path)
        name = dataset or (detect_in(path, [*pictures, *others]) if pictures or others else detect(path))
    except DataError as error:
        return [_not_loaded(error, path)]
    findings: list[Finding] = [*_others(others), *_repeated(path)]
    data = None
    if name == "market1501":
        options = {"strict": False} | options
    try:
        data = load(name, path, **options)
    except DataError as error:
        findings.append(_not_loaded(error, path))
    if data is not None:
        findings += _counts(data) if data.name == "market1501" else []
        findings += _labels(data)
    images = (
        list(dict.fromkeys(chain.from_iterable(split.paths.tolist() for split in data.splits.values()))) if data else []
    )
    scanned = scan(images or pictures, threads=threads, progress=progress)
    findings += chain(_files(scanned), exact_copies(scanned, data))
    if data is not None:
        findings += chain(similar_copies(scanned, data), _cameras(scanned, data))
    return sorted(findings, key=lambda finding: finding.severity)


def _not_loaded(error: DataError, path: str) -> Finding:
    message = str(error).rstrip(".")
    what, _, cure = message.rpartition(": ")
    return Finding("error", f"It cannot be loaded: {what or message}", (path,), 1, cure if what else "correct it")


def _counts(data: Dataset) -> Iterator[Finding]:
    """Numbers of images and identities that are not Market-1501's own."""
    wrong = wrong_counts(data, OFFICIAL)
    if wrong:
        rest = f" and {len(wrong) - 1} other number(s) differ" if len(wrong) > 1 else ""
        what = f"Market-1501 is incomplete: {wrong[0]}{rest}"
        yield Finding("error", what, (), len(wrong), "download or unpack it again, or check it as market_layout")


def _labels(data: Dataset) -> Iterator[Finding]:
    """What is wrong with identities and cameras."""
    train, query, gallery = data.train, data.query, data.gallery
    single = data.single_camera
    cameras = np.unique(np.concatenate([split.cameras for split in data.splits.values()]))
    if len(cameras) == 1:
        paths = [path for split in data.splits.values() for path in split.paths[:1].tolist()]
        what = f"All images are from one camera ({cameras[0]})"
        yield Finding("warning", what, tuple(paths), 1, "its results say nothing about matching across cameras")
    unmatched = ~answerable(query, gallery, single_camera=single)
    if unmatched.any():
        place = "the gallery" if single else "another camera of the gallery"
        yield Finding(
            "error" if unmatched.all() else "warning",
            f"{unmatched.sum()} of {len(query)} queries have no true match in {place}",
            _first(query.paths[unmatched]),
            int(unmatched.sum()),
            "they count nowhere, so add their matches or leave them out",
        )
    both = np.intersect1d(train.identities, np.concatenate([query.identities, gallery.identities]))
    both = both[both > DISTRACTOR]
    if len(both):
        halves = data.protocol == "reassociation"  # the first half of each sequence to train on, the second to test
        yield Finding(
            "warning" if halves else "error",
            f"{len(both)} identities are in both train and test",
            _one_each(train, both),
            len(both),
            "a model trained on this split has seen them, so test it on whole sequences (--set test_sequences=NAME)"
            if halves
            else "take them out of one, or the numbers will be too good",
        )
    known, number = np.unique(train.identities[train.identities > DISTRACTOR], return_counts=True)
    alone = known[number == 1]
    if len(alone):
        yield Finding(
            "warning",
            f"{len(alone)} of {len(known)} train identities have a single image",
            _one_each(train, alone),
            len(alone),
            "add images of them, for there is nothing to pull together",
        )
    pairs = np.unique(np.stack([train.identities, train.cameras]), axis=1)
    seen, number = np.unique(pairs[0], return_counts=True)
    once = seen[(number == 1) & (seen > DISTRACTOR) & ~np.isin(seen, alone)]
    if len(once) and len(cameras) > 1 and not single:
        yield Finding(
            "warning",
            f"{len(once)} of {len(known)} train identities are seen by a single camera",
            _one_each(train, once),
            len(once),
            "add images from other cameras, for they teach nothing about the change between cameras",
        )


def _files(scanned: Scan) -> Iterator[Finding]:
    """Files that are not complete images, and images that show too little."""
    for state, (what, cure) in _BAD_FILES.items():
        bad = scanned.states == state
        if bad.any():
            yield of_images("error", what, scanned.paths[bad], cure)
    whole = scanned.states == WHOLE
    tiny = whole & ((scanned.heights < LEAST_HEIGHT) | (scanned.widths < LEAST_WIDTH))
    if tiny.any():
        what = f"{{}} images are less than {LEAST_HEIGHT} px high or {LEAST_WIDTH} px wide"
        yield of_images("warning", what, scanned.paths[tiny], "leave them out or crop from a sharper source")
    flat = whole & (contrast(scanned.thumbnails) < FLAT)
    if flat.any():
        what = "{} images are almost empty: a single shade, or nearly black"
        cure = "remove them, or, if they have 10, 12 or 14 bits stored as 16, scale them to the full range"
        yield of_images("warning", what, scanned.paths[flat], cure)


def _others(others: Sequence[str]) -> Iterator[Finding]:
    """Pictures among the files that are not read."""
    pictures = [path for path in others if PurePath(path).suffix.lower() in NOT_READ]
    if pictures:
        kinds = ", ".join(sorted({PurePath(path).suffix.lower() for path in pictures}))
        what = f"{{}} pictures have unsupported formats ({kinds}) and are skipped"
        yield of_images("warning", what, pictures, "save them as JPEG or PNG")


def _repeated(path: str) -> Iterator[Finding]:
    repeated = repeated_members(path)
    if repeated:
        what = "{} files are in the archive more than once under one name, and the last of each is used"
        yield of_images("warning", what, repeated, "pack it again")


def _cameras(scanned: Scan, data: Dataset) -> Iterator[Finding]:
    """Camera labels that cannot be right."""
    every = [split for split in data.splits.values() if len(split)]
    identities, cameras = (np.concatenate([getattr(one, name) for one in every]) for name in ("identities", "cameras"))
    people = identities > DISTRACTOR
    known = len(np.unique(cameras[people]))
    if known > 4 and 2 * known > people.sum():
        yield Finding(
            "error",
            f"There are {known:,} cameras for {people.sum():,} images, nearly one for each",
            tuple(str(path) for path in every[0].paths[:PATHS]),
            known,
            "what is read as the camera is a frame, a date or a track, so pass a pattern with the right group camera",
        )
        return
    place = {path: at for at, path in enumerate(scanned.paths.tolist())}
    at = np.array([place[path] for one in every for path in one.paths.tolist()], dtype=np.int64)
    there = scanned.states[at] == WHOLE
    share = same_camera_share(scanned.thumbnails[at[there]], identities[there], cameras[there])
    if known > 1 and share.is_chance():
        yield Finding(
            "warning",
            f"The camera labels look wrong: of {share.images:,} images, the one nearest in pixels of the same identity "
            f"has the same camera for {share.found:.0%}, where chance gives {share.chance:.0%} and real data far more",
            tuple(str(path) for path in every[0].paths[:PATHS]),
            share.images,
            "check that each image has the camera that took it, for images of one camera are left out of the results",
        )


def _first(paths: NDArray[np.str_]) -> tuple[str, ...]:
    return tuple(str(path) for path in paths[:PATHS])


def _one_each(split: Split, identities: NDArray[np.int64]) -> tuple[str, ...]:
    """The first image of each of the first few ``identities``."""
    return tuple(str(split.paths[np.argmax(split.identities == who)]) for who in identities[:PATHS])
