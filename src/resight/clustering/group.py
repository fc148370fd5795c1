"""Who appears in these pictures: unlabelled embeddings put into groups, one per identity.

Average linkage on the sparse graph of near pairs. The pairs within the threshold, nearest first, ask for their two
groups to become one; they do if the groups are near as a whole. That keeps single wrong pairs from chaining strangers
together, which connected components do not.

Shape letters: ``N`` images, ``E`` pairs within the threshold, ``C`` groups.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import DataError, ResightError
from resight.files import atomic_path, read_bytes, split_archive
from resight.records import DISTRACTOR, Embeddings
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.within import returned_sets


def group(
    embeddings: Embeddings, threshold: float, metric: str = "cosine", *, memory: int = MEMORY
) -> NDArray[np.int64]:
    """The group of each image, (N,) int64 from 0 on, numbered by their first image.

    Two groups A and B become one if their average distance is at most ``threshold``: for cosine the mean of 1 - cos
    over all pairs (a, b), for Euclidean distance the root of the mean of |a - b|^2 (both from sums of vectors, without
    looking at the pairs). Pairs are taken nearest first, equal ones in the order of their images, so the result does
    not depend on anything but the images and their order.

    Args:
        embeddings: N images, of people who may be the same.
        threshold: a distance of ``metric`` up to which two images count as the same, from a calibration; 0 or more.
        metric: "euclidean" or "cosine".
        memory: bytes for a block of distances; O(E) comes on top.

    Raises:
        DataError: no images, a threshold that is negative or not finite, or vectors that the metric refuses.
    """
    if not len(embeddings):
        raise DataError("There are no images to group: pass some embeddings.")
    near = returned_sets(embeddings, embeddings, threshold, metric, memory=memory)
    left = np.repeat(np.arange(len(embeddings)), np.diff(near.offsets))
    once = left < near.indices  # each pair twice, each image with itself: keep one of two
    left, right, distances = left[once], near.indices[once], near.distances[once]
    order = np.argsort(distances, kind="stable")
    return _number(_merge(embeddings.vectors, left[order], right[order], threshold, metric))


def write_groups(path: str | os.PathLike[str], images: Sequence[str], groups: NDArray[np.int64]) -> None:
    """Write a CSV file, ``image,group``, in the order of the images, whole or not at all.

    Raises:
        DataError: not as many groups as images.
        ResightError: the file cannot be written.
    """
    _check_one_each(images, groups)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "group"))
        writer.writerows(zip(images, groups.tolist(), strict=True))


def check_folders(folder: str | os.PathLike[str], source: str | os.PathLike[str], copy: bool) -> None:
    """Whether :func:`write_folders` could write there at all, to be asked before anything is computed.

    Args:
        folder: where the groups shall stand; source: the folder or zip archive of the images; copy: as there.

    Raises:
        DataError: something stands there already, or links are wanted to images inside a zip archive.
    """
    if os.path.lexists(folder):
        raise DataError(f"{folder} exists already and is never written over: choose a new folder.")
    name = os.fspath(source)
    if not copy and (split_archive(name)[1] or name.lower().endswith(".zip")):
        raise DataError(f"{name} is a zip archive, whose images cannot be linked to: copy them (--copy) or unpack it.")


def write_folders(
    folder: str | os.PathLike[str], images: Sequence[str], groups: NDArray[np.int64], *, copy: bool = False
) -> Path:
    """One folder per group with its images, whole or not at all.

    A folder has the number of its group, with zeros before it so that they sort. Images keep their names; where two of
    one group share a name, the later ones get ``_2``, ``_3`` and so on before the ending.

    Args:
        folder: a new folder.
        images: N paths of images; groups: (N,) the group of each.
        copy: copy the images; otherwise symbolic links lead to where they are, and break if those are moved.

    Raises:
        DataError: not as many groups as images, an image that cannot be read, or as for :func:`check_folders`.
        ResightError: the folder cannot be written.
    """
    _check_one_each(images, groups)
    inside = [path for path in images if split_archive(path)[1]]
    check_folders(folder, inside[0] if inside else "", copy)
    target, digits = Path(folder), len(str(max(groups.tolist(), default=0)))
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        taken: set[tuple[int, str]] = set()
        for path, number in zip(images, groups.tolist(), strict=True):
            place = temporary / f"{number:0{digits}d}"
            place.mkdir(exist_ok=True)
            name = PurePath(path)
            free, again = name.name, 1
            while (number, free.casefold()) in taken:
                again += 1
                free = f"{name.stem}_{again}{name.suffix}"
            taken.add((number, free.casefold()))
            if copy:
                (place / free).write_bytes(read_bytes(path))
            else:
                (place / free).symlink_to(Path(path).absolute())
        temporary.rename(target)
    except OSError as error:
        raise ResightError(
            f"{target} cannot be written ({error.strerror or error}): free some space or choose another place."
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _check_one_each(images: Sequence[str], groups: NDArray[np.int64]) -> None:
    if len(images) != len(groups):
        raise DataError(f"There are {len(groups):,} groups for {len(images):,} images: pass one for each.")


@dataclass(frozen=True)
class Grouping:
    """How right groups are, where the identities are known.

    Attributes:
        precision: of all pairs of images in one group, the share that are of one identity.
        recall: of all pairs of images of one identity, the share that are in one group.
        f1: their harmonic mean.
        adjusted_rand: the adjusted Rand index (Hubert and Arabie 1985): 1 is perfect, 0 what chance gives.
        images, identities, groups: how many there are.
    """

    precision: float
    recall: float
    f1: float
    adjusted_rand: float
    images: int
    identities: int
    groups: int

    def numbers(self) -> dict[str, Any]:
        """The measures ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.images:,} images of {self.identities:,} identities in {self.groups:,} groups: pairwise precision "
            f"{self.precision:.2%}, recall {self.recall:.2%}, F1 {self.f1:.2%}, adjusted Rand index "
            f"{self.adjusted_rand:.2%}"
        )


def measure_groups(groups: ArrayLike, identities: ArrayLike) -> Grouping:
    """Compare groups with identities; junk and distractors (identity 0 and below) do not count.

    Args:
        groups: (N,) integers; identities: (N,) integers.

    Raises:
        DataError: shapes that differ, or nobody known.
    """
    found, who = np.asarray(groups), np.asarray(identities)
    if found.ndim != 1 or found.shape != who.shape:
        raise DataError(
            f"Groups of shape {found.shape} do not go with identities of shape {who.shape}: pass (N,) both."
        )
    found, who = found[who > DISTRACTOR], who[who > DISTRACTOR]
    if not len(who):
        raise DataError("No image has a known identity, so the groups cannot be measured: pass identities above 0.")
    _, rows = np.unique(found, return_inverse=True)
    _, columns = np.unique(who, return_inverse=True)
    both = np.unique(rows.astype(np.int64) * (columns.max() + 1) + columns, return_counts=True)[1]
    together, same, right = (_pairs(counts) for counts in (np.bincount(rows), np.bincount(columns), both))
    everything = _pairs(np.array([len(who)]))
    expected = together * same / everything if everything else 0.0
    most = (together + same) / 2
    return Grouping(
        precision=right / together if together else 1.0,
        recall=right / same if same else 1.0,
        f1=2 * right / (together + same) if together + same else 1.0,
        adjusted_rand=(right - expected) / (most - expected) if most != expected else 1.0,
        images=len(who),
        identities=int(columns.max()) + 1,
        groups=int(rows.max()) + 1,
    )


def _pairs(counts: NDArray[np.int64]) -> float:
    return float((counts * (counts - 1) // 2).sum())


def _merge(
    vectors: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64], threshold: float, metric: str
) -> NDArray[np.int64]:
    """The representative of each image's group."""
    sums = vectors.astype(np.float64)
    if metric == "cosine":
        sums /= np.linalg.norm(sums, axis=1, keepdims=True)
    squares = np.einsum("nd,nd->n", sums, sums)  # of euclidean groups: the sum of |a|^2
    sizes = np.ones(len(sums), np.int64)
    parent = np.arange(len(sums))

    def root(image: int) -> int:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = int(parent[image])
        return image

    limit = threshold if metric == "cosine" else threshold**2
    limit += 1e-9 * max(1.0, limit)  # a pair exactly at the threshold counts
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        x, y = root(a), root(b)
        if x == y:
            continue
        product = float(sums[x] @ sums[y]) / (sizes[x] * sizes[y])
        apart = 1 - product if metric == "cosine" else squares[x] / sizes[x] + squares[y] / sizes[y] - 2 * product
        if apart <= limit:
            if sizes[x] < sizes[y]:
                x, y = y, x
            parent[y] = x
            sums[x] += sums[y]
            squares[x] += squares[y]
            sizes[x] += sizes[y]
    return np.array([root(image) for image in range(len(sums))], np.int64)


def _number(representatives: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups numbered from 0 in the order of their first image."""
    _, first, inverse = np.unique(representatives, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[inverse]
