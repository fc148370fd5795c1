"""Market-1501 (Zheng et al., ICCV 2015) from its folder or its zip, and other data laid out like it.

Names carry the labels: ``0002_c1s1_000451_03.jpg`` is identity 2 in camera 1, sequence 1, frame 451, box 3;
identity -1 is junk, 0000 a distractor. The gallery keeps both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resight.datasets.catalog import Dataset, register
from resight.datasets.labels import from_pattern, number_cameras, number_identities
from resight.datasets.layouts import Counts, check_counts, check_fold, find_base, note_strays, read_names
from resight.datasets.splitting import validation
from resight.errors import DataError
from resight.files import is_image_name, list_files
from resight.records import DISTRACTOR, Split
from resight.texts import texts

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
OFFICIAL: Counts = {
    "train": {"images": (12_936,), "identities": (751,)},
    "query": {"images": (3_368,), "identities": (750,)},
    "gallery": {"images": (19_732,), "identities": (750,), "junk": (3_819,), "distractors": (2_798,)},
}
_KIND = "of Market-1501's kind, such as 0002_c1s1_000451_03.jpg (identity, camera, sequence, frame, box)"
_CURE = (
    "rename it, or load the data as 'market_layout' with a pattern for its names, such as "
    r"'(?P<identity>\d+)_c(?P<camera>\d+)' (--set pattern=...)"
)
_BEGINNING = r"(?:^|/)(?P<identity>-1|\d{1,18})_c(?P<camera>\d{1,4})(?!\d)[^/]*$"
_NAME = re.compile(
    r"(-1|\d{1,9})_c(\d{1,4})s(\d{1,4})_(\d{1,12})_(\d{1,9})(?:\.\w+)+"
)  # one official name ends in .jpg.jpg


@register("market1501")
def market1501(
    root: str | Path, *, strict: bool = True, fold: str = "test", seed: int = 0, held_out: int | None = None
) -> Dataset:
    """Market-1501, or any data with its folders and names.

    Args:
        root: the folder or zip archive, or a folder inside one; the split folders may lie at any depth below it.
        strict: whether the numbers of images and identities must be Market-1501's own.
            Pass False for a subset; other data in the same layout is :func:`market_layout`.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train images alone:
            600 identities to train on, 151 to ask about (see :func:`resight.datasets.splitting.validation`).
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set whose splits have the columns ``sequences`` and ``frames``, (N,) int64.

    Raises:
        DataError: not in Market-1501's layout, an image with another name, or wrong numbers with ``strict``.
        RecipeError: no such fold.
    """
    data = check_counts(_load(root, "market1501", fold), OFFICIAL, os.fspath(root), "Market-1501", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


@register("market_layout")
def market_layout(
    root: str | Path,
    *,
    pattern: str | None = None,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    r"""Any data in Market-1501's folders; its numbers are its own. Otherwise as :func:`market1501`.

    ``bounding_box_train`` may be missing: such a data set can be evaluated, not trained on.

    Args:
        pattern: a regular expression for names of another kind, with a group ``identity`` and, if there is one to read,
            ``camera``, searched in each path below its split's folder. By default names are Market-1501's, or all begin
            like them, as DukeMTMC's do: ``0001_c2_f0046182.jpg``.
        root, fold, seed, held_out: as for :func:`market1501`.

    Returns:
        A data set whose splits have the columns ``sequences`` and ``frames`` where names are Market-1501's. Where train
        or query has the identity 0, it is no distractor, and identities count one more. Identities that are no whole
        numbers are numbered 1, 2, ... in the order of their sorted names. Without a group ``camera`` all cameras are 1,
        and the protocol is ``"single_camera"``.

    Raises:
        DataError: not in Market-1501's layout, or names that cannot be read.
        RecipeError: no such fold, or a pattern that makes no sense.
    """
    data = _load(root, "market_layout", fold, pattern, any_numbers=True)
    return validation(data, held_out, seed) if fold == "validation" else data


def _load(root: str | Path, name: str, fold: str, pattern: str | None = None, *, any_numbers: bool = False) -> Dataset:
    """The three splits, whatever their numbers."""
    check_fold(name, fold)
    where, paths = os.fspath(root).rstrip("/"), [path for path, _ in list_files(root)]
    if where.rpartition("/")[2] in FOLDERS.values():
        raise DataError(f"{where} is one split of Market-1501: pass the folder above it, which holds all three.")
    title = "Market-1501" if name == "market1501" else "a data set in Market-1501's layout"
    base = find_base(where, paths, (FOLDERS["query"], FOLDERS["gallery"]), title)
    inside = {key: [path for path in paths if path.startswith(f"{base}/{FOLDERS[key]}/")] for key in FOLDERS}
    strays = [path for own in inside.values() for path in own if not is_image_name(path)]
    if any_numbers and pattern is None and _all_begin_alike(inside):
        pattern = _BEGINNING
    notes = note_strays(strays)
    if pattern is None:
        splits = {key: _read(base, key, f"{name} {key}", own) for key, own in inside.items()}
        protocol = "market1501"
    else:
        splits, protocol, more = _read_by_pattern(base, inside, name, pattern)
        notes += more
    if any_numbers and any((splits[key].identities == DISTRACTOR).any() for key in ("train", "query")):
        splits = {key: _with_zero(split) for key, split in splits.items()}
        notes += ("Train or query has the identity 0, so it is no distractor: identities count one more here.",)
    if not len(splits["train"]):
        notes += ("It has no training images: it can be evaluated, not trained on.",)
    return Dataset(name, splits["train"], splits["query"], splits["gallery"], protocol, notes)


def _read(base: str, key: str, name: str, paths: Iterable[str]) -> Split:
    """The split ``key`` below ``base``, by Market-1501's names."""
    images, labels = read_names(f"{base}/{FOLDERS[key]}/", paths, _NAME, _KIND, [], _CURE)
    columns = np.array(labels, dtype=np.int64).reshape(-1, 5).T
    return Split(
        texts(images),
        columns[0],
        columns[1],
        {"sequences": columns[2], "frames": columns[3]},
        name,
    )


def _all_begin_alike(inside: Mapping[str, Sequence[str]]) -> bool:
    """Whether all images are named ``<identity>_c<camera>...``, but not all as Market-1501's are."""
    names = [path.rpartition("/")[2] for own in inside.values() for path in own if is_image_name(path)]
    alike = all(re.match(_BEGINNING, name) for name in names)
    return alike and not all(_NAME.fullmatch(name) for name in names)


def _read_by_pattern(
    base: str, inside: Mapping[str, Sequence[str]], name: str, pattern: str
) -> tuple[dict[str, Split], str, tuple[str, ...]]:
    """The splits, the protocol and notes, by the groups of ``pattern``."""
    images = {key: [path for path in own if is_image_name(path)] for key, own in inside.items()}
    below = [path[len(f"{base}/{FOLDERS[key]}/") :] for key, own in images.items() for path in own]
    who, seen = from_pattern(below, pattern)
    whole = all(re.fullmatch(r"-1|\d{1,18}", one) for one in who)
    identities = np.array([int(one) for one in who], dtype=np.int64) if whole else number_identities(who)
    if any(one is None for one in seen) and any(seen):
        first = below[next(at for at, one in enumerate(seen) if one is None)]
        raise DataError(f"The pattern {pattern!r} finds no camera in some images, first {first}: widen it.")
    cameras = number_cameras([one or "1" for one in seen])
    ends = np.cumsum([len(own) for own in images.values()])[:-1]
    parts = zip(images.items(), np.split(identities, ends), np.split(cameras, ends), strict=True)
    splits = {
        key: Split(np.array(own, dtype=np.str_), ids, cams, name=f"{name} {key}") for (key, own), ids, cams in parts
    }
    if any(seen):
        return splits, "market1501", ()
    return splits, "single_camera", ("No camera can be read from names, so images of one camera match each other.",)


def _with_zero(split: Split) -> Split:
    """``split`` with identity 0 as one of the others."""
    identities = np.where(split.identities >= DISTRACTOR, split.identities + 1, split.identities)
    return replace(split, identities=identities)
