"""Identity loss: softmax cross entropy with label smoothing (Szegedy et al. 2016)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.loss import Loss, State, Target, mean_over


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the batch of ``-sum_c q_c log p_c`` with ``q = (1 - smoothing) * onehot + smoothing / C``.

    Args:
        logits: (B, C), any float type; computed in float32.
        labels: (B,) int64 in [0, C).
        smoothing: in [0, 1).
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)


class CrossEntropy(Loss):
    """Identity loss, averaged over the heads of the output."""

    name: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(0.0, ge=0, lt=1)
    classifies: ClassVar[bool] = True

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        return mean_over(output.logits, lambda logits: cross_entropy(logits, target.labels, self.smoothing))
