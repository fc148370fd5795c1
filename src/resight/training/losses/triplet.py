"""Batch-hard triplet loss (Hermans et al. 2017, arXiv 1703.07737)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Loss, State, Target, mean_over


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances (A, B) between the rows of (A, D) and (B, D), in float32."""
    a, b = a.float(), b.float()
    return (a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T).clamp_min(1e-12)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (A, B) between the rows of (A, D) and (B, D), in float32, differentiable at zero."""
    return squared_distances(a, b).sqrt()


def hardest(d: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of distances (B, B) the farthest of the same identity (itself included) and the nearest of another one.

    Returns:
        positive (B,), negative (B,), and whether there is a negative at all (B,); it is infinite where there is none.
    """
    same = labels[:, None] == labels[None, :]
    positive = d.masked_fill(~same, float("-inf")).amax(1)
    negative = d.masked_fill(same, float("inf")).amin(1)
    return positive, negative, torch.isfinite(negative)


def mean_where(values: Tensor, valid: Tensor) -> Tensor:
    """The mean of the valid ones; 0 where none is."""
    return torch.where(valid, values, 0.0).sum() / valid.sum().clamp_min(1)


def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float | None = 0.3) -> Tensor:
    """Mean over anchors of ``[margin + d(a, hardest positive) - d(a, hardest negative)]_+``.

    The hardest positive is the farthest image of the same identity (the anchor itself included), the hardest
    negative the nearest of another one, both within the batch. ``margin=None`` is the soft margin,
    ``log(1 + exp(d_ap - d_an))``. An anchor without a negative counts nothing.

    Args:
        features: (B, D), compared by Euclidean distance, un-normalised.
        labels: (B,) int64.
        margin: in units of that distance.
    """
    positive, negative, valid = hardest(distances(features, features), labels)
    gap = positive - negative
    return mean_where(F.softplus(gap) if margin is None else F.relu(gap + margin), valid)


class Triplet(Loss):
    """Batch-hard triplets, averaged over the features of the output; ``margin: null`` is the soft margin."""

    name: Literal["triplet"] = "triplet"
    gathers: ClassVar[bool] = True
    compares: ClassVar[bool] = True
    margin: float | None = 0.3

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels = gather(target.labels)
        return mean_over(output.features, lambda x: batch_hard_triplet(gather(x.float()), labels, self.margin))
