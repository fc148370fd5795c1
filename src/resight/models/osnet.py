"""OSNet: omni-scale feature learning (Zhou et al., ICCV 2019, arXiv 1905.00953; TPAMI 2021, arXiv 1910.06827).

State-dict keys equal torchreid's, so published checkpoints load. Batch norm follows every convolution unless said.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from resight.models import heads
from resight.models.output import Output
from resight.models.registry import register

WIDTHS = {
    "1_0": (64, 256, 384, 512),
    "0_75": (48, 192, 288, 384),
    "0_5": (32, 128, 192, 256),
    "0_25": (16, 64, 96, 128),
}
EMBEDDING = 512  # of every width


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
    """The unified aggregation gate G: per image and channel a weight in (0, 1), from the stream's own mean (Eq. 3)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()


class OSBlock(nn.Module):
    """Four streams of 1 to 4 lite 3x3 convolutions (receptive fields 3, 5, 7, 9), gated, summed, and added to x.

    ``instance_norm`` puts instance normalisation after that addition (OSNet-IBN).
    """

    def __init__(self, inputs: int, outputs: int, *, instance_norm: bool = False) -> None:
        super().__init__()
        middle = outputs // 4
        self.conv1 = ConvNorm(inputs, middle)
        self.conv2a = LightConv3x3(middle)
        self.conv2b, self.conv2c, self.conv2d = (
            nn.Sequential(*(LightConv3x3(middle) for _ in range(depth))) for depth in (2, 3, 4)
        )
        self.gate = ChannelGate(middle)
        self.conv3 = ConvNorm(middle, outputs, relu=False)
        self.downsample = ConvNorm(inputs, outputs, relu=False) if inputs != outputs else None
        self.IN = nn.InstanceNorm2d(outputs, affine=True) if instance_norm else None

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.conv1(x)
        first, *others = (self.gate(stream(x)) for stream in (self.conv2a, self.conv2b, self.conv2c, self.conv2d))
        x = self.conv3(sum(others, start=first)) + identity
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


def embedding_layer(inputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU: from the pooled map to the 512-d embedding."""
    return nn.Sequential(nn.Linear(inputs, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU(inplace=True))


class OSNet(nn.Module):
    """The whole network; 256x128 images give 512-d embeddings at every width (SPECS: paper Table 1)."""

    def __init__(
        self,
        widths: tuple[int, ...],
        num_identities: int = 0,
        head: heads.Head = "plain",
        *,
        instance_norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, widths[0], 7, 2, instance=instance_norm)
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(
                OSBlock(inputs, outputs, instance_norm=instance_norm and stage == 2),
                OSBlock(outputs, outputs, instance_norm=instance_norm and stage == 2),
                *([nn.Sequential(ConvNorm(outputs, outputs), nn.AvgPool2d(2))] if stage < 4 else []),
            )
            for stage, (inputs, outputs) in enumerate(pairwise(widths), start=2)
        )
        self.conv5 = ConvNorm(widths[3], widths[3])
        self.fc = embedding_layer(widths[3])
        initialise(self)
        self.bottleneck, self.classifier = heads.build(head, EMBEDDING, num_identities)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map (B, C, H/16, W/16)."""
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        out: Tensor = self.conv5(self.conv4(self.conv3(self.conv2(x))))
        return out

    def forward(self, x: Tensor) -> Output:
        return heads.output(self.fc(self.maps(x).mean((2, 3))), self.bottleneck, self.classifier)


@register
def osnet_x1_0(**arguments: Any) -> OSNet:
    """OSNet, full width: 2.17 M parameters, 979 M multiply-adds at 256x128."""
    return OSNet(WIDTHS["1_0"], **arguments)


@register
def osnet_x0_75(**arguments: Any) -> OSNet:
    """OSNet, 0.75 width: 1.29 M parameters, 572 M multiply-adds at 256x128."""
    return OSNet(WIDTHS["0_75"], **arguments)


@register
def osnet_x0_5(**arguments: Any) -> OSNet:
    """OSNet, half width: 0.63 M parameters, 273 M multiply-adds at 256x128."""
    return OSNet(WIDTHS["0_5"], **arguments)


@register
def osnet_x0_25(**arguments: Any) -> OSNet:
    """OSNet, quarter width: 0.20 M parameters, 82 M multiply-adds at 256x128."""
    return OSNet(WIDTHS["0_25"], **arguments)


@register
def osnet_ibn_x1_0(**arguments: Any) -> OSNet:
    """OSNet-IBN, full width: instance normalisation in the first two stages, for other domains (ICCV 2019)."""
    return OSNet(WIDTHS["1_0"], instance_norm=True, **arguments)
