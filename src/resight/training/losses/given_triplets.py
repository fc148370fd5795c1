"""The triplet loss on triplets that the data gives (the course system's random triplets)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.loss import Loss, State, Target, mean_over


def triplet_margin(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """Mean of ``[|a - p| - |a - n| + margin]_+`` over rows (T, D), Euclidean (``torch.nn.TripletMarginLoss``)."""
    return F.triplet_margin_loss(anchor.float(), positive.float(), negative.float(), margin)


class GivenTriplets(Loss):
    """Triplets as they come, with ``sampler: {kind: triplets}``: rows 0, 3, 6, ... of the batch are the anchors,
    the next ones their positives, those after them the negatives."""

    name: Literal["given_triplets"] = "given_triplets"
    sampler: ClassVar[str] = "triplets"
    margin: float = 1.0

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        return mean_over(output.features, lambda x: triplet_margin(x[0::3], x[1::3], x[2::3], self.margin))
