"""OSNet with linear context transform, the network of Open Model Zoo's ``person-reidentification-retail-02xx``.

OSNet (arXiv 1905.00953) with three changes (Intel's deep-object-reid): instance normalisation of the input and of the
first convolution; in the second block of each stage a gate that normalises the means of groups of channels and then
scales and shifts each channel (LCT, Ruan et al., AAAI 2020, arXiv 1909.03834, Eq. 3 to 5); and, instead of the average
over the last map, a weight for each of its channels and places.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.layers import heads
from resight.models.networks.osnet import WIDTHS, ConvNorm, OSBlock, initialise
from resight.models.output import Output
from resight.models.registry import register

MAP = (16, 8)  # height and width of the last map for images of 256x128
DIM = 256
GROUPS = 16
Norm = Literal["batch", "fixed"]


class ContextGate(nn.Module):
    """Linear context transform: ``x * sigmoid(w * z + b)``, z the channels' means normalised within each group."""

    def __init__(self, channels: int, groups: int = GROUPS) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(channels, 1, 1))
        self.b = nn.Parameter(torch.zeros(channels, 1, 1))
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3)).unflatten(1, (self.groups, -1))
        centred = means - means.mean(2, keepdim=True)
        z = centred * (centred.square().mean(2, keepdim=True) + 1e-5).rsqrt()
        gate = torch.sigmoid(self.w.flatten() * z.flatten(1) + self.b.flatten())  # (B, C): OpenVINO would compute it
        return x * gate[:, :, None, None]  # once for each place of the map, had it the map's four dimensions


class WeightedSum(nn.Module):
    """The last map (B, C, H, W) to (B, C): each channel a sum over places with weights of its own, and a bias.

    For a map of 16x8 it is the published depthwise convolution over the whole map. For another size the weights are
    interpolated, and scaled so that the sum over a constant map stays nearly the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, *MAP), 1 / (MAP[0] * MAP[1])))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        size = x.shape[-2:]
        if tuple(size) != MAP:
            weight = F.interpolate(weight, (int(size[0]), int(size[1])), mode="bilinear", antialias=True)
            weight = weight * (MAP[0] * MAP[1] / (int(size[0]) * int(size[1])))
        return (x * weight.squeeze(1)).sum((2, 3)) + self.bias


class OSNetLCT(nn.Module):
    """The whole network: 256-d embeddings, made for images of 256x128 pixels.

    Args:
        widths: channels of the first convolution and of the three stages.
        num_identities: size of the classifier used in training; 0 for none.
        head: as :func:`resight.models.layers.heads.build`.
        norm: ``fixed`` keeps the loaded means and variances of batch normalisation in training as well, for weights
            whose batch normalisation was folded into the convolutions.

    Raises:
        ModelError: no such ``norm``.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        num_identities: int = 0,
        head: heads.Head = "plain",
        *,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if norm not in ("batch", "fixed"):
            raise ModelError(f"norm {norm!r} does not exist: choose 'batch' or 'fixed'.")
        self.norm = norm
        self.input_IN = nn.InstanceNorm2d(3, affine=True)
        self.conv1 = ConvNorm(3, widths[0], 7, 2, instance=True)
        self.conv2, self.conv3, self.conv4 = (
            nn.Sequential(
                OSBlock(inputs, outputs),
                _with_context(OSBlock(outputs, outputs)),
                *([nn.Sequential(ConvNorm(outputs, outputs), nn.AvgPool2d(2))] if stage < 4 else []),
            )
            for stage, (inputs, outputs) in enumerate(pairwise(widths), start=2)
        )
        self.conv5 = ConvNorm(widths[3], widths[3])
        self.pool = WeightedSum(widths[3])
        self.fc = nn.Sequential(nn.Linear(widths[3], DIM), nn.BatchNorm1d(DIM), nn.PReLU())
        initialise(self)
        self.bottleneck, self.classifier = heads.build(head, DIM, num_identities)

    def train(self, mode: bool = True) -> OSNetLCT:
        super().train(mode)
        if self.norm == "fixed":
            for module in self.modules():
                if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Output:
        x = F.max_pool2d(self.conv1(self.input_IN(x)), 3, 2, 1)
        x = self.conv5(self.conv4(self.conv3(self.conv2(x))))
        return heads.output(self.fc(self.pool(x)), self.bottleneck, self.classifier)


def _with_context(block: OSBlock) -> OSBlock:
    block.gate = ContextGate(block.conv1.conv.out_channels)
    return block


@register
def osnet_lct_x1_0(**arguments: Any) -> OSNetLCT:
    """OSNet-LCT, full width, as person-reidentification-retail-0265: 2.1 M parameters."""
    return OSNetLCT(WIDTHS["1_0"], **arguments)


@register
def osnet_lct_x0_5(**arguments: Any) -> OSNetLCT:
    """OSNet-LCT, half width, as person-reidentification-retail-0287: 0.60 M parameters."""
    return OSNetLCT(WIDTHS["0_5"], **arguments)
