"""Weighted regularised triplet loss (AGW; Ye et al., TPAMI 2021): all pairs, the hard ones weighing more, no margin."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Loss, State, Target, mean_over
from resight.training.losses.triplet import distances, mean_where


def weighted_triplet(features: Tensor, labels: Tensor) -> Tensor:
    """Mean over anchors i of ``log(1 + exp(sum_j w^p_ij d_ij - sum_k w^n_ik d_ik))``.

    The weights are softmaxes over the anchor's positives (itself included, as released) of d, and over its negatives
    of -d. An anchor without a negative counts nothing.

    Args:
        features: (B, D), compared by Euclidean distance, un-normalised.
        labels: (B,) int64.
    """
    d = distances(features, features)
    same = labels[:, None] == labels[None, :]
    positive = (d.masked_fill(~same, float("-inf")).softmax(1) * d).sum(1)
    some = ~same.all(1)
    far = (-d).masked_fill(same & some[:, None], float("-inf")).softmax(1)
    return mean_where(F.softplus(positive - (far * d).sum(1)), some)


class WeightedTriplet(Loss):
    """Weighted regularised triplets, averaged over the features of the output."""

    name: Literal["weighted_triplet"] = "weighted_triplet"
    gathers: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels = gather(target.labels)
        return mean_over(output.features, lambda x: weighted_triplet(gather(x.float()), labels))
