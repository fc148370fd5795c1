"""Which images make which batch: a whole epoch as one array, the same for every process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, RecipeError
from resight.images.clips import groups_of, random_frames
from resight.training.examples import UNLABELLED
from resight.training.parts import Sampler

Batches = NDArray[np.int64]


def epoch_batches(
    labels: NDArray[np.int64],
    how: Sampler,
    seed: int,
    epoch: int,
    triplets: NDArray[np.int64] | None = None,
    sources: NDArray[np.int64] | None = None,
    cameras: NDArray[np.int64] | None = None,
    tracks: NDArray[np.int64] | None = None,
) -> Batches:
    """(steps, batch size) indices of one epoch; they depend on nothing but the arguments.

    ``identities`` (PxK; Luo et al. 2019): each identity's images are shuffled and cut into groups of K, an identity
    with fewer than K images drawing with replacement and a remainder of fewer than K left out of this epoch; every
    batch then takes one group each of P identities, drawn without replacement, until fewer than P have groups left.
    The K images of an identity stand next to each other; K images without a label (-1) take the place of an identity.
    ``random``: all images shuffled, the remainder left out. ``triplets``: the rows of ``triplets`` (T, 3) shuffled,
    the three images of each next to each other. ``cameras``: see :func:`_over_cameras`. ``tracklets``: as
    ``identities``, of the tracklets in ``tracks`` (N,) in place of images; of each come ``frames`` images next to each
    other, by restricted random sampling (:func:`resight.images.clips.random_frames`).

    ``how.sources`` says how the images of several ``sources`` (N,) share batches: ``pooled`` ignores where they are
    from; in ``separate`` every batch is of one source, in random order; in ``balanced`` every batch holds equal parts
    of all sources, in their order, and smaller sources are drawn again until the epoch has as many steps as ``pooled``
    would have of all images.

    Raises:
        DataError: fewer identities, images or triplets than one batch needs.
        RecipeError: a batch that cannot be divided among the sources.
    """
    rng = np.random.default_rng((seed, epoch))
    B = how.batch_size
    if how.kind == "triplets":
        if triplets is None or len(triplets) < B // 3:
            raise DataError(
                f"a batch needs {B // 3} triplets but the data gives {0 if triplets is None else len(triplets)}: "
                "use another sampler.kind, or data with triplets, such as the course's."
            )
        return rng.permutation(triplets)[: len(triplets) // (B // 3) * (B // 3)].reshape(-1, B)
    if how.kind == "cameras":
        return _over_cameras(labels, np.zeros_like(labels) if cameras is None else cameras, how, rng)
    if how.kind == "tracklets":
        return _of_tracklets(labels, how, seed, epoch, sources, tracks)
    several = [] if sources is None else [np.flatnonzero(sources == source) for source in np.unique(sources)]
    if how.sources == "pooled" or len(several) < 2:
        return _batches(labels, how, B, rng)
    if how.sources == "separate":
        return rng.permutation(np.concatenate([images[_batches(labels[images], how, B, rng)] for images in several]))
    part = B // len(several)
    if part * len(several) != B or part % how.unit:
        unit = len(several) * how.unit
        raise RecipeError(
            f"sampler.batch_size {B} cannot be divided among {len(several)} sources: use a multiple of {unit}."
        )
    steps = max(1, len(labels) // B)
    return np.concatenate([images[_steps(labels[images], how, part, rng, steps)] for images in several], axis=1)


def _of_tracklets(
    labels: NDArray[np.int64],
    how: Sampler,
    seed: int,
    epoch: int,
    sources: NDArray[np.int64] | None,
    tracks: NDArray[np.int64] | None,
) -> Batches:
    """Batches of tracklets, each as ``how.frames`` of its images."""
    if tracks is None:
        raise DataError("the data has no tracklets (no column 'tracks'): use another sampler.kind.")
    groups = groups_of(tracks)
    first = np.array([group[0] for group in groups], np.int64)
    clips = how.model_copy(update={"kind": "identities", "batch_size": how.batch_size // how.frames, "frames": 1})
    batches = epoch_batches(labels[first], clips, seed, epoch, sources=None if sources is None else sources[first])
    rng = np.random.default_rng((seed, epoch, 1))
    frames = [groups[at][random_frames(len(groups[at]), how.frames, rng)] for at in batches.ravel().tolist()]
    return np.concatenate(frames).reshape(len(batches), how.batch_size)


def _steps(labels: NDArray[np.int64], how: Sampler, B: int, rng: np.random.Generator, steps: int) -> Batches:
    """(steps, B): as many epochs of the images as that takes."""
    batches = _batches(labels, how, B, rng)
    while len(batches) < steps:
        batches = np.concatenate([batches, _batches(labels, how, B, rng)])
    return batches[:steps]


def _batches(labels: NDArray[np.int64], how: Sampler, B: int, rng: np.random.Generator) -> Batches:
    """(steps, B) indices into ``labels``, whatever their source."""
    if how.kind == "random" or not len(labels):
        if len(labels) < B:
            raise DataError(f"a batch needs {B} images but there are {len(labels)}: lower sampler.batch_size.")
        return rng.permutation(len(labels))[: len(labels) // B * B].reshape(-1, B)
    K = how.images_per_identity
    P = B // K
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(labels[order]) != 0])
    groups: list[NDArray[np.int64]] = []  # per identity: (groups, K)
    for images in np.split(order, starts[1:]):
        if len(images) < K:
            groups.append(rng.choice(images, (1, K)))
        else:
            drawn = rng.permutation(images)[: len(images) // K * K].reshape(-1, K)
            groups += np.split(drawn, len(drawn)) if labels[images[0]] == UNLABELLED else [drawn]
    if len(groups) < P:
        raise DataError(f"a batch needs {P} identities but there are {len(groups)}: lower sampler.batch_size.")
    left = np.array([len(group) for group in groups])
    batches = []
    while (remaining := np.flatnonzero(left)).size >= P:
        chosen = rng.choice(remaining, P, replace=False)
        left[chosen] -= 1
        batches.append(np.concatenate([groups[i][left[i]] for i in chosen]))
    return np.stack(batches)


def _over_cameras(
    labels: NDArray[np.int64], cameras: NDArray[np.int64], how: Sampler, rng: np.random.Generator
) -> Batches:
    """(steps, B): P identities x K images, as Cluster Contrast draws them (Dai et al. 2022).

    The identities come in random order, again and again, P different ones in a batch. Of each one image is drawn and
    K - 1 others from other cameras; from its own camera if there is no other; with replacement if there are fewer.
    Images without a label (-1) and identities of one image are left out.

    Raises:
        DataError: fewer than P identities of two images or more.
    """
    K = how.images_per_identity
    P = how.batch_size // K
    order = np.flatnonzero(labels != UNLABELLED)
    order = order[np.argsort(labels[order], kind="stable")]
    groups = [one for one in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(one) > 1]
    if len(groups) < P:
        raise DataError(
            f"a batch needs {P} identities of two images or more but there are {len(groups)}: lower sampler.batch_size."
        )
    steps = how.steps or max(1, sum(map(len, groups)) // how.batch_size)
    whole = len(groups) // P * P
    wanted = np.concatenate([rng.permutation(len(groups))[:whole] for _ in range(-(-steps * P // whole))])
    batches = np.empty((steps * P, K), np.int64)
    for row, group in enumerate(wanted[: steps * P].tolist()):
        images = groups[group]
        first = rng.integers(len(images))
        others = images[cameras[images] != cameras[images[first]]]
        if not len(others):
            others = np.delete(images, first)
        batches[row, 0] = images[first]
        batches[row, 1:] = rng.choice(others, K - 1, replace=len(others) < K - 1)
    return batches.reshape(steps, P * K)


def share(batches: Batches, how: Sampler, process: int, processes: int) -> slice:
    """The columns of every batch that belong to one process: whole identities, equal parts.

    Raises:
        RecipeError: the batch cannot be divided evenly.
    """
    B = batches.shape[1]
    unit = how.unit
    if B % (processes * unit):
        raise RecipeError(
            f"sampler.batch_size {B} cannot be divided among {processes} processes"
            + (f" in whole {how.kind} of {unit} images" if unit > 1 else "")
            + f": use a multiple of {processes * unit}."
        )
    part = B // processes
    return slice(process * part, (process + 1) * part)
