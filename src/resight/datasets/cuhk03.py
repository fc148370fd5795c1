"""CUHK03 (Li et al., CVPR 2014), people in five pairs of cameras, cut out by a detector and by hand.

It is published as one file, ``cuhk03_release/cuhk-03.mat``; :func:`resight.datasets.cuhk03_mat.unpack` writes its
images and test sets where this reader wants them, as other tools do: ``images_detected`` and ``images_labeled`` with
names such as ``1_002_2_07.png`` (pair 1, person 2, camera 2 of the pair, image 7), and ``testsets.txt``. Who is tested
by the new protocol (Zhong et al., CVPR 2017) is in ``cuhk03_new_protocol_config_detected.mat`` and
``cuhk03_new_protocol_config_labeled.mat``.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.layouts import Counts, check_counts, check_fold, read_lines, read_names
from resight.datasets.splitting import validation
from resight.errors import DataError, RecipeError
from resight.files import list_files, read_bytes
from resight.records import Split
from resight.texts import texts

CONFIG = "cuhk03_new_protocol_config_{}.mat"
TEST_SETS = "testsets.txt"
DRAWS = 20
_NAME = re.compile(r"(\d)_(\d{1,3})_([12])_(\d{1,3})\.\w+")
_KIND = "such as 1_002_2_07.png (pair of cameras, person, camera, image)"


@register("cuhk03")
def cuhk03(
    root: str | Path,
    *,
    boxes: str = "detected",
    protocol: str = "new",
    test_set: int = 0,
    repeat: int = 0,
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """CUHK03: 1,467 people, each in the two cameras of one pair.

    ``protocol="new"`` trains on 767 people and tests 700 by Market-1501's rules. ``protocol="classic"`` tests the 100
    people of one of 20 published test sets: all their images of the pair's first camera ask, and one random image of
    each from the second is the gallery. The published numbers average 20 such draws: load with ``repeat=0`` to
    ``repeat=19`` and average the results.

    Args:
        root: the folder or zip archive; the folders of images may lie at any depth below.
        boxes: "detected" (by a detector) or "labeled" (by hand).
        protocol: "new" or "classic".
        test_set: which of the 20 classic test sets, 0 to 19; the others are trained on.
        repeat: which of the 20 classic draws of gallery images, 0 to 19.
        strict: whether the numbers of images and identities must be CUHK03's own.
        fold: ``"test"`` for the published splits; ``"validation"`` to choose a model with train images alone
            (see :func:`resight.datasets.splitting.validation`).
        seed, held_out: which and how many identities ``fold="validation"`` holds out.

    Returns:
        A data set in which person 2 of pair 1 is identity 1002, and the cameras of pair 1 are 1 and 2, of pair 2
        are 3 and 4, and so on.

    Raises:
        DataError: not in CUHK03's layout, not unpacked, a missing or unreadable list or config, an image with another
            name, or wrong numbers with ``strict``.
        RecipeError: no such fold, boxes, protocol, test set or repeat.
    """
    check_fold("cuhk03", fold)
    for name, value, known in (("boxes", boxes, ("detected", "labeled")), ("protocol", protocol, ("new", "classic"))):
        if value not in known:
            raise RecipeError(f"cuhk03 has no {name} {value!r}: choose {known[0]!r} or {known[1]!r}.")
    for name, number in (("test_set", test_set), ("repeat", repeat)):
        if number not in range(DRAWS):
            raise RecipeError(f"cuhk03 has no {name} {number!r}: choose 0 to {DRAWS - 1}.")
    where = os.fspath(root)
    there = {path for path, _ in list_files(root)}
    images = _images(where, there, boxes)
    parts = _new(images, there, boxes) if protocol == "new" else _classic(images, there, test_set, repeat)
    train, query, gallery = (images.take(part, f"cuhk03 {boxes}") for part in parts)
    data = Dataset("cuhk03", train, query, gallery, notes=_notes(repeat) if protocol == "classic" else ())
    data = check_counts(data, _official(boxes, protocol), where, "CUHK03", strict=strict)
    return validation(data, held_out, seed) if fold == "validation" else data


def _official(boxes: str, protocol: str) -> Counts:
    if protocol == "classic":
        return {"train": {"identities": (1_367,)}, "gallery": {"identities": (100,)}}
    return {
        "train": {"images": (7_365 if boxes == "detected" else 7_368,), "identities": (767,)},
        "query": {"images": (1_400,), "identities": (700,)},
        "gallery": {"images": (5_332 if boxes == "detected" else 5_328,), "identities": (700,)},
    }


def _notes(repeat: int) -> tuple[str, ...]:
    return (f"The gallery is draw {repeat} of {DRAWS}, one image of each person: the protocol averages all of them.",)


def _images(where: str, there: Collection[str], boxes: str) -> Split:
    """All images of one kind of boxes, sorted by name."""
    folder = f"images_{boxes}"
    bases = sorted({path[: path.index(f"/{folder}/")] for path in there if f"/{folder}/" in path})
    if len(bases) != 1:
        packed = next((path for path in sorted(there) if path.endswith("/cuhk-03.mat")), None)
        if bases:
            raise DataError(f"{where} holds CUHK03 {len(bases)} times: pass {bases[0]} or {bases[1]}.")
        if packed:
            raise DataError(
                f"{packed} is not unpacked, for there is no {folder} in {where}: call "
                f"resight.datasets.cuhk03_mat.unpack({packed!r}, {where!r})."
            )
        raise DataError(
            f"{where} is not CUHK03, for there is no {folder} in it: pass the folder or zip that holds images_detected "
            "and images_labeled, which resight.datasets.cuhk03_mat.unpack makes of cuhk-03.mat."
        )
    images, labels = read_names(f"{bases[0]}/{folder}/", sorted(there), _NAME, _KIND, [])
    pairs, people, views, _ = np.array(labels, dtype=np.int64).reshape(-1, 4).T
    return Split(texts(images), 1000 * pairs + people, 2 * (pairs - 1) + views)


def _beside(images: Split, there: Collection[str], name: str, cure: str) -> str:
    """The one file called ``name`` below the folder that holds the images' folder."""
    base = images.paths[0].rsplit("/", 2)[0] if len(images) else ""
    found = sorted(path for path in there if path.startswith(f"{base}/") and path.endswith(f"/{name}"))
    if not found:
        raise DataError(f"{base} has no {name}: {cure}.")
    return found[0]


def _new(images: Split, there: Collection[str], boxes: str) -> list[NDArray[np.int64]]:
    """Where the images of train, query and gallery are, by the config of the new protocol."""
    from scipy.io import loadmat

    path = _beside(images, there, CONFIG.format(boxes), "put the published file there")
    content = read_bytes(path)
    try:
        config = loadmat(io.BytesIO(content))  # type: ignore[no-untyped-call]
        names = [str(name[0]) for name in config["filelist"].ravel()]
        parts = [config[f"{part}_idx"].ravel().astype(np.int64) - 1 for part in ("train", "query", "gallery")]
        listed = [[names[at] for at in part] for part in parts]
    except Exception as error:  # whatever scipy meets in bytes that are none of its own
        raise DataError(f"{path} is not CUHK03's config ({error}): download it again.") from None
    row = {image.rpartition("/")[2]: at for at, image in enumerate(images.paths.tolist())}
    missing = [name for part in listed for name in part if name not in row]
    if missing:
        raise DataError(
            f"{path} lists {sum(map(len, listed)):,} images but {len(missing):,} of them are not there, first "
            f"{missing[0]}: unpack cuhk-03.mat again."
        )
    return [np.array([row[name] for name in part], dtype=np.int64) for part in listed]


def _classic(images: Split, there: Collection[str], test_set: int, repeat: int) -> list[NDArray[np.int64]]:
    """Where the images of train, query and one draw of the gallery stand."""
    path = _beside(images, there, TEST_SETS, "unpack cuhk-03.mat again")
    tested = []
    for number, line in read_lines(path):
        values = line.split()
        if len(values) != 3 or not all(value.isdecimal() for value in values):
            raise DataError(
                f"{path} line {number} is {line!r}, but each must be '<test set> <pair> <person>': correct it."
            )
        if int(values[0]) == test_set:
            tested.append(1000 * int(values[1]) + int(values[2]))
    asked = np.isin(images.identities, tested)
    second = np.flatnonzero(asked & (images.cameras % 2 == 0))
    order = np.random.default_rng([test_set, repeat]).permutation(second)
    drawn = order[np.unique(images.identities[order], return_index=True)[1]]
    return [np.flatnonzero(~asked), np.flatnonzero(asked & (images.cameras % 2 == 1)), drawn]
