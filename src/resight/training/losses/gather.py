"""Rows of all processes: metric losses mine the whole batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _Gather(torch.autograd.Function):
    """Rows of all processes, in rank order; the gradient of the own rows comes back, once per process.

    Every process computes the same loss on the gathered rows, and the gradients of the processes are averaged
    afterwards: multiplying by their number makes that average the gradient of the whole.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        own = torch.zeros(processes(), dtype=torch.int64, device=rows.device)
        own[dist.get_rank()] = len(rows)
        counts = summed(own).tolist()
        ctx.start, ctx.count = sum(counts[: dist.get_rank()]), len(rows)
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][ctx.start : ctx.start + ctx.count] * processes()


def gather(rows: Tensor) -> Tensor:
    """(B, ...) of this process to (sum of B, ...) of all, differentiable; itself where there is one process."""
    if processes() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """``values`` summed over all processes, which must call this together."""
    if processes() == 1:
        return values
    everywhere = values.clone()
    dist.all_reduce(everywhere)
    return everywhere
