"""The course system's folder, made of Market-1501's train images: CSV files, numbered galleries, shuffled queries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.course.dataset import course
from resight.datasets.catalog import Dataset
from resight.datasets.market1501 import market_layout
from resight.datasets.tables import IDLOSS, RETRIEVAL, TRIPLETS
from resight.errors import DataError, RecipeError
from resight.files import atomic_folder, read_bytes, write_csv
from resight.records import DISTRACTOR, Split

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Plan:
    """Indices into Market's train images: what to train on, what to hold back of it, and (query, gallery) pairs.

    The pairs of ``val`` and ``test`` are (G, 2), in the order of the gallery's numbers; ``orders`` are the (G,) pairs
    in the order of the queries.
    """

    train: Indices
    held_back: Indices
    val: Indices
    test: Indices
    orders: tuple[Indices, Indices]


def write_course(
    market_root: str | Path,
    output: str | Path,
    *,
    identities: int = 230,
    gallery: int = 100,
    seed: int = 0,
    triplets: int | None = None,
) -> Dataset:
    """Write the course system's folder, with Market-1501's train images copied byte by byte.

    ::

        train/ train_idloss.csv train_random_triplet.csv   images of the train identities, ids 0, 1, ...
        val_id/ val_idloss.csv                             a tenth of the images of the same identities, held back
        val/   gt.csv   query/ gallery/                    other identities, with the answers
        test/  pred.csv query/ gallery/                    still others, with the column gallery to fill
        test_answers.csv                                   the correct answers

    A gallery has one image of each of its identities, named by number, and one query for each, of another camera
    wherever an identity has two. Queries are named and listed in an order of their own, and names say nothing.
    Letterboxing happens when images are loaded. The course gives the names of the files and the number of
    identities and gallery images; all else is chosen here.

    Args:
        market_root: Market-1501's folder or zip, or data laid out like it; only its train images are used.
        output: a folder that does not exist yet; it appears whole or not at all.
        identities: how many to train on.
        gallery: how many images in each of the two galleries.
        seed: the same seed gives the same folder.
        triplets: how many, all different; by default as many as there are train images.

    Returns:
        What :func:`resight.course.dataset.course` reads from ``output``.

    Raises:
        DataError: ``output`` exists, or there are too few identities with two images.
        RecipeError: a number out of its range.
        ResightError: ``output`` cannot be written.
    """
    target = Path(output).absolute()
    if target.exists() or target.is_symlink():
        raise DataError(f"{output} exists already: choose another folder or delete this one.")
    for name, value, least in (("identities", identities, 2), ("gallery", gallery, 1), ("seed", seed, 0)):
        if value < least:
            raise RecipeError(f"{name} is {value}: it must be at least {least}.")
    people = market_layout(market_root).train
    rng = np.random.default_rng(seed)
    plan = _draw(people, os.fspath(market_root), identities, gallery, rng)
    known = people.take(plan.train)
    chosen = draw_triplets(known.identities, len(known) if triplets is None else triplets, rng)
    with atomic_folder(target) as staging:
        _write(staging, people, plan, chosen)
    return course(target, num_identities=identities)


def _draw(people: Split, name: str, identities: int, gallery: int, rng: np.random.Generator) -> _Plan:
    """Who is for what: first those to train on, then, of the rest, those seen by two cameras before the others."""
    images: dict[int, Indices] = {}
    for who in np.unique(people.identities[people.identities > DISTRACTOR]).tolist():
        own = np.flatnonzero(people.identities == who)
        if len(own) > 1:
            images[who] = own
    if len(images) < identities + 2 * gallery:
        raise DataError(
            f"{name} has {len(images)} train identities with two or more images, but {identities} to train on and "
            f"{gallery} for each of the two galleries make {identities + 2 * gallery}: ask for fewer."
        )
    order = rng.permutation(np.array(sorted(images))).tolist()
    train, rest = sorted(order[:identities]), order[identities:]
    rest.sort(key=lambda who: len(np.unique(people.cameras[images[who]])) == 1)  # stable: the drawn order stays
    kept: list[Indices] = []
    held_back: list[Indices] = []
    for who in train:
        shuffled = rng.permutation(images[who])
        back = max(1, len(shuffled) // 10) if len(shuffled) > 2 else 0  # two are left, for triplets
        held_back.append(np.sort(shuffled[:back]))
        kept.append(np.sort(shuffled[back:]))
    pairs = np.array([_pair(images[who], people.cameras, rng) for who in rest[: 2 * gallery]], dtype=np.int64)
    orders = rng.permutation(gallery), rng.permutation(gallery)
    return _Plan(np.concatenate(kept), np.concatenate(held_back), pairs[:gallery], pairs[gallery:], orders)


def _pair(own: Indices, cameras: Indices, rng: np.random.Generator) -> tuple[int, int]:
    """(query, gallery) among the images ``own`` of one identity, of two cameras where it has two."""
    shown = int(rng.choice(own))
    elsewhere = own[cameras[own] != cameras[shown]]
    return int(rng.choice(elsewhere if len(elsewhere) else own[own != shown])), shown


def draw_triplets(identities: Indices, count: int, rng: np.random.Generator) -> Indices:
    """``count`` different triplets, each possible one with the same probability.

    Args:
        identities: (N,), ascending.
        count: how many.
        rng: the source of random numbers.

    Returns:
        (count, 3) indices of anchor, another image of the same identity, and one of another identity.

    Raises:
        RecipeError: ``count`` is below 1, or there are not so many.
    """
    start = np.searchsorted(identities, identities, "left")
    own = np.searchsorted(identities, identities, "right") - start
    others = len(identities) - own
    ends = np.cumsum((own - 1) * others)  # triplets are numbered by anchor, then positive, then negative
    if not 1 <= count <= ends[-1]:
        raise RecipeError(f"{count} triplets cannot be made: ask for 1 to {ends[-1]:,}.")
    number = rng.choice(int(ends[-1]), count, replace=False)
    anchor = np.searchsorted(ends, number, "right")
    positive, negative = np.divmod(number - (ends[anchor] - (own[anchor] - 1) * others[anchor]), others[anchor])
    positive += start[anchor]
    positive += positive >= anchor
    negative += np.where(negative >= start[anchor], own[anchor], 0)
    return np.stack([anchor, positive, negative], axis=1)


def _write(root: Path, people: Split, plan: _Plan, triplets: Indices) -> None:
    numbers = {who: number for number, who in enumerate(np.unique(people.identities[plan.train]).tolist())}

    def copy(index: int, folder: str, stem: str = "") -> str:
        """Copy an image into ``folder``, under its own name or as ``stem``; its path below ``root``."""
        source = str(people.paths[index])
        name = source.rpartition("/")[2]
        path = f"{folder}/{stem}{Path(name).suffix}" if stem else f"{folder}/{name}"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(read_bytes(source))
        return path

    for part, folder, indices in (("train", "train", plan.train), ("val", "val_id", plan.held_back)):
        paths = [copy(index, folder) for index in indices.tolist()]
        ids = [numbers[who] for who in people.identities[indices].tolist()]
        write_csv(root / f"{part}_idloss.csv", IDLOSS, zip(paths, ids, strict=True))
        if part == "train":
            write_csv(root / "train_random_triplet.csv", TRIPLETS, ([paths[at] for at in t] for t in triplets))
    for part, pairs, order in (("val", plan.val, plan.orders[0]), ("test", plan.test, plan.orders[1])):
        shown = [copy(index, f"{part}/gallery", str(at)) for at, index in enumerate(pairs[:, 1].tolist())]
        asked = [copy(index, f"{part}/query", str(at)) for at, index in enumerate(pairs[order, 0].tolist())]
        answers = [shown[at] for at in order]
        below = len(part) + 1
        if part == "val":
            rows = [(query[below:], image[below:]) for query, image in zip(asked, answers, strict=True)]
            write_csv(root / "val" / "gt.csv", RETRIEVAL, rows)
        else:
            write_csv(root / "test" / "pred.csv", RETRIEVAL, [(query[below:], "") for query in asked])
            write_csv(root / "test_answers.csv", RETRIEVAL, zip(asked, answers, strict=True))
