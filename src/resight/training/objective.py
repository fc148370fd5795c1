"""What is minimised: the recipe's losses, each with its weight, on the parts of the output they apply to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from resight.models.output import Output
from resight.training.losses import Loss, State, Target


def objective(
    output: Output, target: Target, losses: Sequence[Loss], states: Sequence[State]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses, and each one by name (unweighted, detached).

    Every loss averages over the heads, features or outputs of the model it applies to; metric losses mine the whole
    batch, across processes.
    """
    total = torch.zeros((), device=output.embedding.device)
    parts: dict[str, Tensor] = {}
    for loss, state in zip(losses, states, strict=True):
        value = loss(output, target, state)
        parts[loss.name] = value.detach()
        total = total + loss.weight * value
    return total, parts
