"""OSNet-AIN: instance normalisation where a differentiable search put it (Zhou et al., TPAMI 2021, arXiv 1910.06827).

State-dict keys equal torchreid's ``osnet_ain``, which differ from plain OSNet's.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from resight.models.layers import heads, style
from resight.models.networks.osnet import WIDTHS, ChannelGate, ConvNorm, LightConv3x3, initialise
from resight.models.output import Output
from resight.models.registry import register

INSTANCE_NORM = {2: (True, True), 3: (False, True), 4: (True, False)}  # which blocks of each stage have it


class Stream(nn.Module):
    """``depth`` lite 3x3 convolutions in a row."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LightConv3x3(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class AINBlock(nn.Module):
    """An omni-scale block; ``instance_norm`` replaces the batch norm at the end of the residual branch."""

    def __init__(self, inputs: int, outputs: int, *, instance_norm: bool) -> None:
        super().__init__()
        middle = outputs // 4
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2 = nn.ModuleList(Stream(middle, depth) for depth in (1, 2, 3, 4))
        self.gate = ChannelGate(middle)
        self.conv3 = ConvNorm(middle, outputs, relu=False)
        self.downsample = ConvNorm(inputs, outputs, relu=False) if inputs != outputs else None
        self.IN = None
        if instance_norm:
            self.conv3.bn = nn.Identity()  # type: ignore[assignment]
            self.IN = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        first, *others = (self.gate(stream(x)) for stream in self.conv2)
        x = self.conv3(sum(others, start=first))
        return F.relu((x if self.IN is None else self.IN(x)) + identity)


class OSNetAINMaps(nn.Module):
    """The searched network without its end: ``maps`` gives (B, ``channels``, H/16, W/16).

    ``mixstyle``: probability of MixStyle after each of the first two stages, in training.
    """

    def __init__(self, widths: tuple[int, ...], *, mixstyle: float = 0.0) -> None:
        super().__init__()
        self.mixstyle = style.checked(mixstyle)
        self.conv1 = ConvNorm(3, widths[0], 7, 2, instance=True)
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(
                AINBlock(widths[stage - 2], widths[stage - 1], instance_norm=INSTANCE_NORM[stage][0]),
                AINBlock(widths[stage - 1], widths[stage - 1], instance_norm=INSTANCE_NORM[stage][1]),
            )
            for stage in (2, 3, 4)
        )
        self.pool2, self.pool3 = (
            nn.Sequential(ConvNorm(width, width), nn.AvgPool2d(2)) for width in (widths[1], widths[2])
        )
        self.conv5 = ConvNorm(widths[3], widths[3])
        self.channels = widths[3]
        initialise(self)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map."""
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        for stage, pool in ((self.conv2, self.pool2), (self.conv3, self.pool3)):
            x = pool(stage(x))
            if self.training:
                x = style.mix_style(x, self.mixstyle)
        out: Tensor = self.conv5(self.conv4(x))
        return out


class OSNetAIN(OSNetAINMaps):
    """The searched network; widths and shapes as in :class:`~resight.models.networks.osnet.OSNet`."""

    def __init__(
        self, widths: tuple[int, ...], num_identities: int = 0, head: heads.Head = "plain", **arguments: Any
    ) -> None:
        super().__init__(widths, **arguments)
        self.fc = heads.reduction(self.channels)
        self.bottleneck, self.classifier = heads.build(head, 512, num_identities)

    def forward(self, x: Tensor) -> Output:
        return heads.output(self.fc(self.maps(x).mean((2, 3))), self.bottleneck, self.classifier)


def _build(width: str, head: heads.Head | None = "plain", num_identities: int = 0, **arguments: Any) -> OSNetAINMaps:
    if head is None:
        return OSNetAINMaps(WIDTHS[width], **arguments)
    return OSNetAIN(WIDTHS[width], num_identities, head, **arguments)


@register
def osnet_ain_x1_0(**arguments: Any) -> OSNetAINMaps:
    """OSNet-AIN, full width, for domains other than the one trained on; compare its embeddings by cosine."""
    return _build("1_0", **arguments)


@register
def osnet_ain_x0_75(**arguments: Any) -> OSNetAINMaps:
    """OSNet-AIN, 0.75 width."""
    return _build("0_75", **arguments)


@register
def osnet_ain_x0_5(**arguments: Any) -> OSNetAINMaps:
    """OSNet-AIN, half width."""
    return _build("0_5", **arguments)


@register
def osnet_ain_x0_25(**arguments: Any) -> OSNetAINMaps:
    """OSNet-AIN, quarter width."""
    return _build("0_25", **arguments)
