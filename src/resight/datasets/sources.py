"""Several data sets as one to train on: no two share an identity or a camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset
from resight.errors import DataError
from resight.records import DISTRACTOR, Split


def source_names(data: Sequence[Dataset]) -> tuple[str, ...]:
    """The name of each data set; the second of the name ``market_layout`` is called ``market_layout 2``.

    Raises:
        DataError: two of them hold the very same images.
    """
    first: dict[str, int] = {}
    names: list[str] = []
    for at, one in enumerate(data):
        same = first.setdefault(one.fingerprint(), at)
        if same != at:
            raise DataError(
                f"Sources {same + 1} and {at + 1} are the same images of {one.name}: name each source once."
            )
        count = sum(other.name == one.name for other in data[:at])
        names.append(f"{one.name} {count + 1}" if count else one.name)
    return tuple(names)


def join_training(data: Sequence[Dataset]) -> tuple[Split, NDArray[np.int64] | None]:
    """The training images of one or more data sets, one after the other, and their triplets, if any.

    Identities and cameras of each set count on from those of the sets before it; junk and distractors stay what they
    are. Of the optional columns those that every set has are kept, and a column ``sources`` (N,) str says which set
    an image is from.

    Raises:
        DataError: no data set at all, or the same one twice.
    """
    if not data:
        raise DataError("There is no data set to train on: pass one or more.")
    splits = [one.train for one in data]
    identities, cameras, triplets = [], [], []
    people = camera = images = 0
    for one, split in zip(data, splits, strict=True):
        identities.append(np.where(split.identities > DISTRACTOR, split.identities + people, split.identities))
        cameras.append(split.cameras + camera)
        if one.triplets is not None:
            triplets.append(one.triplets + images)
        people = max(people, int(identities[-1].max(initial=0)))
        camera = int(cameras[-1].max(initial=camera - 1)) + 1
        images += len(split)
    shared = [
        name
        for name, column in splits[0].columns.items()
        if all(name in s.columns and s.columns[name].shape[1:] == column.shape[1:] for s in splits)
    ]
    columns = {name: np.concatenate([split.columns[name] for split in splits]) for name in shared}
    names = source_names(data)
    columns["sources"] = np.repeat(np.array(names, np.str_), [len(split) for split in splits])
    paths = np.concatenate([split.paths for split in splits])
    name = splits[0].name if len(splits) == 1 else " + ".join(names)
    joined = Split(paths, np.concatenate(identities), np.concatenate(cameras), columns, name)
    return joined, np.concatenate(triplets) if triplets else None
