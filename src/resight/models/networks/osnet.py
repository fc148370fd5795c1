"""OSNet: omni-scale feature learning (Zhou et al., ICCV 2019, arXiv 1905.00953; TPAMI 2021, arXiv 1910.06827).

State-dict keys equal torchreid's, so published checkpoints load. Batch norm follows every convolution
unless stated otherwise.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.layers import heads, style
from resight.models.layers.attention import Attention
from resight.models.layers.attention import build as attend
from resight.models.output import Output
from resight.models.registry import register

WIDTHS = {
    "1_0": (64, 256, 384, 512),
    "0_75": (48, 192, 288, 384),
    "0_5": (32, 128, 192, 256),
    "0_25": (16, 64, 96, 128),
}
Gate = Literal["unified", "separate", "stream", "add", "concatenate"]


class ConvNorm(nn.Module):
    """Convolution without bias, then batch (or instance) normalisation, then ReLU if wanted."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, relu: bool = True, instance: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.InstanceNorm2d(outputs, affine=True) if instance else nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.relu(x, inplace=True) if self.relu else x


class LightConv3x3(nn.Module):
    """Lite 3x3: a linear 1x1 convolution, then a depthwise 3x3 one, batch norm and ReLU (paper Fig. 3b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv2(self.conv1(x))), inplace=True)


class ChannelGate(nn.Module):
    """The aggregation gate G: per image and channel a weight in (0, 1), from the stream's own mean (Eq. 3).

    With ``outputs=1`` one weight for the whole stream (the ablation "stream-wise gate").
    """

    def __init__(self, channels: int, reduction: int = 16, outputs: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, outputs or channels, 1)

    def weights(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the gate's values (B, C or 1, 1, 1)."""
        gate: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return gate.sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


def fusion(kind: Gate, channels: int, streams: int) -> nn.ModuleList:
    """The gate of each stream, in order; the same module several times where they share one.

    Raises:
        ModelError: no such kind of gate, or a number of streams that is not 1 to 4.
    """
    if not 1 <= streams <= 4:
        raise ModelError(f"OSNet has 1 to 4 streams, not {streams}.")
    if kind in ("add", "concatenate"):
        return nn.ModuleList(nn.Identity() for _ in range(streams))
    if kind == "separate":
        return nn.ModuleList(ChannelGate(channels) for _ in range(streams))
    if kind not in ("unified", "stream"):
        raise ModelError(
            f"gate {kind!r} does not exist: choose 'unified', 'separate', 'stream', 'add' or 'concatenate'."
        )
    return nn.ModuleList([ChannelGate(channels, outputs=1 if kind == "stream" else None)] * streams)


class OSBlock(nn.Module):
    """Streams of 1 to 4 lite 3x3 convolutions (receptive fields 3, 5, 7, 9), gated, summed, and added to x.

    ``instance_norm`` puts instance normalisation after that addition (OSNet-IBN). ``gate`` and ``streams`` are the
    paper's ablations (Table 5): one gate for all streams, one each, one weight per stream, none, or none and the
    streams side by side instead of summed. ``attention`` is CBAM at the end of the residual branch.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        instance_norm: bool = False,
        gate: Gate = "unified",
        streams: int = 4,
        attention: Attention = "none",
    ) -> None:
        super().__init__()
        middle = outputs // 4
        gates = fusion(gate, middle, streams)
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2a = LightConv3x3(middle)
        for depth in range(2, streams + 1):
            self.add_module(f"conv2{'abcd'[depth - 1]}", nn.Sequential(*(LightConv3x3(middle) for _ in range(depth))))
        self.gate: nn.Module = gates[0] if gate in ("unified", "stream") else gates
        self.conv3 = ConvNorm(middle * streams if gate == "concatenate" else middle, outputs, relu=False)
        self.downsample = ConvNorm(inputs, outputs, relu=False) if inputs != outputs else None
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance_norm else None
        self.attention = attend(attention, outputs)
        self.streams, self.concatenate = streams, gate == "concatenate"

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        gates = self.gate if isinstance(self.gate, nn.ModuleList) else [self.gate] * self.streams
        first, *others = (gate(getattr(self, f"conv2{at}")(x)) for gate, at in zip(gates, "abcd", strict=False))
        x = self.conv3(torch.cat((first, *others), 1) if self.concatenate else sum(others, start=first))
        x = self.attention(x) + identity
        return F.relu(x if self.IN is None else self.IN(x))


def initialise(network: nn.Module) -> None:
    """The authors' start: He-normal (fan out) convolutions, N(0, 0.01) linear layers, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)


class OSNetMaps(nn.Module):
    """OSNet without its end: ``maps`` gives (B, ``channels``, H/16, W/16), the carrier of other systems.

    ``mixstyle``: probability of MixStyle after each of the first two stages, in training.
    """

    def __init__(
        self, widths: tuple[int, ...], *, instance_norm: bool = False, mixstyle: float = 0.0, **block: Any
    ) -> None:
        super().__init__()
        self.mixstyle = style.checked(mixstyle)
        self.conv1 = ConvNorm(3, widths[0], 7, 2, instance=instance_norm)
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(
                OSBlock(inputs, outputs, instance_norm=instance_norm and stage == 2, **block),
                OSBlock(outputs, outputs, instance_norm=instance_norm and stage == 2, **block),
                *([nn.Sequential(ConvNorm(outputs, outputs), nn.AvgPool2d(2))] if stage < 4 else []),
            )
            for stage, (inputs, outputs) in enumerate(pairwise(widths), start=2)
        )
        self.conv5 = ConvNorm(widths[3], widths[3])
        self.channels = widths[3]
        initialise(self)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map."""
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        for stage in (self.conv2, self.conv3):
            x = stage(x)
            if self.training:
                x = style.mix_style(x, self.mixstyle)
        out: Tensor = self.conv5(self.conv4(x))
        return out


class OSNet(OSNetMaps):
    """The whole network; 256x128 images give 512-d embeddings at every width (SPECS: paper Table 1)."""

    def __init__(
        self, widths: tuple[int, ...], num_identities: int = 0, head: heads.Head = "plain", **arguments: Any
    ) -> None:
        super().__init__(widths, **arguments)
        self.fc = heads.reduction(self.channels)
        self.bottleneck, self.classifier = heads.build(head, 512, num_identities)

    def forward(self, x: Tensor) -> Output:
        return heads.output(self.fc(self.maps(x).mean((2, 3))), self.bottleneck, self.classifier)


def _build(width: str, head: heads.Head | None = "plain", num_identities: int = 0, **arguments: Any) -> OSNetMaps:
    if head is None:
        return OSNetMaps(WIDTHS[width], **arguments)
    return OSNet(WIDTHS[width], num_identities, head, **arguments)


@register
def osnet_x1_0(**arguments: Any) -> OSNetMaps:
    """OSNet, full width: 2.17 M parameters, 979 M multiply-adds at 256x128."""
    return _build("1_0", **arguments)


@register
def osnet_x0_75(**arguments: Any) -> OSNetMaps:
    """OSNet, 0.75 width: 1.29 M parameters, 572 M multiply-adds at 256x128."""
    return _build("0_75", **arguments)


@register
def osnet_x0_5(**arguments: Any) -> OSNetMaps:
    """OSNet, half width: 0.63 M parameters, 273 M multiply-adds at 256x128."""
    return _build("0_5", **arguments)


@register
def osnet_x0_25(**arguments: Any) -> OSNetMaps:
    """OSNet, quarter width: 0.20 M parameters, 82 M multiply-adds at 256x128."""
    return _build("0_25", **arguments)


@register
def osnet_ibn_x1_0(**arguments: Any) -> OSNetMaps:
    """OSNet-IBN, full width: instance normalisation in the first two stages, for other domains (ICCV 2019)."""
    return _build("1_0", **{"instance_norm": True} | arguments)
