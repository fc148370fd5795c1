"""Anyone's own tracklets: ``<root>/<identity>/<camera>/<tracklet>/*.jpg``, in a folder or a zip archive.

Where there are folders ``train``, ``query`` and ``gallery`` (or ``train`` and ``test``) above the identities, they are
the splits; otherwise identities are split into training and testing, and query tracklets chosen, with a seed.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.labels import number_cameras, number_identities
from resight.datasets.splitting import answerable, choose_query_tracks, for_training, hold_out
from resight.datasets.tracklets.sequences import in_order
from resight.errors import DataError, RecipeError
from resight.files import left_out, list_images, split_archive
from resight.records import DISTRACTOR, Split
from resight.texts import texts

_GIVEN = ({"train", "query", "gallery"}, {"query", "gallery"}, {"train", "test"})
_LAYOUT = "<identity>/<camera>/<tracklet>/*.jpg"


@register("tracklets")
def tracklets(root: str | Path, *, train_fraction: float = 0.5, seed: int = 0) -> Dataset:
    """A data set of your own tracklets. No image is opened.

    Args:
        root: the folder or zip archive. Images of a tracklet are in the order of the numbers in their names.
        train_fraction: the share of identities to train on, in [0, 1), where no splits are given; 0 keeps all for
            testing.
        seed: which identities to train on, and which tracklets ask.

    Returns:
        A data set whose splits have the columns ``tracks`` (N,) int64, ``identity_names`` and ``camera_names``, (N,)
        str. Identities are numbered 1, 2, ... in the order of their sorted names; a folder ``-1`` holds junk. The
        protocol is ``"tracklets"``, or ``"tracklets_single_camera"`` where there is one camera alone.

    Raises:
        DataError: no images, an image elsewhere, a tracklet without images, or nothing to ask.
        RecipeError: a ``train_fraction`` that makes no sense.
    """
    if not 0 <= train_fraction < 1:
        raise RecipeError(f"train_fraction is {train_fraction}: it must be at least 0 and less than 1.")
    where = os.fspath(root).rstrip("/") or "/"
    images, strays = list_images(where)
    notes = [left_out(strays)] if strays else []
    if not images:
        raise DataError(f"{where} holds no images: it needs files like {_LAYOUT}.")
    images.sort(key=in_order)
    everything, parts = _read(where, images)
    _refuse_empty(where, images)
    single = len(np.unique(everything.cameras)) == 1
    if single:
        notes.append("All tracklets share one camera, so tracklets of one camera match each other.")
    train, query, gallery = _parts(everything, parts, train_fraction, seed, single, notes)
    if not answerable(query, gallery, single_camera=single).any():
        raise DataError(
            f"{where} has no query with a true match in the gallery, so nothing can be measured: add identities with "
            f"two tracklets{'' if single else ' from two cameras'}."
        )
    protocol = "tracklets_single_camera" if single else "tracklets"
    return Dataset("tracklets", train, query, gallery, protocol, tuple(notes))


def _read(where: str, images: list[str]) -> tuple[Split, NDArray[np.str_] | None]:
    """All images, and the part that each lies in, or None where none are given."""
    below = [path[len(where) + 1 :].split("/") for path in images]
    start = 1 if len({names[0] for names in below}) == 1 and all(len(names) > 4 for names in below) else 0
    heads = {names[start] for names in below}
    given = heads in _GIVEN
    depth = start + given + 4
    for path, names in zip(images, below, strict=True):
        if len(names) != depth:
            raise DataError(
                f"{path} lies {len(names) - 1 - start} folders deep where {_LAYOUT} is read: move it or take it out."
            )
    who, seen, tracklet = ([names[depth - at] for names in below] for at in (4, 3, 2))
    keys = ["/".join(names[: depth - 1]) for names in below]
    number = {key: at for at, key in enumerate(dict.fromkeys(keys), start=1)}
    columns = {
        "tracks": np.array([number[key] for key in keys], np.int64),
        "identity_names": np.array(who, np.str_),
        "camera_names": np.array(seen, np.str_),
        "tracklet_names": np.array(tracklet, np.str_),
    }
    split = Split(texts(images), number_identities(who), number_cameras(seen), columns, "tracklets")
    return split, np.array([names[start] for names in below]) if given else None


def _refuse_empty(where: str, images: list[str]) -> None:
    """Raise DataError for a folder of a tracklet without images."""
    if split_archive(where)[0] != where or where.lower().endswith(".zip"):
        return
    full = {path.rpartition("/")[0] for path in images}
    depth = next(iter(full)).count("/")
    for folder, below, _ in os.walk(where):
        below[:] = [name for name in below if not name.startswith(".")]
        if folder.count("/") == depth and folder not in full:
            raise DataError(f"The tracklet {folder} has no images: fill it or delete the folder.")


def _parts(
    everything: Split, parts: NDArray[np.str_] | None, share: float, seed: int, single: bool, notes: list[str]
) -> tuple[Split, Split, Split]:
    if parts is None:
        known = len(np.unique(everything.identities[everything.identities > DISTRACTOR]))
        if known < 2 and share:
            raise DataError(
                f"There is {known} identity, but to train and to test takes two or more: add identities, or pass "
                "train_fraction=0 to test only."
            )
        training = for_training(known, share)
        notes.append(f"{training} of {known} identities are for training, the others for testing (seed {seed}).")
        return hold_out(everything, known - training, seed=seed, single_camera=single)
    train = everything.take(parts == "train", "tracklets (train)")
    query, gallery = everything.take(parts == "query"), everything.take(parts == "gallery")
    test = everything.take(parts == "test")
    if len(test):
        asked = choose_query_tracks(test, seed=seed, single_camera=single)
        query, gallery = test.take(asked, "tracklets (query)"), test.take(~asked, "tracklets (gallery)")
    return train, query, gallery
