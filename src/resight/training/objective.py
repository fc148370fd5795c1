"""What is minimised: the recipe's losses, each with its weight, on the parts of the output they apply to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from resight.models.output import Output
from resight.training.losses import Loss, State, Target
from resight.training.losses.gather import processes, summed


def objective(
    output: Output, target: Target, losses: Sequence[Loss], states: Sequence[State]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses, and each one by name (unweighted, detached).

    Every loss averages over the heads, features or outputs of the model it applies to; metric losses mine the whole
    batch, across processes. A loss that counts only some images (:func:`counted`) and finds none in the whole batch is
    not among the parts.
    """
    device = output.embedding.device
    total = torch.zeros((), dtype=torch.float32, device=device)
    parts: dict[str, Tensor] = {}
    rows = [counted(loss, target) for loss in losses]
    own = torch.stack([some.sum() for some in rows])
    everywhere = summed(own).tolist()
    batch = len(target.labels) * processes()
    for at, (loss, name, state) in enumerate(zip(losses, names(losses), states, strict=True)):
        if everywhere[at] == batch:
            value = loss(output, target, state)
        elif everywhere[at] == 0 or not (loss.gathers or own[at]):
            value = _nothing(output)
        else:
            value = loss(_take(output, rows[at]), _take(target, rows[at]), state)
            if not loss.gathers:  # a mean over images of this process, of which others may count more or fewer
                value = value * (own[at] * processes() / everywhere[at])
        if everywhere[at]:
            parts[name] = value.detach()
        total = total + loss.weight * value
    return total, parts


def counted(loss: Loss, target: Target) -> Tensor:
    """Which images of the batch (B,) a loss counts."""
    rows = torch.ones_like(target.labels, dtype=torch.bool)
    if loss.needs_labels:
        rows &= target.labels >= 0
    if loss.plain_views and target.plain is not None:
        rows &= target.plain
    return rows


def _nothing(output: Output) -> Tensor:
    """Zero, as a function of everything that the model gives."""
    tensors = (output.embedding, *output.features, *output.logits)
    return 0 * torch.stack([one.float().sum() for one in tensors]).sum()


def names(losses: Sequence[Loss]) -> list[str]:
    """A name for each loss; the second triplet loss is called ``triplet_2``."""
    plain = [loss.name for loss in losses]
    counts = [plain[: at + 1].count(name) for at, name in enumerate(plain)]
    return [name if count == 1 else f"{name}_{count}" for name, count in zip(plain, counts, strict=True)]


def _take(part: Any, rows: Tensor) -> Any:
    """The rows of a tensor, or of every tensor in a tuple of tensors and tuples."""
    if isinstance(part, Tensor):
        return part[rows]
    if isinstance(part, tuple):
        taken = (_take(one, rows) for one in part)
        return type(part)(*taken) if hasattr(part, "_fields") else tuple(taken)
    return part
