"""Random initial weights."""

from __future__ import annotations

from torch import nn


def he_normal(network: nn.Module) -> None:
    """He-normal convolutions (fan out; a depthwise one counts the one map that each filter gives)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            depthwise = module.groups > 1
            nn.init.kaiming_normal_(module.weight, mode="fan_in" if depthwise else "fan_out", nonlinearity="relu")
