"""Batch normalisation over the batches of all processes, so that two processes compute what one would."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F


class _Sum(torch.autograd.Function):
    """Sum over processes, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.clone()
        dist.all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        out = gradients[0].clone()
        dist.all_reduce(out)
        return out


def _forward(self: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm with mean and variance over all processes; every process must hold equally many images."""
    if not self.training:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [1, -1] + [1] * (x.ndim - 2)
    wide = x.float()
    count = wide.numel() // wide.shape[1] * dist.get_world_size()
    sums = cast(Tensor, _Sum.apply(torch.stack((wide.sum(axes), wide.square().sum(axes)))))  # type: ignore[no-untyped-call]
    mean = sums[0] / count
    variance = (sums[1] / count - mean.square()).clamp_min(0)
    with torch.no_grad():
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
    scale = (variance + self.eps).rsqrt() * self.weight
    return (wide * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(x.dtype)


class _Batch1d(nn.BatchNorm1d):
    forward = _forward  # type: ignore[assignment]


class _Batch2d(nn.BatchNorm2d):
    forward = _forward  # type: ignore[assignment]


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Make every batch norm of ``network`` use the statistics of all processes (torch's own on a GPU)."""
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    for module in network.modules():  # same parameters, same keys, another forward
        if type(module) is nn.BatchNorm1d:
            module.__class__ = _Batch1d
        elif type(module) is nn.BatchNorm2d:
            module.__class__ = _Batch2d
    return network
