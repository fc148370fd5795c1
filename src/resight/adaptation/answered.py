"""What people answered about pairs of records, as what is known of crops: who is the same, and who is not.

Shape letters: ``N`` images, ``M`` pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from resight.gallery.record import DIFFERENT, SAME, Answer

NOBODY = -1


@dataclass(frozen=True, eq=False)
class Answered:
    """Answers about N images.

    Attributes:
        people: (N,) int64 from 0 on: images of one number are of one individual; -1 where nobody said anything.
        apart: (M, 2) int64, pairs of numbers that are two individuals, the smaller one first, in order.
    """

    people: NDArray[np.int64]
    apart: NDArray[np.int64]

    @classmethod
    def none(cls, count: int) -> Answered:
        """No answers about so many images."""
        return cls(np.full(count, NOBODY, np.int64), np.empty((0, 2), np.int64))

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Answered:
        """The same about the images at ``which``."""
        return Answered(self.people[which], self.apart)


def answered(ids: Sequence[str], answers: Sequence[Answer]) -> tuple[Answered, tuple[str, ...]]:
    """What answers say of the records ``ids``, and a sentence about how many there are.

    Answers "same" go on from one record to the next: a, b and b, c make a, b and c one individual. An answer
    "different" about two of these is not used.
    """
    place = {id: at for at, id in enumerate(ids)}
    pairs: dict[str, list[tuple[int, int]]] = {SAME: [], DIFFERENT: []}
    for one in answers:
        if one.answer in pairs and one.first in place and one.second in place:
            pairs[one.answer].append((place[one.first], place[one.second]))
    same, different = (np.array(pairs[kind], np.int64).reshape(-1, 2) for kind in (SAME, DIFFERENT))
    if not len(same) + len(different):
        return Answered.none(len(ids)), ()
    ones = np.ones(len(same))
    links = coo_array((ones, same.T), (len(ids), len(ids)))  # type: ignore[no-untyped-call]
    groups = connected_components(links, directed=False)[1]
    mentioned = np.unique(np.concatenate([same.ravel(), different.ravel()]))
    people = np.full(len(ids), NOBODY, np.int64)
    people[mentioned] = np.unique(groups[mentioned], return_inverse=True)[1]
    apart = np.sort(people[different], axis=1)
    against = int((apart[:, 0] == apart[:, 1]).sum())
    note = (
        f"{len(same) + len(different):,} answers about pairs are used: {len(same):,} same, {len(different):,} "
        f"different{f', but {against:,} of these, which contradict the others' if against else ''}."
    )
    return Answered(people, np.unique(apart[apart[:, 0] < apart[:, 1]], axis=0)), (note,)
