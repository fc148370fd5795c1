"""ResNeSt: split attention in a ResNet (Zhang et al., CVPRW 2022, arXiv 2004.08955).

Keys are those of the authors' code, also in fast-reid, whose ``sbs_S50`` is BoT-SORT's usual re-ID model.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.layers import heads
from resight.models.layers.attention import NonLocal
from resight.models.networks.resnet import IBN, Residual, check_non_local, initialise
from resight.models.registry import register

LAYERS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STEMS = {50: 32, 101: 64}  # channels of the first convolution
RADIX = 2


class SplitAttention(nn.Module):
    """Two 3x3 convolutions side by side, summed with weights (softmax over the two) from their common mean."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        inner, outputs = max(channels * RADIX // 4, 32), channels * RADIX
        self.conv = nn.Conv2d(channels, outputs, 3, 1, dilation, dilation, groups=RADIX, bias=False)
        self.bn0 = nn.BatchNorm2d(channels * RADIX)
        self.fc1 = nn.Conv2d(channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.fc2 = nn.Conv2d(inner, channels * RADIX, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = F.relu(self.bn0(self.conv(x)), inplace=True).chunk(RADIX, 1)
        mean = (first + second).mean((2, 3), keepdim=True)
        one, other = self.fc2(F.relu(self.bn1(self.fc1(mean)))).chunk(RADIX, 1)
        share = (one - other).sigmoid()  # the softmax of two
        out: Tensor = share * first + (1 - share) * second
        return out


class SplitBlock(Residual):
    """1x1 convolution, split attention, 1x1 convolution; an average pooling takes the place of the stride."""

    expansion = 4

    def __init__(
        self, inputs: int, width: int, stride: int, *, ibn: bool = False, pooled: bool = False, dilation: int = 1
    ) -> None:
        outputs = 4 * width
        super().__init__(inputs, outputs, stride, "none")
        if self.downsample is not None:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = IBN(width) if ibn else nn.BatchNorm2d(width)
        self.conv2 = SplitAttention(width, dilation)
        self.avd_layer = nn.AvgPool2d(3, stride, 1) if pooled else nn.Identity()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)

    def branch(self, x: Tensor) -> Tensor:
        x = self.avd_layer(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        out: Tensor = self.bn3(self.conv3(x))
        return out


class ResNeSt(heads.Pooled):
    """ResNeSt with the ends of re-ID.

    Args:
        depth: 50 or 101.
        last_stride: of the last stage; 1 doubles the map's height and width (the total stride is 16, not 32).
        dilated: the last stage's convolutions after its first block have dilation 2, as in fast-reid's last version.
        ibn: IBN-a in all stages.
        non_local: how many of the last blocks of each stage are followed by a non-local block.
        end: neck, pooling and reduction (:meth:`resight.models.layers.heads.Pooled.add_end`).
    """

    def __init__(
        self,
        depth: int,
        *,
        last_stride: int = 2,
        dilated: bool = False,
        ibn: bool = False,
        non_local: tuple[int, int, int, int] = (0, 0, 0, 0),
        **end: Any,
    ) -> None:
        super().__init__()
        if last_stride not in (1, 2):
            raise ModelError(f"last_stride is {last_stride}: choose 1 or 2.")
        if depth not in LAYERS:
            raise ModelError(f"ResNeSt has depth 50 or 101 here, not {depth}.")
        check_non_local(non_local, LAYERS[depth])
        stem = STEMS[depth]
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(stem, stem, 3, 1, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(stem, 2 * stem, 3, 1, 1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(2 * stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 2 * stem
        for stage, count in enumerate(LAYERS[depth]):
            width, stride = 64 * 2**stage, (1, 2, 2, last_stride)[stage]
            blocks = nn.Sequential()
            for at in range(count):
                first, dilation = at == 0, 2 if dilated and stage == 3 and at > 0 else 1
                pooled = first and stage > 0
                blocks.append(
                    SplitBlock(inputs, width, stride if first else 1, ibn=ibn, pooled=pooled, dilation=dilation)
                )
                inputs = 4 * width
            self.add_module(f"layer{stage + 1}", blocks)
            for at in range(count - non_local[stage], count):
                blocks[at].after = NonLocal(inputs)
        self.channels = inputs
        initialise(self)
        self.add_end(**end)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
        return x


@register(height=384, width=128)
def fastreid_resnest(depth: int = 50, **arguments: Any) -> ResNeSt:
    """fast-reid's ResNeSt of either depth, as in BoT-SORT (mot17_sbs_S50): dilated, generalised mean, BNNeck."""
    own: dict[str, Any] = {"last_stride": 1, "dilated": True, "head": "bnneck", "pool": "gem"}
    return ResNeSt(depth, **own | arguments)
