"""From an image to tokens: patches, and tables of positions that are resized to another grid.

Shape letters: ``R`` rows and ``C`` columns of the grid of patches, ``D`` width of the tokens.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Resizing = Literal["bilinear", "bicubic"]


def grid(height: int, width: int, patch: int, stride: int) -> tuple[int, int]:
    """(R, C): how many patches fit into an image without padding."""
    return (height - patch) // stride + 1, (width - patch) // stride + 1


class PatchEmbed(nn.Module):
    """A convolution that sees each patch once: (B, 3, H, W) to (B, R * C, D), row by row."""

    def __init__(self, dim: int, patch: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return out


class SplitNorm(nn.Module):
    """Instance norm for the first half of the channels, batch norm for the rest (IBN-a, arXiv 1807.09441)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2
        self.IN = nn.InstanceNorm2d(self.first, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.first)

    def forward(self, x: Tensor) -> Tensor:
        first, rest = x.split([self.first, x.shape[1] - self.first], dim=1)
        return torch.cat([self.IN(first.contiguous()), self.BN(rest.contiguous())], 1)


class IcsPatchEmbed(nn.Module):
    """The IBN-based convolution stem of TransReID-SSL (Luo et al. 2021, arXiv 2111.12084), for patches of 16."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            SplitNorm(64),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1, 1, bias=False),
            SplitNorm(64),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        )
        self.proj = nn.Conv2d(64, dim, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(self.conv(x)).flatten(2).transpose(1, 2)
        return out


def resize_positions(
    table: Tensor,
    old: tuple[int, int],
    new: tuple[int, int],
    how: Resizing = "bilinear",
    *,
    antialias: bool = False,
    offset: float | None = None,
) -> Tensor:
    """(R * C, D) positions of a grid ``old`` for a grid ``new``.

    Args:
        offset: resize by the factors (R' + offset) / R and (C' + offset) / C instead of by size. The two differ in
            where the samples lie; DINOv2 without registers uses 0.1.
    """
    if old == new and offset is None:
        return table
    image = table.reshape(1, *old, -1).permute(0, 3, 1, 2)
    if offset is None:
        resized = F.interpolate(image, size=new, mode=how, align_corners=False, antialias=antialias)
    else:
        factors = ((new[0] + offset) / old[0], (new[1] + offset) / old[1])
        resized = F.interpolate(image, scale_factor=factors, mode=how, align_corners=False, antialias=antialias)
    if resized.shape[2:] != new:
        raise ValueError(f"positions for {new} came out as {tuple(resized.shape[2:])}")
    return resized.permute(0, 2, 3, 1).reshape(new[0] * new[1], -1)
