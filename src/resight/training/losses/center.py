"""Center loss (Wen et al., ECCV 2016), with the centres trained as in Bag of Tricks (Luo et al. 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Facts, Loss, State, Target


def center_loss(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """``sum_b |x_b - c_{y_b}|^2 / B`` for features (B, D) and centres (C, D), in float32."""
    return (features.float() - centers[labels]).square().sum() / len(features)


@torch.no_grad()
def move(centers: Tensor, features: Tensor, labels: Tensor, rate: float) -> None:
    """One step of gradient descent on the centres, in place: ``c_j -= rate * 2/B * sum_{b: y_b = j} (c_j - x_b)``."""
    pull = torch.zeros_like(centers).index_add_(0, labels, centers[labels] - features.float())
    centers -= rate * 2 / len(features) * pull


class Center(Loss):
    """Features are pulled towards a learnt centre of their identity.

    The centres begin as N(0, 1) and have a gradient descent of their own with learning rate ``rate``; the released
    code divides their gradient by the loss's weight first, so that the weight (5e-4) slows the features only.
    """

    name: Literal["center"] = "center"
    gathers: ClassVar[bool] = True
    weight: float = 5e-4
    rate: float = 0.5

    def state(self, facts: Facts) -> State:
        shapes = [(int(facts.labels.max()) + 1, dim) for dim in facts.features]
        return {f"centers{at}": torch.randn(shape, dtype=torch.float32) for at, shape in enumerate(shapes)}

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels, values = gather(target.labels), []
        for at, vectors in enumerate(output.features):
            everyone, centers = gather(vectors.float()), state[f"centers{at}"]
            values.append(center_loss(everyone, labels, centers))
            move(centers, everyone.detach(), labels, self.rate)
        return torch.stack(values).mean()
