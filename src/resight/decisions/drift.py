"""Are new images like those a decision was calibrated on? Three numbers per image, compared as distributions.

- ``norm``: the length of the embedding, which falls for blurred, dark or empty crops with many models;
- ``mean``: the mean of its coordinates;
- ``neighbour``: the distance to the 8th nearest of 63 other images drawn at random. It says how crowded the embeddings
  are, and so how near strangers come, which is what false matches are made of. The 8th rather than the nearest, so that
  a few images of the same identity in the draw make no difference; 63 others, so that the size of the set makes none.

Each is compared with the calibration's by the two-sample Kolmogorov-Smirnov test, at 1% over them together
(Bonferroni). Images of one identity are alike, so the calibration counts with its identities rather than its images;
new images count with their identities where those are known. With many images any difference is significant, therefore
a shift counts only if the two distribution functions are also at least 0.15 apart somewhere.

Shape letters: ``N`` images, ``D`` embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy  # which imports its parts when they are first used
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.ranking.distance import pairwise

STATISTICS = ("norm", "mean", "neighbour")
GROUP, NEIGHBOUR = 64, 8
QUANTILES = 51
LEVEL = 0.01
APART = 0.15
_SAME = 1e-4  # differences below this share of the typical value are rounding

Side = Literal["left", "right"]
_SIDES: tuple[Side, ...] = ("left", "right")


@dataclass(frozen=True)
class Reference:
    """The calibration images in numbers: ``quantiles[s]`` are 51 quantiles, from 0 to 100%, of statistic s.

    Attributes:
        images, identities: how many.
        dim: D.
        quantiles: one tuple for each of :data:`STATISTICS`; an empty one is not compared.
    """

    images: int
    identities: int
    dim: int
    quantiles: tuple[tuple[float, ...], ...]

    def for_another_network(self) -> Reference:
        """The same for a network trained alike, whose embeddings need not be as long nor their mean the same."""
        kept = zip(STATISTICS, self.quantiles, strict=True)
        return replace(self, quantiles=tuple(one if name == "neighbour" else () for name, one in kept))


@dataclass(frozen=True)
class Shift:
    """One statistic of new images against the calibration's.

    Attributes:
        statistic: one of :data:`STATISTICS`.
        distance: the largest difference of the two distribution functions, in [0, 1].
        p: the probability of at least that much if both were alike.
        before, now: the two medians.
        shifted: whether the difference is both significant and large.
    """

    statistic: str
    distance: float
    p: float
    before: float
    now: float
    shifted: bool


@dataclass(frozen=True)
class Drift:
    """How unlike new images are.

    Attributes:
        images: how many were compared.
        shifts: one for each statistic that is compared.
    """

    images: int
    shifts: tuple[Shift, ...]

    @property
    def unlike(self) -> bool:
        """Whether any of the statistics has shifted, so that the decision's promises no longer hold."""
        return any(one.shifted for one in self.shifts)

    def __str__(self) -> str:
        found = [one for one in self.shifts if one.shifted]
        if not found:
            return f"The {self.images:,} images look like those of the calibration."
        each = ", ".join(f"{one.statistic} {one.before:.3g} then, {one.now:.3g} now" for one in found)
        return (
            f"The {self.images:,} images are unlike those of the calibration ({each}; medians): calibrate again on "
            "labelled images of this kind before you rely on its rates."
        )


def reference(images: Embeddings, metric: str) -> Reference:
    """What is kept of the calibration images; junk is left out.

    Raises:
        DataError: fewer than 64 images.
    """
    kept = _without_junk(images)
    values = _statistics(kept, metric)
    levels = np.linspace(0, 1, QUANTILES)
    quantiles = tuple(tuple(float(f"{q:.6g}") for q in np.quantile(one, levels)) for one in values)
    return Reference(len(kept), _different(images), kept.shape[1], quantiles)


def drift(reference: Reference, images: Embeddings, metric: str) -> Drift:
    """New images compared with the calibration's.

    Raises:
        DataError: fewer than 64 images, or embeddings of another dimension.
    """
    return drifts([reference], images, metric)[0]


def drifts(references: Sequence[Reference], images: Embeddings, metric: str) -> list[Drift]:
    """New images compared with those of each calibration as by :func:`drift`; their statistics are computed once.

    Raises:
        DataError: fewer than 64 images, or embeddings of another dimension.
    """
    for one in references:
        if images.vectors.shape[1] != one.dim:
            raise DataError(
                f"The images have embeddings of {images.vectors.shape[1]} dimensions and the calibration's have "
                f"{one.dim}: embed them with the same model."
            )
    kept = _without_junk(images)
    new = min(len(kept), _different(images) or len(kept))
    statistics = _statistics(kept, metric)
    return [_compared(one, statistics, new) for one in references]


def _compared(reference: Reference, statistics: tuple[NDArray[np.float64], ...], new: int) -> Drift:
    """The statistics (N,) of N images, ``new`` of which count, against the calibration's."""
    effective = new * reference.identities / (new + reference.identities)
    every = zip(STATISTICS, reference.quantiles, statistics, strict=True)
    compared = [one for one in every if one[1]]
    shifts = []
    for name, quantiles, values in compared:
        apart = kolmogorov_distance(np.array(quantiles), values)
        p = min(1.0, len(compared) * float(scipy.special.kolmogorov(np.sqrt(effective) * apart)))
        middle = quantiles[QUANTILES // 2]
        shifts.append(Shift(name, apart, p, middle, float(np.median(values)), p < LEVEL and apart >= APART))
    return Drift(len(statistics[0]), tuple(shifts))


def kolmogorov_distance(quantiles: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """sup |F - F_0| of the values' distribution F and the F_0 that runs straight from quantile to quantile.

    Args:
        quantiles: (M,) ascending, from 0 to 100% in equal steps; equal ones are a jump.
        values: (N,), those within 1e-4 (relative) of each other count as equal.
    """
    grain = _SAME * max(float(np.abs(quantiles).max()), 1e-30)
    before, now = np.round(quantiles / grain), np.sort(np.round(values / grain))
    at = np.union1d(before, now)
    differences = []
    for side in _SIDES:
        share = np.searchsorted(now, at, side) / len(now)
        differences.append(np.abs(share - _straight(before, at, side)).max())
    return float(max(differences))


def _straight(quantiles: NDArray[np.float64], at: NDArray[np.float64], side: Side) -> NDArray[np.float64]:
    """The distribution function through quantiles, below (``left``) or up to (``right``) each point."""
    above = np.searchsorted(quantiles, at, side)
    inner = np.clip(above, 1, len(quantiles) - 1)
    low, high = quantiles[inner - 1], quantiles[inner]
    between = np.divide(at - low, high - low, out=np.zeros_like(at), where=high > low)
    share = (inner - 1 + between) / (len(quantiles) - 1)
    result: NDArray[np.float64] = np.where(above == 0, 0.0, np.where(above == len(quantiles), 1.0, share))
    return result


def _without_junk(images: Embeddings) -> NDArray[np.float32]:
    vectors = images.vectors if images.identities is None else images.vectors[images.identities != JUNK]
    if len(vectors) < GROUP:
        raise DataError(f"A comparison needs at least {GROUP} images but there are {len(vectors):,}: give more.")
    return vectors


def _different(images: Embeddings) -> int:
    """How many identities there are, each distractor being one; 0 where they are unknown."""
    if images.identities is None or not (images.identities > DISTRACTOR).any():
        return 0
    known = np.unique(images.identities[images.identities > DISTRACTOR])
    return len(known) + int((images.identities == DISTRACTOR).sum())


def _statistics(vectors: NDArray[np.float32], metric: str) -> tuple[NDArray[np.float64], ...]:
    """Three times (N,): see the module."""
    wide = vectors.astype(np.float64)
    crowded = np.empty(len(vectors))
    order = np.random.default_rng(0).permutation(len(vectors))
    for start in range(0, len(vectors), GROUP):
        which = order[start : start + GROUP] if start + GROUP <= len(vectors) else order[-GROUP:]
        apart = pairwise(vectors[which], vectors[which], metric)
        np.fill_diagonal(apart, np.inf)
        crowded[which] = np.partition(apart, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1]
    return np.linalg.norm(wide, axis=1), wide.mean(axis=1), crowded
