"""Distances within which a true match is with a chosen probability, whatever the distribution: split conformal.

With one value for each of K identities, the ceil((K + 1) c)-th smallest of them is exceeded by the value of a new
identity with probability at most 1 - c, if the new one is like the others (exchangeable); the + 1 stands for the new
one itself (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005). The queries of one identity are
not like those of a new one, so where an identity has several values each counts as 1 / (their number): the hierarchical
form of Lee, Barber and Willett, "Distribution-free inference with hierarchical data", 2023. The promise is then about a
query of a new identity.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError

_ROUNDING = 1e-9


def needed_identities(coverage: float) -> int:
    """The smallest number of identities K with which ``coverage`` can be promised: K / (K + 1) >= coverage."""
    return math.ceil(coverage / (1 - coverage) - _ROUNDING)


def conformal_distance(distances: NDArray[np.floating[Any]], identities: NDArray[np.int64], coverage: float) -> float:
    """The smallest distance that a new identity's value does not exceed with probability at least ``coverage``.

    Args:
        distances: (N,) finite values, such as the distance from each query to its nearest true match.
        identities: (N,) whose value each is.
        coverage: in (0, 1).

    Raises:
        DataError: a coverage out of range, or too few identities for it.
    """
    if not 0 < coverage < 1:
        raise DataError(f"The coverage is {coverage}: choose a number between 0 and 1, such as 0.95.")
    _, who, counts = np.unique(identities, return_inverse=True, return_counts=True)
    if len(counts) < needed_identities(coverage):
        raise DataError(
            f"A coverage of {coverage:g} needs at least {needed_identities(coverage):,} identities with a true match, "
            f"but the calibration data has {len(counts):,}: give more identities or ask for less coverage."
        )
    order = np.argsort(distances, kind="stable")
    share = np.cumsum(1 / (counts[who[order]] * (len(counts) + 1)))
    at = int(np.searchsorted(share, coverage - _ROUNDING, "left"))
    return float(distances[order[min(at, len(order) - 1)]])


def coverage_by_identity(covered: NDArray[np.bool_], identities: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K,) the share of each identity's values that are covered, by identity in ascending order; their mean estimates
    the coverage that is promised."""
    _, who, counts = np.unique(identities, return_inverse=True, return_counts=True)
    shares: NDArray[np.float64] = np.bincount(who, weights=covered, minlength=len(counts)) / counts
    return shares
