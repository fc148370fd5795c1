"""Identities numbered from 0, as ``numpy.unique(..., return_inverse=True)`` and ``pandas.factorize`` number them.

In the integers of Market-1501, 0 marks distractors. A distractor is never trained on and never a query, so where 0 is
among the identities that are trained on or asked for it is a person, unless it is said to mark distractors: by
``distractors=``, by a text label, or by junk (-1) beside it, as in Market-1501.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from resight.labels import DISTRACTOR, JUNK, SAID
from resight.records import Embeddings, Split

Part = TypeVar("Part", bound=Split | Embeddings)


def said(part: Split | Embeddings) -> bool:
    """Whether it is known what 0 is."""
    return SAID in part.columns or "identity_names" in part.columns


def person_zero(asked: NDArray[np.int64], *others: NDArray[np.int64]) -> bool:
    """Whether 0 is a person, of integers (N,) for which nothing says what it is; no others go with those asked for."""
    return bool((asked == DISTRACTOR).any()) and not any((part == JUNK).any() for part in (asked, *others))


def from_one(asked: Part, *others: Part) -> tuple[Part, ...]:
    """The same parts; where 0 is a person of the first, the identities of all count one more.

    Parts without identities, and those for which it is said what 0 is, stay as they are.
    """
    parts: tuple[Part, ...] = (asked, *others)
    plain = [part for part in parts if part.identities is not None and not said(part)]
    if asked not in plain or not person_zero(*(part.identities for part in plain if part.identities is not None)):
        return parts
    counted: dict[int, Part] = {}  # by id, for one part may come twice, and stays one
    for part in plain:
        counted[id(part)] = replace(part, identities=np.add(part.identities, 1))  # type: ignore[arg-type]
    return tuple(counted.get(id(part), part) for part in parts)
