"""ResNet (He et al., CVPR 2016) with the ends re-ID gives it; keys and arithmetic are torchvision's.

On top of it: IBN-Net (Pan et al., ECCV 2018), Bag of Tricks (Luo et al., CVPRW 2019) and AGW (Ye et al., TPAMI 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.layers import heads, pooling, style
from resight.models.layers.attention import Attention, NonLocal
from resight.models.layers.attention import build as attend
from resight.models.output import Output
from resight.models.registry import register

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class IBN(nn.Module):
    """IBN-a (Pan et al., ECCV 2018): instance normalisation of the first half of the channels, batch of the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2
        self.IN = nn.InstanceNorm2d(self.first, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.first)

    def forward(self, x: Tensor) -> Tensor:
        first, rest = x[:, : self.first], x[:, self.first :]
        return torch.cat((self.IN(first.contiguous()), self.BN(rest.contiguous())), 1)


class Residual(nn.Module):
    """What both blocks share: residual branch, attention on it, addition, ReLU, and perhaps a non-local block."""

    def __init__(self, inputs: int, outputs: int, stride: int, kind: Attention) -> None:
        super().__init__()
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.attention = attend(kind, outputs)
        self.after: nn.Module = nn.Identity()

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.after(F.relu(self.attention(self.branch(x)) + identity, inplace=True))
        return out


class BasicBlock(Residual):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    expansion = 1

    def __init__(
        self, inputs: int, width: int, stride: int = 1, *, ibn: bool = False, kind: Attention = "none"
    ) -> None:
        super().__init__(inputs, width, stride, kind)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = IBN(width) if ibn else nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def branch(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return out


class Bottleneck(Residual):
    """1x1, 3x3 (with the stride), 1x1 convolutions; four times as many channels come out as are inside."""

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int = 1, *, ibn: bool = False, kind: Attention = "none"
    ) -> None:
        super().__init__(inputs, 4 * width, stride, kind)
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = IBN(width) if ibn else nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)

    def branch(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        out: Tensor = self.bn3(self.conv3(x))
        return out


def check_non_local(wanted: Sequence[int], blocks: Sequence[int]) -> None:
    """Raise ModelError where a stage has not so many blocks."""
    fits = len(wanted) == len(blocks) and all(
        isinstance(one, int) and 0 <= one <= most for one, most in zip(wanted, blocks, strict=True)
    )
    if not fits:
        raise ModelError(
            f"non_local is {wanted!r}: give a whole number for each stage, up to its number of blocks {tuple(blocks)}."
        )


def initialise(network: nn.Module) -> None:
    """He-normal convolutions (fan out, whatever their groups); non-local blocks change nothing at first."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, NonLocal):
            module.start_as_identity()


class ResNetMaps(nn.Module):
    """ResNet without its end: ``maps`` gives (B, ``channels``, H / stride, W / stride), the carrier of other systems.

    Args:
        depth: 18, 34, 50 or 101.
        last_stride: of the last stage; 1 doubles the map's height and width (the total stride is 16, not 32).
        ibn: IBN-a in the first three stages.
        attention: CBAM on every residual branch: ``none``, ``channel``, ``spatial`` or ``both``.
        non_local: how many of the last blocks of each stage are followed by a non-local block.
        mixstyle: probability of MixStyle after each of the first two stages, in training.
    """

    def __init__(
        self,
        depth: int,
        *,
        last_stride: int = 2,
        ibn: bool = False,
        attention: Attention = "none",
        non_local: tuple[int, int, int, int] = (0, 0, 0, 0),
        mixstyle: float = 0.0,
    ) -> None:
        super().__init__()
        self.mixstyle = style.checked(mixstyle)
        if last_stride not in (1, 2):
            raise ModelError(f"last_stride is {last_stride}: choose 1 or 2.")
        check_non_local(non_local, LAYERS[depth])
        block: type[BasicBlock | Bottleneck] = BasicBlock if depth < 50 else Bottleneck
        self.depth = depth
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, count in enumerate(LAYERS[depth]):
            width, stride = 64 * 2**stage, (1, 2, 2, last_stride)[stage]
            blocks = nn.Sequential()
            for at in range(count):
                blocks.append(block(inputs, width, stride if at == 0 else 1, ibn=ibn and stage < 3, kind=attention))
                inputs = width * block.expansion
            self.add_module(f"layer{stage + 1}", blocks)
            for at in range(count - non_local[stage], count):
                blocks[at].after = NonLocal(inputs)
        self.channels = inputs
        initialise(self)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
            if self.training and stage <= 2:
                x = style.mix_style(x, self.mixstyle)
        return x


class ResNet(ResNetMaps):
    """ResNet as a re-ID model: pooled to one vector, compared with or without BNNeck.

    Trained with identity labels, the classifier is dropped and the pooled vector (2048-d for ResNet-50) compared.
    """

    def __init__(
        self,
        depth: int,
        num_identities: int = 0,
        head: heads.Head = "plain",
        pool: pooling.Pooling = "average",
        **arguments: Any,
    ) -> None:
        super().__init__(depth, **arguments)
        self.pool = pooling.build(pool)
        self.bottleneck, self.classifier = heads.build(head, self.channels, num_identities)

    def forward(self, x: Tensor) -> Output:
        return heads.output(self.pool(self.maps(x)), self.bottleneck, self.classifier)


def _build(depth: int, head: heads.Head | None = "plain", num_identities: int = 0, **arguments: Any) -> ResNetMaps:
    if head is None:
        return ResNetMaps(depth, **arguments)
    return ResNet(depth, num_identities, head, **arguments)


@register
def resnet18(**arguments: Any) -> ResNetMaps:
    """ResNet-18, 512-d embeddings; loads torchvision's weights."""
    return _build(18, **arguments)


@register
def resnet34(**arguments: Any) -> ResNetMaps:
    """ResNet-34, 512-d embeddings; loads torchvision's weights."""
    return _build(34, **arguments)


@register
def resnet50(**arguments: Any) -> ResNetMaps:
    """ResNet-50, 2048-d embeddings; loads torchvision's weights."""
    return _build(50, **arguments)


@register
def resnet50_ibn_a(**arguments: Any) -> ResNetMaps:
    """ResNet-50 with IBN-a, for other domains (Pan et al., ECCV 2018); loads the authors' weights."""
    return _build(50, **{"ibn": True} | arguments)


@register
def resnet101(**arguments: Any) -> ResNetMaps:
    """ResNet-101, 2048-d embeddings; loads torchvision's weights."""
    return _build(101, **arguments)


BAG_OF_TRICKS: dict[str, Any] = {"last_stride": 1, "head": "bnneck"}


@register
def bot_resnet50(**arguments: Any) -> ResNetMaps:
    """Bag of Tricks: ResNet-50 with last stride 1, global average and BNNeck (Luo et al., CVPRW 2019)."""
    return _build(50, **BAG_OF_TRICKS | arguments)


@register
def bot_resnet18(**arguments: Any) -> ResNetMaps:
    """Bag of Tricks on ResNet-18, for two cores."""
    return _build(18, **BAG_OF_TRICKS | arguments)


@register
def agw_resnet50(**arguments: Any) -> ResNetMaps:
    """AGW: Bag of Tricks with non-local blocks and generalised-mean pooling (Ye et al., TPAMI 2021)."""
    return _build(50, **BAG_OF_TRICKS | {"pool": "gem", "non_local": (0, 2, 3, 0)} | arguments)


@register
def agw_resnet18(**arguments: Any) -> ResNetMaps:
    """AGW's parts on ResNet-18 (one non-local block after each of the middle stages), for two cores."""
    return _build(18, **BAG_OF_TRICKS | {"pool": "gem", "non_local": (0, 1, 1, 0)} | arguments)
