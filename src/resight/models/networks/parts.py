"""Parts: horizontal stripes of the last map beside the whole of it, each with a reduction and a classifier of its own.

Stripes that each have to know the person: PCB, Sun et al., ECCV 2018, arXiv 1711.09349. The whole beside them: MGN,
Wang et al., ACM MM 2018, arXiv 1804.01438. On OSNet, with a maximum beside the average: LightMBN, Herzog et al., ICIP
2021, arXiv 2101.10774. Unlike in MGN and LightMBN all see the same map, so that the parts cost next to nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from resight.models.layers import heads
from resight.models.layers.pooling import edges
from resight.models.networks.dropblock import backbone_of
from resight.models.output import Output
from resight.models.registry import register


class PartsNet(nn.Module):
    """The average of the whole map, its maximum, and the averages of ``stripes`` stripes from top to bottom.

    ``features`` are the whole, the maximum and all stripes in a row; the embedding is all of them, by default
    512 + 256 + 4 * 128 entries. ``logits`` are of the whole, of the maximum and of each stripe, the whole's once for
    every stripe, so that it weighs as much in an identity loss as they do together.

    Args:
        backbone: the registered network that carries it.
        stripes: as equal as the rows of the map allow.
        dims: lengths of the reduced whole, maximum and stripe.
        carrying: arguments of the backbone.
    """

    def __init__(
        self,
        backbone: str,
        num_identities: int = 0,
        *,
        stripes: int = 4,
        dims: tuple[int, int, int] = (512, 256, 128),
        **carrying: Any,
    ) -> None:
        super().__init__()
        self.backbone = backbone_of(backbone, **carrying)
        whole, peak, stripe = dims
        lengths = [whole, peak] + [stripe] * stripes
        self.reductions = nn.ModuleList(heads.reduction(self.backbone.channels, length) for length in lengths)
        self.stripes = stripes
        self.classifier = heads.classifiers(lengths, num_identities)

    def forward(self, x: Tensor) -> Output:
        maps: Tensor = self.backbone.maps(x)
        stripes = pairwise(edges(maps.shape[2], self.stripes))
        pooled = (maps.mean((2, 3)), maps.amax((2, 3)), *(maps[:, :, top:end].mean((2, 3)) for top, end in stripes))
        whole, peak, *parts = (reduce(vector) for reduce, vector in zip(self.reductions, pooled, strict=True))
        logits = heads.logits(self.classifier, (whole, peak, *parts))
        features = (whole, peak, torch.cat(parts, 1))
        return Output(torch.cat(features, 1), features, logits[:1] * self.stripes + logits[1:])


@register(height=192, width=96)
def parts_osnet_x0_25(num_identities: int = 0, **arguments: Any) -> PartsNet:
    """Whole, maximum and four stripes of OSNet x0.25: 0.30 M parameters, 1280 entries."""
    return PartsNet("osnet_x0_25", num_identities, **arguments)


@register(height=384, width=128)
def parts_resnet50(num_identities: int = 0, **arguments: Any) -> PartsNet:
    """Whole, maximum and four stripes of ResNet-50 with the last stage at stride 1."""
    return PartsNet("resnet50", num_identities, **arguments)


@register(height=192, width=96)
def parts_efficientnet_lite0(num_identities: int = 0, **arguments: Any) -> PartsNet:
    """Whole, maximum and four stripes of EfficientNet-Lite0 with a total stride of 16."""
    return PartsNet("efficientnet_lite0", num_identities, **arguments)


@register(height=192, width=96)
def parts_mobilenet_v2(num_identities: int = 0, **arguments: Any) -> PartsNet:
    """Whole, maximum and four stripes of MobileNetV2 with a total stride of 16."""
    return PartsNet("mobilenet_v2", num_identities, **arguments)
