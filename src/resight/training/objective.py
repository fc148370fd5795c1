"""What is minimised: the recipe's losses, each with its weight, on the parts of the output they apply to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from resight.models.output import Output
from resight.training.losses.cross_entropy import cross_entropy
from resight.training.losses.triplet import batch_hard_triplet
from resight.training.recipe import Loss


class _Gather(torch.autograd.Function):
    """Rows of all processes, in rank order; the gradient of the own rows comes back, once per process.

    Every process computes the same loss on the gathered rows, and the gradients of the processes are averaged
    afterwards: multiplying by their number makes that average the gradient of the whole.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = len(rows)
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        start = dist.get_rank() * ctx.count
        return gradients[0][start : start + ctx.count] * dist.get_world_size()


def gather(rows: Tensor) -> Tensor:
    """(B, ...) of this process to (processes x B, ...) of all, differentiable; itself where there is one process."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def objective(output: Output, labels: Tensor, losses: Sequence[Loss]) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses, and each one by name (unweighted, detached).

    Identity losses are averaged over the heads of the output, metric losses over its features; metric losses mine
    the whole batch, across processes.
    """
    total = output.embedding.new_zeros((), dtype=torch.float32)
    parts: dict[str, Tensor] = {}
    for loss in losses:
        if loss.name == "cross_entropy":
            values = [cross_entropy(logits, labels, loss.smoothing) for logits in output.logits]
        else:
            everyone = gather(labels)
            values = [batch_hard_triplet(gather(x.float()), everyone, loss.margin) for x in output.features]
        value = torch.stack(values).mean()
        parts[loss.name] = value.detach()
        total = total + loss.weight * value
    return total, parts
