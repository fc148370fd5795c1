"""Which slots a search looks at, by the columns of the cache, and which of those it finds may be the nearest.

Shape letters: ``S`` slots, ``K`` neighbours, ``Q`` queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.gallery.record import Filter
from resight.gallery.vectors.cache import View
from resight.gallery.vectors.scan import Nearest

MORE = 16  # neighbours beyond k that are asked for at first


class Codes(NamedTuple):
    """A filter in the numbers of the database; None for what it does not restrict."""

    cameras: NDArray[np.int64] | None
    exclude_cameras: NDArray[np.int64] | None
    identities: NDArray[np.int64] | None


def mask_of(view: View, where: Filter, known: Codes) -> NDArray[np.bool_] | None:
    """(S,) which slots count by their columns; None where all do."""
    columns = view.columns
    if where == Filter():
        return view.live
    mask = np.ones(view.slots, bool) if view.live is None else view.live.copy()
    for column, wanted, keep in (
        ("camera", known.cameras, True),
        ("camera", known.exclude_cameras, False),
        ("identity", known.identities, True),
    ):
        if wanted is not None:
            mask &= _among(columns[column], wanted) == keep
    if where.unknown is not None:
        mask &= (columns["identity"] == 0) == where.unknown
    if where.after is not None:
        mask &= columns["time"] >= where.after  # no time is NaN, which is neither
    if where.before is not None:
        mask &= columns["time"] < where.before
    return None if mask.all() else mask


def _among(column: NDArray[np.int32], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries, 0 or more, are among the wanted."""
    if len(wanted) == 1:
        return np.asarray(column == wanted[0])
    column = column.copy()  # as it is now: others may be writing
    table = np.zeros(max(int(column.max(initial=0)), int(wanted.max(initial=0))) + 1, bool)
    table[wanted] = True
    return table[column]


def chosen(
    near: Nearest, changed: list[int], k: int, margins: Sequence[float | None], *, complete: bool
) -> list[NDArray[np.int64]] | None:
    """The slots that may be among the ``k`` nearest of each of Q queries; None where the scan was too short for one.

    Args:
        near: what the scan found.
        changed: slots that do not count, since they have changed after it.
        k: see above.
        margins: for each query by how much rough distances may be in the wrong order; None for the first ``k``, right
            or wrong.
        complete: whether the scan gave all slots there are.
    """
    found = []
    for rough, rows, margin in zip(near.rough, near.rows, margins, strict=True):
        slots = _chosen_of(rough, rows, changed, k, margin, complete=complete)
        if slots is None:
            return None
        found.append(slots)
    return found


def _chosen_of(
    rough: NDArray[np.float32],
    rows: NDArray[np.int64],
    changed: list[int],
    k: int,
    margin: float | None,
    *,
    complete: bool,
) -> NDArray[np.int64] | None:
    found = rows >= 0
    complete = complete or not found.all()
    if changed:
        found &= ~np.isin(rows, changed)
    rough, rows = rough[found], rows[found]
    if len(rough) < k:
        return rows if complete else None
    if margin is None:
        return rows[:k]
    limit = float(rough[k - 1]) + margin
    return rows[rough <= limit] if complete or rough[-1] > limit else None
