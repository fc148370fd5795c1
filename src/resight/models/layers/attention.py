"""Attention: CBAM's two modules, and the non-local block of AGW."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError

Attention = Literal["none", "channel", "spatial", "both"]


class ChannelAttention(nn.Module):
    """Which channels matter: sigmoid(MLP(average) + MLP(maximum)), one MLP for both (CBAM, ECCV 2018, Eq. 2)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // reduction)
        self.fc2 = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        average, maximum = (self.fc2(F.relu(self.fc1(v))) for v in (x.mean((2, 3)), x.amax((2, 3))))
        gate: Tensor = (average + maximum).sigmoid()
        return x * gate[:, :, None, None]


class SpatialAttention(nn.Module):
    """Spatial attention: sigmoid(BN(7x7 convolution of the maximum and the mean over channels)) (CBAM, Eq. 3).

    Batch norm and the order maximum, mean are those of the authors' code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        where: Tensor = self.bn(self.conv(torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)))
        return x * where.sigmoid()


def build(kind: Attention, channels: int) -> nn.Module:
    """CBAM for a residual branch of that many channels: channel, then spatial attention, or one of them, or nothing.

    Raises:
        ModelError: no such kind.
    """
    if kind not in ("none", "channel", "spatial", "both"):
        raise ModelError(f"attention {kind!r} does not exist: choose 'none', 'channel', 'spatial' or 'both'.")
    parts = nn.Sequential()
    if kind in ("channel", "both"):
        parts.add_module("channel", ChannelAttention(channels))
    if kind in ("spatial", "both"):
        parts.add_module("spatial", SpatialAttention())
    return parts if len(parts) else nn.Identity()


class NonLocal(nn.Module):
    """Non-local block: z = BN(W((theta^T phi / N) g)) + x, dot products scaled by N (no softmax).

    Wang et al. 2018, as in AGW (Ye et al. 2021). ``inner`` is 1 in AGW's released code (a quirk of integer division);
    the batch norm starts at zero, so the block begins as the identity.
    """

    def __init__(self, channels: int, inner: int = 1) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, inner, 1)
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.W = nn.Conv2d(inner, channels, 1)
        self.bn = nn.BatchNorm2d(channels)

    def start_as_identity(self) -> None:
        """The batch norm's weight and bias at zero; called after everything else has its initial values."""
        nn.init.zeros_(self.bn.weight)
        nn.init.zeros_(self.bn.bias)

    def forward(self, x: Tensor) -> Tensor:
        B, _, H, W = x.shape
        g, theta, phi = (conv(x).flatten(2) for conv in (self.g, self.theta, self.phi))  # (B, inner, N)
        y = g @ phi.transpose(1, 2) @ theta / (H * W)  # in this order no N x N matrix is made
        z: Tensor = self.bn(self.W(y.view(B, -1, H, W)))
        return z + x
