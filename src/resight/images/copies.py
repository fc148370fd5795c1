"""Copies of pictures where they spoil numbers: under two identities, in train and test, across cameras."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from resight.datasets.catalog import Dataset
from resight.images import near_copies
from resight.images.finding import Finding, Severity, of_groups
from resight.images.scan import Scan
from resight.records import DISTRACTOR


class Label(NamedTuple):
    """What is known of an image: its split (train, query or gallery), identity and camera."""

    split: str
    identity: int
    camera: int


_KINDS: dict[str, tuple[Severity, str, str]] = {
    "identities": ("error", "are under different identities", "keep each under the right one"),
    "splits": ("error", "are in both train and test", "take them out of one"),
    "answers": (
        "error",
        "are in both query and gallery, where each is a true match of its own copy",
        "keep one of each, or the numbers will be too good",
    ),
    "cameras": (
        "warning",
        "occur more than once, under different cameras",
        "keep one of each, under the camera that took it",
    ),
    "twice": ("warning", "occur more than once", "keep one of each"),
}


def labels_of(data: Dataset | None) -> dict[str, Label]:
    """The label of each path of a data set."""
    found: dict[str, Label] = {}
    for key, split in data.splits.items() if data else ():
        columns = (column.tolist() for column in (split.paths, split.identities, split.cameras))
        for path, identity, camera in zip(*columns, strict=True):
            found.setdefault(path, Label(key, identity, camera))
    return found


def exact_copies(scanned: Scan, data: Dataset | None) -> Iterator[Finding]:
    """Files with the very same bytes."""
    groups: defaultdict[bytes, list[str]] = defaultdict(list)
    for path, digest in zip(scanned.paths.tolist(), scanned.digests, strict=True):
        if digest:
            groups[digest].append(path)
    labels, single = labels_of(data), data is not None and data.single_camera
    by_kind: defaultdict[str, list[list[str]]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            known = [labels[path] for path in group if path in labels]
            by_kind[_kind(known, single=single, at_least=-1) or "twice"].append(group)
    yield from _findings(by_kind, "pictures {}, byte for byte")


def similar_copies(scanned: Scan, data: Dataset) -> Iterator[Finding]:
    """Pictures that show the same though their bytes differ, unless identity, camera and split are the same as well."""
    labels, single = labels_of(data), data.single_camera
    first_of = {digest: at for at, digest in reversed(list(enumerate(scanned.digests))) if digest}
    kept = np.array(sorted(first_of.values()), dtype=np.int64)
    pairs = near_copies.near_copies(scanned.thumbnails[kept])
    by_kind: defaultdict[str, list[list[str]]] = defaultdict(list)
    for members in near_copies.groups(pairs, len(kept)):
        group = scanned.paths[kept[members]].tolist()
        known = [labels[path] for path in group if path in labels]
        kind = _kind(known, single=single, at_least=DISTRACTOR + 1)
        if kind:
            by_kind[kind].append(group)
    yield from _findings(by_kind, "groups of pictures that look the same {}", severity="warning")


def _kind(known: Sequence[Label], *, single: bool, at_least: int) -> str:
    """The worst of what one picture's copies do; identities below ``at_least`` are no contradiction."""
    people = {label.identity for label in known if label.identity >= at_least}
    splits = {label.split for label in known}
    if len(people) > 1:
        return "identities"
    if "train" in splits and len(splits) > 1:
        return "splits"
    asked = [label for label in known if label.split == "query" and label.identity > DISTRACTOR]
    answers = [label for label in known if label.split == "gallery" and label.identity > DISTRACTOR]
    if any(single or one.camera != other.camera for one in asked for other in answers):
        return "answers"
    return "cameras" if people and len({label.camera for label in known}) > 1 else ""


def _findings(by_kind: dict[str, list[list[str]]], what: str, severity: Severity | None = None) -> Iterator[Finding]:
    for kind, (usual, does, cure) in _KINDS.items():
        groups = by_kind.get(kind)
        if groups:
            yield of_groups(severity or usual, f"{len(groups):,} {what.format(does)}", groups, cure)
