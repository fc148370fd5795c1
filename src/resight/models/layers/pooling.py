"""From a feature map (B, C, H, W) to vectors (B, C)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from resight.errors import ModelError

Pooling = Literal["average", "max", "gem"]


class GeM(nn.Module):
    """Generalised mean, (mean x^p)^(1/p) with a learnable p: 1 is the average, infinity the maximum.

    Radenovic et al. 2018; start and clamp as in AGW (Ye et al. 2021). Computed in float32.
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor([p]))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x.float().clamp_min(self.eps).pow(self.p.float()).mean((2, 3)).pow(1 / self.p.float()).to(x.dtype)


class Average(nn.Module):
    """Global average."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Maximum(nn.Module):
    """Global maximum."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


def build(kind: Pooling) -> nn.Module:
    """The pooling of that name.

    Raises:
        ModelError: no such pooling.
    """
    kinds: dict[str, type[nn.Module]] = {"average": Average, "max": Maximum, "gem": GeM}
    if kind not in kinds:
        raise ModelError(f"pooling {kind!r} does not exist: choose one of {', '.join(kinds)}.")
    return kinds[kind]()


def edges(rows: int, stripes: int) -> list[int]:
    """Where the horizontal stripes of a map begin, and where the last ends: equal, or as equal as rows allow.

    Raises:
        ModelError: more stripes than rows.
    """
    if not 1 < stripes <= rows:
        raise ModelError(
            f"a map of {rows} rows cannot be divided into {stripes} stripes: choose 2 to {rows}, or larger images."
        )
    return [at * rows // stripes for at in range(stripes + 1)]
