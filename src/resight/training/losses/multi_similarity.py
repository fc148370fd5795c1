"""Multi-similarity loss (Wang et al., CVPR 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Loss, State, Target, mean_over


def multi_similarity(
    features: Tensor, labels: Tensor, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5, epsilon: float = 0.1
) -> Tensor:
    """Mean over images of ``log(1 + sum_p exp(-a (s_p - l))) / a + log(1 + sum_n exp(b (s_n - l))) / b`` (eq. 10).

    s are cosines. Of the pairs of an image only the informative ones count (eq. 7 and 8): the others of its identity
    that are less similar than the most similar of other identities plus epsilon, and those of other identities that are
    more similar than the least similar of its own minus epsilon. An image that lacks one of the two counts as 0.

    Args:
        features: (B, D), of any length.
        labels: (B,) int64.
        alpha, beta, base, epsilon: a, b, l and epsilon.
    """
    unit = F.normalize(features.float())
    cosines = unit @ unit.T
    same = labels[:, None] == labels[None, :]
    other = ~same
    same = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    still = cosines.detach()
    hardest = torch.where(other, still, -torch.inf).amax(1, keepdim=True)
    farthest = torch.where(same, still, torch.inf).amin(1, keepdim=True)
    positive, negative = same & (still - epsilon < hardest), other & (still + epsilon > farthest)
    counts = positive.any(1) & negative.any(1)
    lowest = torch.finfo(cosines.dtype).min / 4
    near = torch.where(positive, -alpha * (cosines - base), lowest)
    far = torch.where(negative, beta * (cosines - base), lowest)
    each = F.softplus(near.logsumexp(1)) / alpha + F.softplus(far.logsumexp(1)) / beta
    return torch.where(counts, each, 0.0).mean()


class MultiSimilarity(Loss):
    """Multi-similarity loss, averaged over the features of the output; the defaults are those of the authors' code."""

    name: Literal["multi_similarity"] = "multi_similarity"
    alpha: float = Field(2.0, gt=0)
    beta: float = Field(50.0, gt=0)
    base: float = 0.5
    epsilon: float = Field(0.1, ge=0)
    gathers: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels = gather(target.labels)
        how = (self.alpha, self.beta, self.base, self.epsilon)
        return mean_over(output.features, lambda x: multi_similarity(gather(x.float()), labels, *how))
