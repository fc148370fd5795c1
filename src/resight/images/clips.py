"""Clips: which T frames of a tracklet a network sees.

Shape letters: ``T`` frames of a clip, ``L`` frames of a tracklet, ``M`` clips.

A tracklet shorter than T shows its last frame again, as published code does. Samplings of a tracklet of L frames:

- ``first``: the first frame of each of T equal chunks, at floor(i L / T) for i = 0..T-1.
- ``evenly``: cut to a multiple of T, then every (L // T)-th frame (torchreid).
- ``dense``: all clips of T frames, one after the other; the tracklet is the mean of its clips.

In training: restricted random sampling, one random frame of each of T equal chunks (Li et al., "Diversity Regularized
Spatiotemporal Attention for Video-based Person Re-identification", CVPR 2018).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from resight.errors import RecipeError

Sampling = Literal["evenly", "first", "dense"]
SAMPLINGS: tuple[str, ...] = get_args(Sampling)


def random_frames(length: int, frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(T,) one random frame of each of T equal chunks of ``length`` frames, ascending."""
    starts = np.arange(frames + 1) * length // frames
    sizes = np.maximum(np.diff(starts), 1)
    return np.minimum(starts[:-1] + (rng.random(frames) * sizes).astype(np.int64), length - 1)


def clips_of(length: int, frames: int, sampling: Sampling = "evenly") -> NDArray[np.int64]:
    """(M, T) the clips of a tracklet of ``length`` frames for testing; M is 1 unless they are ``dense``.

    Raises:
        RecipeError: fewer than one frame, or no such sampling.
    """
    if sampling not in SAMPLINGS:
        raise RecipeError(f"There is no sampling {sampling!r}: choose one of {', '.join(SAMPLINGS)}.")
    if frames < 1 or length < 1:
        raise RecipeError(f"A clip of {frames} frames of {length} cannot be taken: both must be 1 or more.")
    if sampling == "dense":
        count = -(-length // frames)
        return np.minimum(np.arange(count * frames), length - 1).reshape(count, frames)
    if length < frames:
        return np.minimum(np.arange(frames), length - 1)[None]
    if sampling == "first":
        return (np.arange(frames) * length // frames)[None]
    return (np.arange(frames) * (length // frames))[None]


def groups_of(tracks: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The images of each tracklet, in their order, where ``tracks`` (N,) says which each is of; ascending."""
    order = np.argsort(tracks, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(tracks[order])) + 1) if len(tracks) else []
