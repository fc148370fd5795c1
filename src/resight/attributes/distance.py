"""Attribute re-ID: from attribute outputs to vectors whose Euclidean distance tells people apart.

Three ways to compare two people by what they wear: the outputs as they are, each attribute weighted by how reliably it
is recognised, and a linear layer fitted so that one person's images come close together.

Shape letters: ``N`` images, ``A`` attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.attributes.measure import measure_attributes
from resight.errors import DataError
from resight.records import DISTRACTOR


def reliability(truth: ArrayLike, probabilities: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    """How reliably each attribute is recognised: 0 is guessing, 1 is never wrong.

    w_l = max(0, TP_l / P_l + TN_l / N_l - 1): balanced accuracy stretched from [1/2, 1] to [0, 1] (Youden's index), so
    that a rare attribute earns nothing by being always denied. An attribute without a positive or a negative image
    gets 0, for nothing is known of it. The source weights "attributes that my model can better recognise" without
    saying how; this measure is ours.

    Args:
        truth, probabilities, names: as for :func:`~resight.attributes.measure.measure_attributes`, on people the
            model was not trained on.

    Returns:
        (A,) weights in [0, 1], at least one above 0.

    Raises:
        DataError: as there, or no attribute is recognised better than by guessing.
    """
    balanced = measure_attributes(truth, probabilities, names).balanced
    weights = np.maximum(0.0, 2 * np.nan_to_num(balanced, nan=0.5) - 1)
    if not weights.any():
        raise DataError(
            "No attribute is recognised better than by guessing, so none can be relied on: train the model first, or "
            "check that its outputs are in the order of the names."
        )
    return weights


def weighted(vectors: ArrayLike, weights: ArrayLike) -> NDArray[np.float32]:
    """Vectors whose Euclidean distance is the weighted one: d(x, y)^2 = sum_l w_l (x_l - y_l)^2.

    Args:
        vectors: (N, A) floats.
        weights: (A,), none below 0.

    Returns:
        (N, A) float32: the vectors times the square root of the weights.

    Raises:
        DataError: shapes that do not fit, or a weight that is negative, infinite or NaN.
    """
    values, factors = np.asarray(vectors, np.float64), np.asarray(weights, np.float64)
    if values.ndim != 2 or factors.shape != values.shape[1:]:
        raise DataError(
            f"The weights have shape {factors.shape} for vectors of shape {values.shape}: pass one for each column."
        )
    fine = np.isfinite(factors) & (factors >= 0)
    if not fine.all():
        raise DataError(f"The weight in place {int(np.argmin(fine))} is not a number from 0 upwards: correct it.")
    return (values * np.sqrt(factors)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class LinearAttributes:
    """A linear layer on attribute outputs, fitted to identities in closed form (Fisher's discriminant analysis).

    With S_w the covariance of images around their identity's mean and S_b that of the means around the mean of all,
    the directions u_j and their lambda_j solve S_b u = lambda S_w u with u_j' S_w u_k = 1 if j = k else 0. In the
    coordinates u_j' x the images of one person scatter equally in all directions, and their persons' means with
    variance lambda_j. Coordinate j is scaled by sqrt(lambda_j / (1 + lambda_j)), the root of the share of its variance
    that is between persons: a direction that separates no one shrinks to nothing, and no number of directions has to
    be chosen. That scaling is ours; the source gives no formula.

    S_w is shrunk towards a multiple of the identity matrix, (1 - s) S_w + s tr(S_w) / A I, so that it can be inverted
    whatever the attributes (two that always agree, one that never varies).

    Attributes:
        matrix: (A, A) float64; the columns are the scaled directions, the most telling first.
        separation: (A,) float64, the lambda_j, not increasing.
    """

    matrix: NDArray[np.float64]
    separation: NDArray[np.float64]

    @classmethod
    def fit(cls, vectors: ArrayLike, identities: ArrayLike, shrinkage: float = 0.1) -> LinearAttributes:
        """The layer for these images.

        Args:
            vectors: (N, A) finite floats, attribute outputs of the people to learn from.
            identities: (N,) integers; junk and distractors (0 and below) are left out.
            shrinkage: s above, in (0, 1].

        Raises:
            DataError: shapes that do not fit, a shrinkage out of range, values that are not finite, fewer than two
                identities, none with two different images, or identities whose means are all the same.
        """
        x, people = np.asarray(vectors, np.float64), np.asarray(identities)
        if x.ndim != 2 or people.shape != x.shape[:1]:
            raise DataError(
                f"Vectors of shape {x.shape} do not go with identities of shape {people.shape}: pass (N, A) and (N,)."
            )
        if not 0 < shrinkage <= 1:
            raise DataError(f"The shrinkage is {shrinkage}: choose a number above 0 and up to 1.")
        x, people = x[people > DISTRACTOR], people[people > DISTRACTOR]
        if not np.isfinite(x).all():
            raise DataError("The attribute outputs to learn from hold NaN or infinity: embed those images again.")
        known, person, images = np.unique(people, return_inverse=True, return_counts=True)
        if len(known) < 2 or len(x) == len(known):
            raise DataError(
                f"A linear layer cannot be learned from {len(x)} images of {len(known)} identities: "
                "pass two identities or more, with several images each."
            )
        means = np.zeros((len(known), x.shape[1]))
        np.add.at(means, person, x)
        means /= images[:, None]
        apart = x - means[person]
        within = apart.T @ apart / (len(x) - len(known))
        spread = (means - x.mean(0)) * np.sqrt(images[:, None])
        between = spread.T @ spread / len(x)
        size = float(np.trace(within)) / x.shape[1]
        if size == 0 or not between.any():
            raise DataError(
                "The attribute outputs to learn from do not differ "
                f"{'within any identity' if size == 0 else 'between identities'}: check the labels and the model."
            )
        root = _inverse_root((1 - shrinkage) * within + shrinkage * size * np.eye(x.shape[1]))
        strength, turn = np.linalg.eigh(root @ between @ root)
        strength, turn = np.maximum(strength[::-1], 0.0), turn[:, ::-1]
        return cls(root @ turn * np.sqrt(strength / (1 + strength)), strength)

    def __call__(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """(N, A) attribute outputs to (N, A) float32 vectors, to be compared by Euclidean distance.

        Raises:
            DataError: another number of attributes.
        """
        x = np.asarray(vectors, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.matrix):
            raise DataError(
                f"The linear layer was learned for {len(self.matrix)} attributes but the vectors have shape {x.shape}: "
                "pass (N, A) outputs of the same model."
            )
        return (x @ self.matrix).astype(np.float32)


def _inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric C^(-1/2) of a positive definite matrix."""
    values, turn = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = (turn / np.sqrt(values)) @ turn.T
    return root
