"""Anyone's own crops: ``<root>/<identity>/<camera>_*.jpg``, in a folder or a zip archive.

Where there are folders ``train``, ``query`` and ``gallery`` (or ``train`` and ``test``) above the identities, they
are the splits; otherwise identities are split into training and testing, and queries chosen, with a seed.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.counted import counted
from resight.datasets.catalog import Dataset, common_folder, register
from resight.datasets.labels import from_folders, from_pattern, number_cameras, number_identities
from resight.datasets.market1501 import FOLDERS
from resight.datasets.splitting import answerable, choose_queries, for_training, hold_out
from resight.errors import DataError, RecipeError
from resight.files import left_out, list_images
from resight.records import DISTRACTOR, Split
from resight.texts import texts

_GIVEN = (("query", "gallery"), ("train", "test"))  # the subfolders that make up given splits


@register("folder")
def folder(
    root: str | Path,
    *,
    pattern: str | None = None,
    train_fraction: float = 0.5,
    seed: int = 0,
    single_camera: bool | None = None,
) -> Dataset:
    r"""A data set of your own crops.

    Args:
        root: the folder or zip archive.
        pattern: a regular expression with a group ``identity`` and, if there is one to read, ``camera``, searched in
            each path below ``root``: ``r"(?P<identity>\d+)_c(?P<camera>\d+)"`` for a flat folder.
        train_fraction: the share of identities to train on, in [0, 1); 0 keeps all for testing.
        seed: which identities to train on, and which images to ask with.
        single_camera: whether images from one camera match each other (protocol ``"single_camera"``, one query per
            identity). By default only where all images share one camera or none can be read.

    Returns:
        A data set whose splits have the columns ``identity_names`` and ``camera_names``, (N,) str. Identities are
        numbered 1, 2, ... in the order of their sorted names; a folder ``-1`` holds junk.

    Raises:
        DataError: no images, names that cannot be read, fewer than two identities, or nothing to ask.
        RecipeError: a pattern or a ``train_fraction`` that makes no sense.
    """
    if not 0 <= train_fraction < 1:
        raise RecipeError(f"train_fraction is {train_fraction}: it must be at least 0 and less than 1.")
    where = os.fspath(root).rstrip("/") or "/"
    images, strays = list_images(where)
    if not images:
        others = f", only {len(strays)} other file(s) such as {strays[0]}" if strays else " nor any other file"
        raise DataError(f"{where} holds no images{others}: it needs files like <identity>/<camera>_1.jpg.")
    if any(f"/{FOLDERS['train']}/" in path for path in images):
        raise DataError(
            f"{where} is laid out like Market-1501: load it as 'market1501', or as 'market_layout', "
            "which takes a pattern as well."
        )
    notes = [left_out(strays)] if strays else []
    images, parts = _given_parts(where, images, notes)
    everything, readable = _read(where, images, pattern, given=parts is not None)
    single = _is_single_camera(everything, readable, single_camera, notes)
    if parts is None:
        train, query, gallery = _split(where, everything, train_fraction, seed, single, notes)
    else:
        train = everything.take(parts == "train", "folder (train)")
        query, gallery = everything.take(parts == "query"), everything.take(parts == "gallery")
        test = everything.take(parts == "test")
        asked = choose_queries(test.identities, test.cameras, seed=seed, single_camera=single)
        if len(test):
            query, gallery = test.take(asked, "folder (query)"), test.take(~asked, "folder (gallery)")
    _note_what_is_odd(where, train, query, gallery, single, notes)
    return Dataset("folder", train, query, gallery, "single_camera" if single else "market1501", tuple(notes))


def _start(where: str, images: list[str]) -> int:
    """Where in each path the names begin that tell images apart; never below the folder of a lone identity."""
    top = common_folder(images)
    if len(top) > len(where) + 1 and all("/" not in path[len(top) :] for path in images):
        top = top[: top[:-1].rfind("/") + 1]
    return len(top)


def _given_parts(where: str, images: list[str], notes: list[str]) -> tuple[list[str], NDArray[np.str_] | None]:
    """The images to use and the subfolder each lies in (train, query, gallery, test), or None where none are given."""
    start = _start(where, images)
    parts = np.array([path[start:].partition("/")[0].lower() for path in images])
    there = set(parts.tolist())
    given = next(({"train", *pair} for pair in _GIVEN if set(pair) <= there), None)
    if given is None:
        return images, None
    used = np.isin(parts, list(given))
    if not used.all():
        others = ", ".join(sorted(there - given)[:3])
        notes.append(f"{int((~used).sum())} image(s) outside {', '.join(sorted(given))} were left out ({others}).")
    return [path for path, keep in zip(images, used, strict=True) if keep], parts[used]


def _read(where: str, images: list[str], pattern: str | None, *, given: bool) -> tuple[Split, bool]:
    """All images as one split, and whether every camera could be read; where none could, all are camera 1."""
    if pattern is None:
        start = _start(where, images)
        below = [path[start:] for path in images]
        who, cameras = from_folders([name.partition("/")[2] for name in below] if given else below)
    else:
        who, cameras = from_pattern([path[len(where) + 1 :] for path in images], pattern)
    unread = [path for path, camera in zip(images, cameras, strict=True) if camera is None]
    if unread and len(unread) < len(images):
        raise DataError(
            f"The camera cannot be read of {len(unread)} of {len(images)} images, first {unread[0]}: "
            "name them <camera>_*.jpg as the others, or pass a pattern."
        )
    seen = [camera or "1" for camera in cameras]
    columns = {"identity_names": np.array(who, dtype=np.str_), "camera_names": np.array(seen, dtype=np.str_)}
    paths = texts(images)
    return Split(paths, number_identities(who), number_cameras(seen), columns, "folder"), not unread


def _is_single_camera(split: Split, readable: bool, asked_for: bool | None, notes: list[str]) -> bool:
    """Whether images of one camera match each other, with the reason in ``notes``."""
    names = sorted(set(split.columns["camera_names"].tolist()))
    if asked_for is not None:
        return asked_for
    if len(names) > 1:
        some = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
        notes.append(f"The names give {counted(len(names), 'camera')} ({some}).")
        return False
    reason = f"All images share one camera ({names[0]})" if readable else "No camera can be read from names"
    notes.append(f"{reason}, so images of one camera match each other.")
    return True


def _split(
    where: str, split: Split, train_fraction: float, seed: int, single: bool, notes: list[str]
) -> tuple[Split, Split, Split]:
    """Train, query and gallery, which share no identity with train."""
    known = len(np.unique(split.identities[split.identities > DISTRACTOR]))
    if known < 2 and train_fraction:
        raise DataError(
            f"{where} holds {known} identity(ies), but to train and to test takes two or more: "
            "give each its own folder, or pass train_fraction=0 to test only."
        )
    to_train = for_training(known, train_fraction)
    notes.append(f"{to_train} of {known} identities are for training, the others for testing (seed {seed}).")
    return hold_out(split, known - to_train, seed=seed, single_camera=single)


def _note_what_is_odd(where: str, train: Split, query: Split, gallery: Split, single: bool, notes: list[str]) -> None:
    """Add to ``notes`` what weakens the numbers; raise DataError where there would be no numbers at all."""
    matched = answerable(query, gallery, single_camera=single)
    if not matched.any():
        cure = "add images of one identity from two cameras, or pass single_camera=True to let images of one match"
        raise DataError(
            f"{where} has no query with a true match in the gallery, so nothing can be measured: "
            f"{'add identities with two images or more' if single else cure}."
        )
    if not matched.all():
        notes.append(f"{int((~matched).sum())} of {len(query)} queries have no true match and will not count.")
    both = np.intersect1d(train.identities, np.concatenate([query.identities, gallery.identities]))
    if (both > DISTRACTOR).any():
        notes.append(f"{int((both > DISTRACTOR).sum())} identity(ies) are in both train and test.")
    everyone = np.concatenate([split.identities for split in (train, query, gallery)])
    alone = int((np.unique(everyone[everyone > DISTRACTOR], return_counts=True)[1] == 1).sum())
    if alone:
        notes.append(f"{alone} identity(ies) have a single image.")
