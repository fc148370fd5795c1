"""Tracklets in a file: the frames' vectors, which come in parts, added up for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.embedding.tracklets import Clips, tracks_of
from resight.errors import DataError, RecipeError
from resight.models.card import Card
from resight.records import Split


def frames_to_embed(images: object, clips: Clips, card: Card) -> Split:
    """The frames of a split that are embedded, with tracks that tell the tracklets of all its parts apart.

    Raises:
        DataError: no split, or one without tracklets.
        RecipeError: what a file of tracklets cannot be made with: dense clips, or pooling by quality.
    """
    if clips.sampling == "dense" and clips.frames:
        raise RecipeError("Dense clips embed all frames: leave out the number of frames and the sampling.")
    if clips.pooling_with(card) == "quality":
        raise RecipeError("Files of tracklets are pooled by mean or attention: choose one of these.")
    if not isinstance(images, Split):
        raise DataError(
            f"{images} is no data set of tracklets: pass one, such as <identity>/<camera>/<tracklet>/*.jpg."
        )
    tracks = tracks_of(images)
    if "split" in images.columns:
        parts = np.unique(images.columns["split"], return_inverse=True)[1].reshape(-1)
        tracks = np.unique(np.stack([parts, tracks], 1), axis=0, return_inverse=True)[1].reshape(-1) + 1
        images = replace(images, columns={**images.columns, "tracks": tracks})
    return images.take(np.unique(clips.chosen(tracks)[0]))


def pooled(
    columns: Mapping[str, NDArray[Any]], parts: Iterable[NDArray[np.float32]], *, by_length: bool
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]]:
    """The columns and the vectors (M, D), of length one, of M tracklets, in ascending order of ``tracks``.

    A part is held at a time, and a vector for each tracklet. Columns keep the value of a tracklet's first frame, paths
    among them; ``frame_count`` says how many of its frames there are.

    Args:
        columns: of N frames, with ``tracks``.
        parts: their vectors, in order.
        by_length: a frame counts as much as its vector is long; else all count alike.

    Raises:
        DataError: a vector without a direction, or a tracklet whose frames cancel out.
    """
    tracks, first, owner, counts = np.unique(
        columns["tracks"], return_index=True, return_inverse=True, return_counts=True
    )
    total, at = np.zeros((0, 0)), 0
    for some in parts:
        vectors = some.astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not lengths.all():
            raise DataError(f"Frame {at + int(np.argmin(lengths))} has a vector of length zero: leave the frame out.")
        if not len(total):
            total = np.zeros((len(tracks), vectors.shape[1]))
        np.add.at(total, owner[at : at + len(some)], vectors if by_length else vectors / lengths)
        at += len(some)
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    if not lengths.all():
        raise DataError(f"The frames of tracklet {tracks[int(np.argmin(lengths))]} cancel out: leave it out.")
    kept = {name: column[first] for name, column in columns.items()}
    return kept | {"tracks": tracks, "frame_count": counts}, (total / lengths).astype(np.float32)
