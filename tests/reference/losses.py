"""The training losses as plain loops in float64, one image after the other."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cross_entropy(logits: Array, labels: NDArray[np.int64], smoothing: float = 0.0) -> float:
    """The smoothed target is ``1 - smoothing`` on the label plus ``smoothing / C`` on every class."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        log_sum = math.log(sum(math.exp(value - row.max()) for value in row)) + row.max()
        for c, value in enumerate(row):
            target = smoothing / len(row) + (1 - smoothing if c == label else 0.0)
            total -= target * (value - log_sum)
    return total / len(logits)


def batch_hard_triplet(features: Array, labels: NDArray[np.int64], margin: float | None = 0.3) -> float:
    """Farthest of the same identity against nearest of another, for every anchor that has another."""
    terms = []
    for a, anchor in enumerate(features):
        distance = [math.sqrt(sum((x - y) ** 2 for x, y in zip(anchor, other, strict=True))) for other in features]
        positives = [d for d, label in zip(distance, labels, strict=True) if label == labels[a]]
        negatives = [d for d, label in zip(distance, labels, strict=True) if label != labels[a]]
        if negatives:
            gap = max(positives) - min(negatives)
            terms.append(math.log1p(math.exp(gap)) if margin is None else max(0.0, gap + margin))
    return sum(terms) / len(terms) if terms else 0.0
