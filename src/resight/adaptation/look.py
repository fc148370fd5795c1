"""Can a model learn from these crops at all? What is found before any training, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.clusters import BOUNDS, LARGEST, Facts, Labels, cluster, facts, graph_of
from resight.adaptation.constraints import Constraints
from resight.adaptation.crops import Crops
from resight.errors import DataError, RecipeError

FEWEST = 500  # crops
MOST_NOISE = 0.6  # the share of images that may be in no cluster
MOST_IN_ONE = 0.2  # the share of images that the largest cluster may have
USUAL = 0.6  # the distance of SpCL and Cluster Contrast on Market-1501, MSMT17 and VeRi-776
SMALLEST = 0.05  # distance that may be asked for
UPRIGHT = 1.2  # height over width that half of all crops of people exceed: people stand


@dataclass(frozen=True, eq=False)
class Look:
    """What the crops look like to the model before it is trained.

    Attributes:
        curve: the clusters at each of several distances.
        distance: the one that is used; ``labels``: (N,) its clusters; ``facts``: the same in numbers.
        notes: what a reader should know, one sentence each.
    """

    curve: tuple[Facts, ...]
    distance: float
    labels: Labels
    facts: Facts
    notes: tuple[str, ...]

    def numbers(self) -> dict[str, Any]:
        """The look without its labels, ready for JSON."""
        curve = [one.numbers() for one in self.curve]
        return {"distance": self.distance, "curve": curve, "notes": list(self.notes), **self.facts.numbers()}


def refuse_few(crops: Crops) -> None:
    """Refuse too few crops.

    Raises:
        DataError: fewer than ``FEWEST``.
    """
    if len(crops) < FEWEST:
        raise DataError(
            f"There are {len(crops):,} crops, but to learn without labels takes {FEWEST} or more: add crops, or name "
            "the people on them and fine-tune with --labelled."
        )


def refuse_wide(shapes: NDArray[np.int64], of_people: bool) -> None:
    """Refuse pictures that cannot be crops of people.

    Args:
        shapes: (N, 2) height and width of some of them, in pixels.
        of_people: whether the model takes upright crops.

    Raises:
        DataError: half of them are not even ``UPRIGHT`` times as high as wide.
    """
    ratio = float(np.median(shapes[:, 0] / shapes[:, 1]))
    if of_people and ratio < UPRIGHT:
        raise DataError(
            f"These pictures are {ratio:.2f} times as high as wide (median), and crops of people about twice: cut the "
            "people out first, for example with resight watch, or pass a model for what they show."
        )


def first_of_copies(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The first image of each group with the very same embedding, ascending."""
    rows = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.dtype.itemsize * vectors.shape[1])))
    return np.sort(np.unique(rows.ravel(), return_index=True)[1])


def look(vectors: NDArray[np.float32], crops: Crops, known: Constraints, distance: float | None = None) -> Look:
    """Cluster the crops as they are, at several distances, and choose one.

    Args:
        vectors: (N, D) by the model as it is.
        crops: N of them; known: what time and place say of them.
        distance: up to which images are neighbours; by default 0.6, or less where the largest cluster is too large.

    Raises:
        DataError: nothing can be learnt from them: nearly all noise, one large cluster, or no cluster at all.
        RecipeError: a distance at which no pairs are known.
    """
    if distance is not None and not SMALLEST <= distance <= LARGEST:
        raise RecipeError(f"distance is {distance}: pass one from {SMALLEST} to {LARGEST}, or None to have it chosen.")
    graph = graph_of(vectors, known)
    wanted = sorted({*BOUNDS, distance} if distance is not None else BOUNDS)
    found = {bound: cluster(graph, bound, known, vectors) for bound in wanted}
    curve = tuple(facts(labels, crops.cameras, bound, split) for bound, (labels, split) in found.items())
    chosen = _chosen(curve, distance)
    labels, _ = found[chosen.distance]
    return Look(curve, chosen.distance, labels, chosen, tuple(_notes(crops, chosen)))


def _chosen(curve: Sequence[Facts], distance: float | None) -> Facts:
    """The clusters to begin with."""
    if min(1 - one.clustered for one in curve) > MOST_NOISE:
        best = max(curve, key=lambda one: one.clustered)
        raise DataError(
            f"At no distance up to {best.distance:g} more than {best.clustered:.0%} of the crops form clusters: the "
            "model cannot tell who is who here, or most people have fewer than four images; add images of the same "
            "people, start from a model nearer to these cameras, or label a few people and use --labelled."
        )
    if distance is not None:
        chosen = next(one for one in curve if one.distance == distance)
        reason = _unfit(chosen)
        if reason:
            raise DataError(f"At distance {distance:g} {reason}: choose another --distance, see the curve.")
        return chosen
    for one in sorted(curve, key=lambda one: -one.distance):
        if one.distance <= USUAL and not _unfit(one):
            return one
    biggest = min(curve, key=lambda one: one.distance)
    raise DataError(
        f"No distance gives clusters to learn from (at {USUAL:g} "
        f"{_unfit(next(one for one in curve if one.distance == USUAL))}, at {biggest.distance:g} {_unfit(biggest)}): "
        "are these crops of single people? Copies of a picture, empty crops and whole frames must be taken out."
    )


def _unfit(one: Facts) -> str:
    """Why nothing can be learnt from these clusters, "" where something can."""
    if one.largest > MOST_IN_ONE:
        return f"one cluster holds {one.largest:.0%} of the crops"
    if 1 - one.clustered > MOST_NOISE:
        return f"{1 - one.clustered:.0%} of the crops are in no cluster"
    return "there are fewer than two clusters" if one.clusters < 2 else ""


def again(vectors: NDArray[np.float32], known: Constraints, distance: float) -> tuple[Labels, Facts]:
    """Clusters of a later epoch, (N,) and in numbers: at the same distance, or less where the largest is too large.

    Where every distance fails, they are those at the smallest one.
    """
    graph = graph_of(vectors, known)
    for bound in sorted({distance, *(one for one in BOUNDS if one < distance)}, reverse=True):
        labels, split = cluster(graph, bound, known, vectors)
        found = facts(labels, known.crops.cameras, bound, split)
        if found.largest <= MOST_IN_ONE:
            break
    return labels, found


def _notes(crops: Crops, chosen: Facts) -> list[str]:
    if not len(crops.camera_names):
        return ["Cameras are unknown: whether clusters span cameras cannot be said, and images are drawn from any."]
    if len(crops.camera_names) == 1:
        return [
            "There is one camera: the model learns to tell its people apart in its light, but nothing about how they "
            "look in another camera."
        ]
    if chosen.spanning is not None and chosen.spanning < 0.1:
        return [
            f"Only {chosen.spanning:.0%} of the clusters have images of two cameras: the model does not recognise "
            "people across them yet, or few people pass both."
        ]
    return []
