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
from resight.training.losses.pairs import cosine_pairs, log_sum


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
    cosines, same, other = cosine_pairs(features, labels)
    still = cosines.detach()
    hardest = torch.where(other, still, -torch.inf).amax(1, keepdim=True)
    farthest = torch.where(same, still, torch.inf).amin(1, keepdim=True)
    positive, negative = same & (still - epsilon < hardest), other & (still + epsilon > farthest)
    counts = positive.any(1) & negative.any(1)
    near, far = log_sum(-alpha * (cosines - base), positive), log_sum(beta * (cosines - base), negative)
    each = F.softplus(near) / alpha + F.softplus(far) / beta
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
