"""An architecture at a glance: its stages, their output shapes, parameters and multiply-adds."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from resight.models import registry


@dataclass(frozen=True)
class Stage:
    """One child of the network: ``output`` is its shape without the batch axis."""

    name: str
    output: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """A network without a classifier; multiply-adds of convolutions and matrix products for one image."""

    name: str
    about: str
    height: int
    width: int
    dim: int
    parameters: int
    multiply_adds: int
    stages: tuple[Stage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def summarise(name: str, height: int = 256, width: int = 128) -> Summary:
    """Build ``name`` and pass one image of the given size through it."""
    network = registry.create(name).eval()
    stages: list[Stage] = []

    def record(child: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            stages.append(Stage(child, tuple(output.shape[1:]), sum(p.numel() for p in module.parameters())))

        return hook

    for child, module in network.named_children():
        module.register_forward_hook(record(child))
    with torch.inference_mode(), FlopCounterMode(display=False) as flops:
        embedding = network(torch.zeros(1, 3, height, width)).embedding
    about = (inspect.getdoc(registry.builder(name)) or "").splitlines()[0]
    total = sum(p.numel() for p in network.parameters())
    return Summary(name, about, height, width, embedding.shape[1], total, flops.get_total_flops() // 2, tuple(stages))
