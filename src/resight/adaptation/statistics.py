"""The statistics of batch normalisation, on new crops: estimated again, or put where weights were folded into them.

Estimated again (AdaBN: Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016), a network
sees other light and other backgrounds as it saw those it was trained on; nothing else is learnt, and no label is used.

Published weights are often folded: their batch norms have mean 0 and deviation 1, and all scale is in the convolutions.
Such a network computes the right numbers but cannot be trained, since training normalises by the batch. Its batch norms
get the statistics of the new crops, and scale and shift that cancel them: the function stays the same.

Shape letters: ``C`` channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resight.errors import ModelError

_Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def norms(network: nn.Module) -> list[_Norm]:
    """The batch norms of a network that keep statistics and have scale and shift."""
    found = [one for one in network.modules() if isinstance(one, _Norm)]
    return [one for one in found if one.running_mean is not None and one.affine]


def folded(network: nn.Module) -> list[_Norm]:
    """Its batch norms that normalise nothing: mean 0, and one and the same deviation near 1."""
    return [one for one in norms(network) if _is_idle(one)]


def _is_idle(one: _Norm) -> bool:
    mean, variance = one.running_mean, one.running_var
    assert mean is not None and variance is not None
    flat = bool((variance == variance[0]).all()) and abs(float(variance[0]) - 1) < 1e-3
    return one.num_features > 1 and not mean.any() and flat


def unfold(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Give folded batch norms the statistics of some images, without changing the network's function.

    With m and v the mean and variance of a norm's input over the images, scale and shift become
    ``w sqrt(v + e) / s`` and ``b + w m / s``, where s is what it divided by until now.

    Args:
        network: changed in place; evaluated in evaluation mode.
        batches: (B, 3, H, W) inputs, some hundreds of images together.

    Returns:
        How many batch norms were folded.
    """
    idle = folded(network)
    if not idle:
        return 0
    seen = {one: _Moments(torch.zeros(one.num_features, dtype=torch.float64)) for one in idle}
    with _hooked(idle, lambda one, x: seen[one].add(x)), torch.no_grad():
        network.eval()
        for batch in batches:
            network(batch)
    with torch.no_grad():
        for one in idle:
            assert one.running_mean is not None and one.running_var is not None
            mean, variance = seen[one].result()
            before = (one.running_var.double() + one.eps).sqrt()
            factor = one.weight.double() / before
            one.bias.add_((factor * mean).to(one.bias))
            one.running_mean.copy_(mean)
            one.running_var.copy_(variance)
            one.weight.copy_(factor * (variance + one.eps).sqrt())
    return len(idle)


def reestimate(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Estimate the statistics of all batch norms again, in one pass, each as the mean over the batches.

    Args:
        network: changed in place; left in evaluation mode.
        batches: (B, 3, H, W) inputs, B at least 2, in random order.

    Returns:
        How many batch norms there are.

    Raises:
        ModelError: it has none, or their scale is folded into other weights.
    """
    every = norms(network)
    if not every:
        raise ModelError("The model has no batch normalisation whose statistics could be estimated again: train it.")
    if folded(network):
        raise ModelError(
            "The batch normalisation of this model is folded into its weights, so that its statistics cannot be "
            "estimated again: adapt it with --epochs 1 or more, or take weights that are not folded."
        )
    network.eval()
    momenta = [one.momentum for one in every]
    for one in every:
        one.reset_running_stats()
        one.momentum = None
        one.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for one, momentum in zip(every, momenta, strict=True):
        one.momentum = momentum
    network.eval()
    return len(every)


@dataclass
class _Moments:
    """Sums of what went into a batch norm, per channel, in float64."""

    sums: Tensor
    squares: Tensor | float = 0.0
    count: int = 0

    def add(self, x: Tensor) -> None:
        wide = x.detach().transpose(0, 1).flatten(1).double().cpu()
        self.sums = self.sums + wide.sum(1)
        self.squares = self.squares + wide.square().sum(1)
        self.count += wide.shape[1]

    def result(self) -> tuple[Tensor, Tensor]:
        mean = self.sums / self.count
        assert isinstance(self.squares, Tensor)
        return mean, (self.squares / self.count - mean.square()).clamp_min(0)


@contextmanager
def _hooked(every: list[_Norm], see: Callable[[Any, Tensor], None]) -> Iterator[None]:
    handles = [one.register_forward_pre_hook(lambda module, given: see(module, given[0])) for one in every]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
