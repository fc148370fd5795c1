"""What :mod:`~resight.retrieval.ranking.counting` does row by row, as one loop compiled by numba where installed.

Compiled at the first call on a machine (a second or two) and kept on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count(
    products: Any, squares: Any, offsets: Any, low: Any, high: Any, before: Any, matches: Any, columns: Any
) -> int:
    """Add what surely comes before each match to ``before``, and list what may.

    Args:
        products, squares: (R, columns) and (columns,), whose sums are the rough distances.
        offsets: (R + 1,) the matches of each row among the M.
        low, high: (M,) ascending for each row: below ``low`` is before the match, above ``high`` is behind it.
        before: (M,) int64 to add to.
        matches, columns: room for pairs of a match and a column that may come before it.

    Returns:
        How many pairs there are; where that is more than there is room for, nothing was added.
    """
    found, room = 0, len(matches)
    added = np.zeros(len(before), np.int64)
    near = np.empty(products.shape[1], np.int64)
    values = np.empty(products.shape[1], np.float32)
    for r in range(len(products)):
        first, last = offsets[r], offsets[r + 1]
        if first == last:
            continue
        reach, some = high[last - 1], 0
        for c in range(products.shape[1]):  # without a branch, since those kept come in no order
            value = products[r, c] + squares[c]
            near[some], values[some] = c, value
            some += value <= reach
        for n in range(some):
            value = values[n]
            start, stop = first, last  # the first match whose low is above: the image is before it and all that follow
            while start < stop:
                middle = (start + stop) // 2
                if value < low[middle]:
                    stop = middle
                else:
                    start = middle + 1
            if start < last:
                added[start] += 1
            start -= 1
            while start >= first and value <= high[start]:
                if found < room:
                    matches[found], columns[found] = start, near[n]
                found += 1
                start -= 1
    if found <= room:
        for r in range(len(products)):
            total = 0
            for match in range(offsets[r], offsets[r + 1]):
                total += added[match]
                before[match] += total
    return found
