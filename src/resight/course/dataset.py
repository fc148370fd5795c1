"""The course system's folder: identities and triplets to train on, numbered gallery images to search among."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.tables import read_idloss, retrieval, triplet_table
from resight.errors import DataError
from resight.records import Split


@register("course")
def course(root: str | Path, *, num_identities: int | None = None) -> Dataset:
    """The course system's folder: ``train_idloss.csv``, ``val/gt.csv``, and maybe ``train_random_triplet.csv``.

    Top-1 retrieval accuracy, the share of queries whose nearest gallery image is the ground truth, is ``report.cmc[1]``
    of an evaluation.

    Args:
        root: the folder.
        num_identities: how many train identities there are; where given, every id must be below it.

    Returns:
        ``train`` has identity id + 1, since 0 is a distractor here; ``triplets`` index into it. Query and gallery are
        those of ``val``: every gallery image is an identity of its own, and a query has that of the gallery image that
        answers it. Since none of them is trained on, these identities go on where those of ``train`` end: the
        gallery image ``17.jpg`` is the largest train identity + 1 + 17; its number is in the column ``numbers``, (N,)
        int64. No camera is known: all are 0, and the protocol is ``single_camera``.

    Raises:
        DataError: a file that is missing or wrong, no answers in ``val/gt.csv``, a triplet with an image that
            ``train_idloss.csv`` lacks, or one whose first two images are not of one identity and the third of another;
            the message names file and line.
    """
    where = Path(root)
    if not where.is_dir():
        raise DataError(f"{where} is not a folder: pass the folder that holds train_idloss.csv, unpacked.")
    paths, ids = read_idloss(where / "train_idloss.csv", num_identities)
    train = Split(paths, ids + 1, np.zeros_like(ids), name="course train")
    listed = where / "train_random_triplet.csv"
    triplets = _triplet_indices(listed, paths, ids) if listed.exists() else None
    asked = retrieval(where / "val" / "gt.csv")
    if (asked.answers < 0).any():
        raise DataError(f"{asked.table.path} has no answers in its column gallery: fill it with the ground truth.")
    first = int(train.identities.max()) + 1

    def split(images: NDArray[np.str_], numbers: NDArray[np.int64], name: str) -> Split:
        return Split(images, first + numbers, np.zeros_like(numbers), {"numbers": numbers}, name)

    query = split(asked.queries, asked.numbers[asked.answers], "course query")
    gallery = split(asked.gallery, asked.numbers, "course gallery")
    notes = ("Every gallery image is an identity of its own, so R1 is top-1 retrieval accuracy.",)
    return Dataset("course", train, query, gallery, "single_camera", notes, triplets=triplets)


def _triplet_indices(path: Path, train: NDArray[np.str_], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(T, 3) indices into ``train``."""
    table, paths = triplet_table(path)
    place = {image: at for at, image in enumerate(train.tolist())}
    indices = np.empty(paths.shape, np.int64)
    for row, images in enumerate(paths.tolist()):
        for column, image in enumerate(images):
            if image not in place:
                raise table.error(row, f"{image} is not in train_idloss.csv: add it there or remove the row.")
            indices[row, column] = place[image]
    anchor, positive, negative = ids[indices].T
    wrong = (anchor != positive) | (anchor == negative)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise table.error(
            row,
            f"anchor, positive and negative have the ids {anchor[row]}, {positive[row]} and {negative[row]}: "
            "the first two must be the same and the third another: correct or remove the row.",
        )
    return indices
