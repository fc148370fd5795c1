"""Circle loss on pairs (Sun et al., CVPR 2020, eq. 6), for each image of the batch."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Loss, State, Target, mean_over
from resight.training.losses.pairs import cosine_pairs, log_sum
from resight.training.losses.triplet import mean_where


def circle_loss(features: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Mean over images of ``log(1 + sum_n exp(g a_n (s_n - m)) sum_p exp(-g a_p (s_p - 1 + m)))``.

    s_p and s_n are the cosines of an image to the others of its identity and to those of other identities, a_p =
    [1 + m - s_p]_+ and a_n = [s_n + m]_+, which have no gradient. An image without one of the two does not count.

    Args:
        features: (B, D), of any length.
        labels: (B,) int64.
        margin, scale: m and g.
    """
    cosines, same, other = cosine_pairs(features, labels)
    still = cosines.detach()
    near = -scale * (1 + margin - still).clamp_min(0) * (cosines - 1 + margin)
    far = scale * (still + margin).clamp_min(0) * (cosines - margin)
    valid = same.any(1) & other.any(1)
    both = log_sum(near, same) + log_sum(far, other)
    return mean_where(F.softplus(torch.where(valid, both, 0.0)), valid)


class Circle(Loss):
    """Circle loss on pairs, averaged over the features of the output; the defaults are fast-reid's."""

    name: Literal["circle"] = "circle"
    margin: float = Field(0.25, ge=0)
    scale: float = Field(128.0, gt=0)
    gathers: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels = gather(target.labels)
        return mean_over(output.features, lambda x: circle_loss(gather(x.float()), labels, self.margin, self.scale))
