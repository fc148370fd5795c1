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

    Identities and cameras of the first set keep their numbers, those of the others count on from it; junk stays what
    it is. Of the optional columns those that every set has are kept, and a column ``sources`` (N,) str says which set
    an image is from.

    Raises:
        DataError: no data set at all, or the same one twice.
    """
    if not data:
        raise DataError("There is no data set to train on: pass one or more.")
    splits = [one.train for one in data]
    identities, cameras, triplets = [splits[0].identities], [splits[0].cameras], [data[0].triplets]
    people, images = int(identities[0].max(initial=0)), len(splits[0])
    camera = int(cameras[0].max(initial=0))
    for one, split in zip(data[1:], splits[1:], strict=True):
        known = split.identities > DISTRACTOR
        identities.append(split.identities.copy())
        identities[-1][known] = people + 1 + np.unique(split.identities[known], return_inverse=True)[1]
        cameras.append(camera + 1 + np.unique(split.cameras, return_inverse=True)[1])
        triplets.append(None if one.triplets is None else one.triplets + images)
        people, camera = max(people, int(identities[-1].max(initial=0))), int(cameras[-1].max(initial=camera))
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
    given = [one for one in triplets if one is not None]
    return joined, np.concatenate(given) if given else None
