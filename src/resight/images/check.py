"""Is this data fit for use? Everything that is wrong with it at once, each finding with its cure."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, load
from resight.datasets.detect import detect_in
from resight.datasets.layouts import wrong_counts
from resight.datasets.market1501 import OFFICIAL
from resight.datasets.splitting import answerable
from resight.errors import DataError
from resight.files import is_image_name, list_files
from resight.images.scan import DAMAGED, EMPTY, FOREIGN, UNREADABLE, WHOLE, Scan, scan
from resight.records import DISTRACTOR, Split

EXAMPLES = 5  # paths named in a finding
LEAST_HEIGHT, LEAST_WIDTH = 32, 16

_BAD_FILES = {
    EMPTY: ("{} image file(s) are empty (0 bytes)", "copy them again or remove them"),
    FOREIGN: ("{} file(s) are named like images but hold something else", "remove them"),
    DAMAGED: ("{} image file(s) are damaged or cut off", "copy them again or remove them"),
    UNREADABLE: ("{} image file(s) cannot be read", "check their rights, or download the archive again"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        severity: ``"error"`` where numbers would be wrong or a run would stop, ``"warning"`` where it is for the
            reader to judge.
        what: what is wrong, with its number.
        where: the first few paths concerned.
        count: how many images, identities or pictures are concerned.
        cure: what to do.
    """

    severity: Literal["error", "warning"]
    what: str
    where: tuple[str, ...]
    count: int
    cure: str

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.where) else ""
        where = f" ({', '.join(self.where)}{more})" if self.where else ""
        return f"{self.what}{where}: {self.cure}."

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


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
    try:
        files = [file for file, _ in list_files(path)]
    except DataError as error:
        return [_not_loaded(error, os.fspath(path))]
    name = dataset or detect_in(os.fspath(path), files)
    findings: list[Finding] = []
    data = None
    if name == "market1501":
        options = {"strict": False} | options
    try:
        data = load(name, path, **options)
    except DataError as error:
        findings.append(_not_loaded(error, os.fspath(path)))
    if data is not None:
        findings += _counts(data) if data.name == "market1501" else []
        findings += _labels(data)
    images = (
        list(dict.fromkeys(chain.from_iterable(split.paths.tolist() for split in data.splits.values()))) if data else []
    )
    scanned = scan(images or [file for file in files if is_image_name(file)], threads=threads, progress=progress)
    findings += chain(_files(scanned), _copies(scanned, data))
    return sorted(findings, key=lambda finding: finding.severity)


def _not_loaded(error: DataError, path: str) -> Finding:
    message = str(error).rstrip(".")
    what, _, cure = message.rpartition(": ")
    return Finding("error", f"It cannot be loaded: {what or message}", (path,), 1, cure if what else "mend it")


def _counts(data: Dataset) -> Iterator[Finding]:
    """Numbers of images and identities that are not Market-1501's own."""
    wrong = wrong_counts(data, OFFICIAL)
    if wrong:
        rest = f" and {len(wrong) - 1} other number(s) differ" if len(wrong) > 1 else ""
        what = f"It is not the whole of Market-1501, for {wrong[0]}{rest}"
        yield Finding("error", what, (), len(wrong), "download or unpack it again, or check it as market_layout")


def _labels(data: Dataset) -> Iterator[Finding]:
    """What is wrong with identities and cameras."""
    train, query, gallery = data.train, data.query, data.gallery
    single = data.protocol == "single_camera"
    cameras = np.unique(np.concatenate([split.cameras for split in data.splits.values()]))
    if len(cameras) == 1:
        paths = [path for split in data.splits.values() for path in split.paths[:1].tolist()]
        what = f"All images are from one camera ({cameras[0]})"
        yield Finding("warning", what, tuple(paths), 1, "its numbers say nothing about finding one across cameras")
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
        yield Finding(
            "error",
            f"{len(both)} identities stand in both train and test",
            _one_each(train, both),
            len(both),
            "take them out of one, or the numbers will be too good",
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
    """Files that are no whole images, and images too small to tell who is on them."""
    for state, (what, cure) in _BAD_FILES.items():
        bad = scanned.states == state
        if bad.any():
            count = int(bad.sum())
            yield Finding("error", what.format(count), _first(scanned.paths[bad]), count, cure)
    tiny = (scanned.states == WHOLE) & ((scanned.heights < LEAST_HEIGHT) | (scanned.widths < LEAST_WIDTH))
    if tiny.any():
        count = int(tiny.sum())
        what = f"{count} images are less than {LEAST_HEIGHT} px high or {LEAST_WIDTH} px wide"
        yield Finding(
            "warning", what, _first(scanned.paths[tiny]), count, "leave them out or crop from a sharper source"
        )


def _copies(scanned: Scan, data: Dataset | None) -> Iterator[Finding]:
    """Files with the very same bytes: under two identities, in train and test, or merely twice."""
    labels: dict[str, tuple[int, bool]] = {}
    for key, split in data.splits.items() if data else ():
        test = key != "train"
        labels |= {path: (int(who), test) for path, who in zip(split.paths.tolist(), split.identities, strict=True)}
    groups: defaultdict[bytes, list[str]] = defaultdict(list)
    for path, digest in zip(scanned.paths.tolist(), scanned.digests, strict=True):
        if digest:
            groups[digest].append(path)
    contrary: list[list[str]] = []
    leaking: list[list[str]] = []
    repeated: list[list[str]] = []
    for paths in groups.values():
        if len(paths) < 2:
            continue
        people = {labels[path][0] for path in paths if path in labels}
        parts = {labels[path][1] for path in paths if path in labels}
        (contrary if len(people) > 1 else leaking if len(parts) > 1 else repeated).append(paths)
    kinds: tuple[tuple[Literal["error", "warning"], list[list[str]], str, str], ...] = (
        ("error", contrary, "stand under different identities", "keep each under the right one"),
        ("error", leaking, "stand in both train and test", "take them out of one"),
        ("warning", repeated, "stand there more than once", "keep one of each"),
    )
    for severity, found, what, cure in kinds:
        if found:
            where = tuple(chain.from_iterable(found))[:EXAMPLES]
            yield Finding(severity, f"{len(found)} pictures {what}, byte for byte", where, len(found), cure)


def _first(paths: NDArray[np.str_]) -> tuple[str, ...]:
    return tuple(str(path) for path in paths[:EXAMPLES])


def _one_each(split: Split, identities: NDArray[np.int64]) -> tuple[str, ...]:
    """The first image of each of the first few ``identities``."""
    return tuple(str(split.paths[np.argmax(split.identities == who)]) for who in identities[:EXAMPLES])
