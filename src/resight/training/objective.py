"""What is minimised: the recipe's losses, each with its weight, on the parts of the output they apply to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from resight.models.output import Output
from resight.training.losses import Loss, State, Target


def objective(
    output: Output, target: Target, losses: Sequence[Loss], states: Sequence[State]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses, and each one by name (unweighted, detached).

    Every loss averages over the heads, features or outputs of the model it applies to; metric losses mine the whole
    batch, across processes. A loss that counts only some images (:func:`counted`) and finds none is not among the
    parts.
    """
    total = torch.zeros((), device=output.embedding.device)
    parts: dict[str, Tensor] = {}
    for loss, name, state in zip(losses, names(losses), states, strict=True):
        rows = counted(loss, target)
        if rows is None:
            value = loss(output, target, state)
        elif bool(rows.any()):
            value = loss(_take(output, rows), _take(target, rows), state)
        else:
            total = total + 0 * sum(one.float().sum() for one in (output.embedding, *output.features, *output.logits))
            continue
        parts[name] = value.detach()
        total = total + loss.weight * value
    return total, parts


def counted(loss: Loss, target: Target) -> Tensor | None:
    """Which images of the batch (B,) a loss counts; None where it is all of them."""
    rows = torch.ones_like(target.labels, dtype=torch.bool)
    if loss.needs_labels:
        rows &= target.labels >= 0
    if loss.plain_views and target.plain is not None:
        rows &= target.plain
    return None if bool(rows.all()) else rows


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
