"""Is the adaptation going well? Judged without labels, from one epoch to the next.

The published code measures the labelled test set every ten epochs and keeps the best model of all. Nobody who has no
labels can do so. Here the last epoch is kept by rule, and the run ends early where clusters no longer change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.look import MOST_IN_ONE

FLAT = 3  # epochs in a row in which nothing changes
STEADY = 0.97  # the agreement of two clusterings that differ in nothing but chance
SAME = 0.01  # by how much the share clustered may differ
_SAMPLE = 2000  # images that are compared with others
_SHRUNK = 0.25  # of the spread at the start: all images are near one another
_LOST = 0.4  # of the clusters at the most: they have merged, or fallen to noise


def spread(vectors: NDArray[np.float32], seed: int = 0) -> float:
    """The mean of 1 - cos of pairs of different images drawn at random: near 0 where all look alike to the model."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    one = rng.integers(0, len(unit), _SAMPLE)
    other = (one + rng.integers(1, max(len(unit), 2), _SAMPLE)) % len(unit)
    return float(1 - np.einsum("nd,nd->n", unit[one], unit[other]).mean())


def drift(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """The mean of 1 - cos between the embeddings of the same images by two models."""
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return float(1 - (np.einsum("nd,nd->n", before, after) / lengths).mean())


def collapsed(entry: Mapping[str, Any], start: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """Why the model is worse than before, "" where it is not.

    Args:
        entry: this epoch's ``clusters``, ``largest`` and ``spread``.
        start: the same before training; history: of the epochs before.
    """
    most = max(one["clusters"] for one in (start, *history))
    if entry["largest"] > MOST_IN_ONE:
        return f"one cluster holds {entry['largest']:.0%} of the images"
    if entry["spread"] < _SHRUNK * start["spread"]:
        return f"images are {entry['spread'] / start['spread']:.0%} as far from one another as at the start"
    if entry["clusters"] < _LOST * most:
        return f"{entry['clusters']:,} of {most:,} clusters are left"
    return ""


def settled(history: Sequence[Mapping[str, Any]], lowered: int) -> bool:
    """Whether nothing changes any more, some epochs after the learning rate was lowered (in epoch ``lowered``)."""
    last = history[-FLAT:]
    if len(last) < FLAT or last[0]["epoch"] <= lowered:
        return False
    shares = [one["clustered"] for one in last]
    return all(one["agreement"] >= STEADY for one in last) and max(shares) - min(shares) <= SAME
