"""One embedding for each tracklet of a split: which frames are embedded, and how they become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from resight.embedding.compute import Progress
from resight.embedding.embedder import Embedder
from resight.embedding.tracks import pool_tracks
from resight.errors import DataError, RecipeError
from resight.images.clips import SAMPLINGS, Sampling, clips_of, groups_of
from resight.models.card import Card
from resight.records import Embeddings, Split

Pooling = Literal["auto", "mean", "quality", "attention"]
POOLINGS: tuple[str, ...] = get_args(Pooling)
ATTENTIVE = "frame_attention"  # the architecture whose embeddings are as long as their frames are important


@dataclass(frozen=True)
class Clips:
    """How a tracklet becomes one embedding.

    Attributes:
        frames: how many of its frames are embedded; 0 for all.
        sampling: which, see :mod:`resight.images.clips`.
        pooling: ``mean`` of directions; by ``quality``, sharpness times size; by ``attention``, which a network
            ``frame_attention`` learnt; ``auto``: by attention with such a network, else the mean.

    Raises:
        RecipeError: no such sampling or pooling, or a negative number of frames.
    """

    frames: int = 0
    sampling: Sampling = "evenly"
    pooling: Pooling = "auto"

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise RecipeError(f"A clip of {self.frames} frames cannot be taken: pass 1 or more, or 0 for all frames.")
        for name, value, known in (("sampling", self.sampling, SAMPLINGS), ("pooling", self.pooling, POOLINGS)):
            if value not in known:
                raise RecipeError(f"There is no {name} {value!r}: choose one of {', '.join(known)}.")

    def pooling_with(self, card: Card) -> Pooling:
        """What ``auto`` means with a model.

        Raises:
            RecipeError: attention, which the model has none of.
        """
        if self.pooling == "attention" and card.architecture != ATTENTIVE:
            raise RecipeError(
                f"{card.architecture} has learnt no attention over frames: choose mean or quality, or train the "
                f"architecture {ATTENTIVE}."
            )
        if self.pooling == "auto":
            return "attention" if card.architecture == ATTENTIVE else "mean"
        return self.pooling

    def chosen(self, tracks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of N images in ``tracks`` (N,) which are embedded, and of which clip each is; an image may come twice."""
        which, clip, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for images in groups_of(tracks):
            found = (
                np.arange(len(images))[None] if not self.frames else clips_of(len(images), self.frames, self.sampling)
            )
            which.append(images[found.ravel()])
            clip.append(np.repeat(np.arange(count, count + len(found)), found.shape[1]))
            count += len(found)
        return np.concatenate(which), np.concatenate(clip)


ALL_FRAMES = Clips()


def embed_tracklets(
    embedder: Embedder, split: Split, clips: Clips = ALL_FRAMES, *, progress: Progress | None = None
) -> Embeddings:
    """One embedding of length one for each tracklet, in ascending order of the column ``tracks``.

    Raises:
        DataError: no column ``tracks``, an image that cannot be read, or a tracklet of two identities.
        RecipeError: attention, which the model has none of.
    """
    pooling = clips.pooling_with(embedder.model.card)
    which, clip = clips.chosen(tracks_of(split))
    needed, place = np.unique(which, return_inverse=True)
    frames = embedder(split.take(needed), quality=pooling == "quality", progress=progress)
    return pool_clips(frames.take(place), clip, pooling)


def tracks_of(split: Split) -> NDArray[np.int64]:
    """The column ``tracks`` of a split.

    Raises:
        DataError: there is none.
    """
    if "tracks" not in split.columns:
        raise DataError(f"{split.name} has no column 'tracks', so it has no tracklets: load a data set of tracklets.")
    tracks: NDArray[np.int64] = split.columns["tracks"]
    return tracks


def pool_clips(frames: Embeddings, clip: NDArray[np.int64], pooling: Pooling) -> Embeddings:
    """The tracklets of embedded frames, each the mean of its clips, and each of these pooled.

    Args:
        frames: N embeddings with the column ``tracks``, and ``quality`` where they are pooled by it.
        clip: (N,) of which clip each is, numbers from 0.
        pooling: ``mean``, ``quality`` or ``attention``.
    """
    weights = None
    if pooling == "quality":
        weights = np.maximum(frames.columns["quality"], 1e-6)  # a picture of one colour counts a little
    elif pooling == "attention":
        weights = np.linalg.norm(frames.vectors.astype(np.float64), axis=1)
    tracks = frames.columns["tracks"]
    if len(np.unique(clip)) == len(np.unique(tracks)):
        return pool_tracks(frames, tracks, weights)
    first = np.unique(clip, return_index=True)[1]
    return pool_tracks(pool_tracks(frames, clip, weights), tracks[first])
