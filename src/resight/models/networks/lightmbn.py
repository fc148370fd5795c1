"""LightMBN: a global, a part and a channel branch on OSNet (Herzog et al., ICIP 2021, arXiv 2101.10774).

Keys are those of the authors' code, except the classifiers, which are ``classifier.0`` to ``classifier.6`` here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.models.layers import heads
from resight.models.networks.osnet import WIDTHS, OSBlock, OSNetMaps
from resight.models.output import Output
from resight.models.registry import register

DROPPED = 0.33  # share of the rows that training drops


class Reduction(nn.Module):
    """A pooled map to a vector: a 1x1 convolution unless it is reduced already, then the BNNeck."""

    def __init__(self, channels: int, dim: int, *, reduced: bool = False) -> None:
        super().__init__()
        self.reduction = None if reduced else nn.Conv2d(channels, dim, 1, bias=False)
        self.bn = nn.BatchNorm1d(dim)
        self.bn.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, 1, 1) to the vector (B, D) before the neck and after it."""
        before = (x if self.reduction is None else self.reduction(x)).flatten(1)
        return before, self.bn(before)


class FeatureErase(nn.Module):
    """An OSNet block; in training, its rows with the highest activation are also dropped."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.drop_batch_bottleneck = OSBlock(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A map to the one without its strongest rows (the whole one outside training) and the whole one."""
        whole = self.drop_batch_bottleneck(x)
        return (without_strongest_rows(whole, DROPPED) if self.training else whole), whole


def without_strongest_rows(maps: Tensor, share: float) -> Tensor:
    """(B, C, H, W) with zeros in the rows that have the largest sum of squares over channels at any of their places."""
    rows = maps.shape[2]
    peak = maps.square().sum(1).amax(2)  # (B, H)
    dropped = peak.topk(round(share * rows), 1).indices
    kept = torch.ones_like(peak).scatter(1, dropped, 0.0)
    return maps * kept[:, None, :, None]


class LightMBN(nn.Module):
    """Seven vectors of three branches, each with BNNeck and a classifier of its own.

    In order: average and maximum of the global branch; maximum, upper half and lower half of the part branch; first
    and second half of the channels of the channel branch. ``features`` are the first three before their necks.

    Args:
        scale: of the OSNet trunk: ``"1_0"``, ``"0_75"``, ``"0_5"`` or ``"0_25"``.
        instance_norm: the trunk is OSNet-IBN.
        dim: length of each vector; the embedding has seven times as many entries, those of the seven vectors in turn.
        unit: normalise each of the seven vectors, as LightMBN's own test does.
    """

    def __init__(
        self,
        num_identities: int = 0,
        *,
        scale: str = "1_0",
        instance_norm: bool = False,
        dim: int = 512,
        unit: bool = True,
    ) -> None:
        super().__init__()
        trunk = OSNetMaps(WIDTHS[scale], instance_norm=instance_norm)
        channels, self.unit = trunk.channels, unit
        self.backbone = nn.Sequential(trunk.conv1, nn.MaxPool2d(3, 2, 1), trunk.conv2, trunk.conv3[0])
        self.global_branch, self.partial_branch, self.channel_branch = (self._branch(scale) for _ in range(3))
        self.batch_drop_block = FeatureErase(channels)
        for at in range(5):
            self.add_module(f"reduction_{at}", Reduction(channels, dim))
        self.shared = nn.Sequential(
            nn.Conv2d(channels // 2, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU(inplace=True)
        )
        for at in range(2):
            self.add_module(f"reduction_ch_{at}", Reduction(dim, dim, reduced=True))
        self.classifier: nn.ModuleList | None = None
        if num_identities:
            each = (heads.classifier(dim, num_identities, bias=False, deviation=0.001) for _ in range(7))
            self.classifier = nn.ModuleList(each)

    @staticmethod
    def _branch(scale: str) -> nn.Sequential:
        """The rest of OSNet after the first block of its third stage, with weights of its own."""
        rest = OSNetMaps(WIDTHS[scale])
        return nn.Sequential(rest.conv3[1:], rest.conv4, rest.conv5)

    def forward(self, x: Tensor) -> Output:
        x = self.backbone(x)
        dropped, whole = self.batch_drop_block(self.global_branch(x))
        part, channel = self.partial_branch(x), self.channel_branch(x).mean((2, 3), keepdim=True)
        rows, columns = part.shape[2], channel.shape[1] // 2
        pooled = (
            whole.mean((2, 3), keepdim=True),
            dropped.amax((2, 3), keepdim=True),
            part.amax((2, 3), keepdim=True),
            part[:, :, : (rows + 1) // 2].mean((2, 3), keepdim=True),
            part[:, :, rows // 2 :].mean((2, 3), keepdim=True),
        )
        found = [getattr(self, f"reduction_{at}")(vector) for at, vector in enumerate(pooled)]
        for at, half in enumerate((channel[:, :columns], channel[:, columns:])):
            found.append(getattr(self, f"reduction_ch_{at}")(self.shared(half)))
        before, after = zip(*found, strict=True)
        vectors = torch.stack([F.normalize(vector) for vector in after] if self.unit else after, 2)
        return Output(vectors.flatten(1), before[:3], heads.logits(self.classifier, after))


@register(height=384, width=128, interpolation="bilinear")
def lmbn_n(num_identities: int = 0, **arguments: Any) -> LightMBN:
    """LightMBN on OSNet: seven vectors of three branches, 3584-d embeddings."""
    return LightMBN(num_identities, **arguments)
