"""Identity-disjoint splits: which identities to train on, which to hold out, and what to ask of the held-out ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset
from resight.errors import DataError, RecipeError
from resight.records import DISTRACTOR, Split

VALIDATION_SHARE = 151 / 751  # of Market-1501's train identities; the other 600 are trained on


def choose_identities(identities: NDArray[np.int64], count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """``count`` of the identities above 0 in ``identities`` (N,), drawn with ``seed``, sorted.

    Raises:
        RecipeError: there are not that many.
    """
    known = np.unique(identities[identities > DISTRACTOR])
    if not 0 <= count <= len(known):
        raise RecipeError(f"{count} identities cannot be chosen from {len(known)}: ask for 0 to {len(known)}.")
    order = np.argsort(np.random.default_rng(seed).random(len(known)), kind="stable")
    return np.sort(known[order[:count]])


def choose_queries(
    identities: NDArray[np.int64], cameras: NDArray[np.int64], *, seed: int = 0, single_camera: bool = False
) -> NDArray[np.bool_]:
    """Which images (N,) to ask with, so that every query has a true match among the images left over.

    One image is chosen per identity and camera, as in Market-1501; one that would leave some query of its identity
    without an image from another camera is not taken. With ``single_camera``, one image is chosen of each identity
    that has two or more, whatever their cameras. Junk and distractors are never queries.
    """
    asked = np.zeros(len(identities), dtype=bool)
    shuffled = np.argsort(np.random.default_rng(seed).random(len(identities)), kind="stable")
    by_identity = shuffled[np.argsort(identities[shuffled], kind="stable")]
    starts = np.flatnonzero(np.diff(identities[by_identity])) + 1
    for images in np.split(by_identity, starts):
        if len(images) < 2 or identities[images[0]] <= DISTRACTOR:
            continue
        if single_camera:
            asked[images[0]] = True
            continue
        seen, first, left = np.unique(cameras[images], return_index=True, return_counts=True)
        taken = np.zeros(len(seen), dtype=bool)
        for camera in np.argsort(first):
            left[camera] -= 1
            taken[camera] = True
            if (left.sum() - left[taken] < 1).any():
                left[camera] += 1
                taken[camera] = False
        asked[images[first[taken]]] = True
    return asked


def choose_query_tracks(split: Split, *, seed: int = 0, single_camera: bool = False) -> NDArray[np.bool_]:
    """Which images (N,) are of tracklets to ask with: :func:`choose_queries` of the tracklets in the column ``tracks``.

    Without that column every image is chosen for itself.
    """
    tracks = split.columns.get("tracks")
    if tracks is None:
        return choose_queries(split.identities, split.cameras, seed=seed, single_camera=single_camera)
    _, first, which = np.unique(tracks, return_index=True, return_inverse=True)
    asked = choose_queries(split.identities[first], split.cameras[first], seed=seed, single_camera=single_camera)
    return asked[which]


def answerable(query: Split, gallery: Split, *, single_camera: bool = False) -> NDArray[np.bool_]:
    """Which queries (Q,) have a true match in ``gallery``: another camera's image, or any with ``single_camera``."""
    cameras = np.unique(np.concatenate([query.cameras, gallery.cameras]))

    def places(split: Split) -> NDArray[np.int64]:
        return split.identities * len(cameras) + np.searchsorted(cameras, split.cameras)

    matches = _occurrences(query.identities, gallery.identities)
    if not single_camera:
        matches = matches - _occurrences(places(query), places(gallery))
    return (matches > 0) & (query.identities > DISTRACTOR)


def _occurrences(keys: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.intp]:
    """How often each of ``keys`` occurs in ``among``."""
    ordered = np.sort(among)
    return np.searchsorted(ordered, keys, side="right") - np.searchsorted(ordered, keys, side="left")


def for_training(known: int, fraction: float) -> int:
    """How many of the known identities are to train on: at least one on either side, or none with ``fraction=0``."""
    return min(max(int(known * fraction + 0.5), 1), known - 1) if fraction else 0


def hold_out(split: Split, count: int, *, seed: int = 0, single_camera: bool = False) -> tuple[Split, Split, Split]:
    """``split`` as train, query and gallery, where ``count`` identities stand only in the last two.

    Distractors and junk go to the gallery. Order within each part is that of ``split``. Where it has the column
    ``tracks``, whole tracklets ask.

    Raises:
        RecipeError: ``split`` has fewer than ``count`` identities.
    """
    chosen = choose_identities(split.identities, count, seed=seed)
    held_out = np.isin(split.identities, chosen) | (split.identities <= DISTRACTOR)
    asked = choose_query_tracks(split, seed=seed, single_camera=single_camera) & held_out
    return (
        split.take(~held_out, f"{split.name} (train)"),
        split.take(asked, f"{split.name} (query)"),
        split.take(held_out & ~asked, f"{split.name} (gallery)"),
    )


def validation(data: Dataset | Split, identities: int | None = None, seed: int = 0) -> Dataset:
    """A data set for choosing a model, made of train images alone: the test images are never looked at.

    Args:
        data: a data set, of which only ``train`` is used, or its train split. Labels stay as they are.
        identities: how many to hold out; by default the share that is 151 of Market-1501's 751.
        seed: which ones, and which of their images are queries.

    Raises:
        DataError: too few identities, or no held-out identity has images from two cameras.
    """
    train = data.train if isinstance(data, Dataset) else data
    name = data.name if isinstance(data, Dataset) else data.name or "images"
    protocol = data.protocol if isinstance(data, Dataset) else "market1501"
    known = len(np.unique(train.identities[train.identities > DISTRACTOR]))
    count = max(1, round(known * VALIDATION_SHARE)) if identities is None else identities
    if not 0 < count < known:
        raise DataError(
            f"{name} has {known} train identities, so {count} cannot be held out for validation: "
            f"hold out from 1 to {known - 1}."
            if known > 1
            else f"{name} has {known} train identities, but validation needs two or more: add identities."
        )
    single = isinstance(data, Dataset) and data.single_camera
    parts = hold_out(train, count, seed=seed, single_camera=single)
    if not len(parts[1]):
        raise DataError(
            f"None of the {count} identities held out of {name} has images from two cameras, so there would be no "
            "queries: "
            "hold out more identities, or choose another seed."
        )
    note = f"Validation: {count} of {known} train identities are held out (seed {seed}); no test image is used."
    notes = (*data.notes, note) if isinstance(data, Dataset) else (note,)
    return Dataset(f"{name}-validation", *parts, protocol, notes)
