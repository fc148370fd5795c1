"""The modified ResNet-18 of a course's re-ID system: letterboxed 128x128 images, 256-d ReID features."""

from __future__ import annotations

from torch import Tensor, nn

from resight.models.layers import heads
from resight.models.networks.resnet import ResNetMaps
from resight.models.output import Output
from resight.models.registry import register


def layer(inputs: int, outputs: int) -> nn.Sequential:
    """FC, batch norm, ReLU, dropout 0.2."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True), nn.Dropout(0.2))


class ResNet18Course(ResNetMaps):
    """ResNet-18 whose stage 4 has no stride, average pooling over its 8x8 map, FC 512, FC 256, and a classifier.

    The backbone has 11,176,512 parameters, all of which ImageNet weights of ResNet-18 fill; ``fc1``, ``fc2`` and the
    classifier begin at random. At other input sizes than 128x128 the pooling takes the whole map as well.
    """

    def __init__(self, num_identities: int = 0) -> None:
        super().__init__(18, last_stride=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = layer(512, 512)
        self.fc2 = layer(512, 256)
        self.classifier = heads.classifier(256, num_identities) if num_identities else None

    def forward(self, x: Tensor) -> Output:
        feature = self.fc2(self.fc1(self.avgpool(self.maps(x)).flatten(1)))
        return Output(feature, (feature,), () if self.classifier is None else (self.classifier(feature),))


@register(height=128, width=128, resize="letterbox_corner")
def resnet18_course(num_identities: int = 0) -> ResNet18Course:
    """Modified ResNet-18 of a course's re-ID system: stage 4 without stride, 512-256 head, 256-d ReID features."""
    return ResNet18Course(num_identities)
