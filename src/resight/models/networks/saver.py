"""SAVER: self-supervised attention for vehicles (Khorramshahi et al., ECCV 2020, arXiv 2004.06271).

A variational autoencoder reconstructs the image coarsely; the residual holds the details that distinguish vehicles; a
convex combination of image and residual goes into a ResNet.

Layers, latent size and weights of the terms are not given in the paper; we use nearest-neighbour upsampling in the
autoencoder (the paper cites "Deconvolution and Checkerboard Artifacts"), and alpha = sigmoid(a) with a learnt a that
starts at 0, which keeps the combination convex.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.layers import heads
from resight.models.output import Output
from resight.models.registry import carrier, register

WIDTHS = (32, 64, 128, 256, 256)


class VAE(nn.Module):
    """A convolutional variational autoencoder: 256x256 images, a code of ``latent`` x 8 x 8, and back.

    Encoder: per width a 4x4 convolution of stride 2, batch norm, leaky ReLU; then 1x1 convolutions to mean and log
    variance. Decoder: the mirror, with nearest-neighbour upsampling and 3x3 convolutions; its output is an image as
    the network sees it (normalised), so it has no last activation.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, latent: int = 128) -> None:
        super().__init__()
        encoder, decoder = nn.Sequential(), nn.Sequential()
        for inputs, outputs in pairwise((3, *widths)):
            encoder.append(
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, True)
                )
            )
        for inputs, outputs in pairwise((latent, *reversed(widths))):
            decoder.append(
                nn.Sequential(
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.LeakyReLU(0.2, True),
                )
            )
        decoder.append(nn.Conv2d(widths[0], 3, 3, 1, 1))
        self.encoder, self.decoder = encoder, decoder
        self.mean = nn.Conv2d(widths[-1], latent, 1)
        self.log_variance = nn.Conv2d(widths[-1], latent, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to its reconstruction, and mean and log variance of the code (B, latent, H/32, W/32).

        The code is drawn in training (z = mean + sigma * noise) and is the mean otherwise.
        """
        found = self.encoder(x)
        mean, log_variance = self.mean(found), self.log_variance(found)
        z = mean
        if self.training:
            z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        out = self.decoder(z)
        if out.shape != x.shape:  # sizes that 32 does not divide
            out = F.interpolate(out, x.shape[2:], mode="bilinear", align_corners=False)
        return out, mean, log_variance


class Reconstruction(nn.Module):
    """The autoencoder alone, for its own training; the embedding is the mean code, averaged over places."""

    def __init__(self, num_identities: int = 0, **vae: Any) -> None:
        super().__init__()
        self.vae = VAE(**vae)
        self.bottleneck, self.classifier = heads.build("plain", self.vae.mean.out_channels, num_identities)

    def forward(self, x: Tensor) -> Output:
        reconstruction, mean, log_variance = self.vae(x)
        found = heads.output(mean.mean((2, 3)), self.bottleneck, self.classifier)
        return found._replace(reconstruction=reconstruction, latent=(mean, log_variance))


class SAVER(nn.Module):
    """Residual attention in front of a ResNet: I_in = alpha I_o + (1 - alpha) I_r with I_r = I_o - VAE(I_o).

    Args:
        backbone: the registered ResNet behind it; its last stage keeps the resolution (last stride 1).
        alpha: a fixed weight of the image in [0, 1], or None to learn it.
        head: as of any model; BNNeck by default.
        vae: arguments of :class:`VAE`.
    """

    def __init__(
        self,
        backbone: str,
        num_identities: int = 0,
        *,
        head: heads.Head = "bnneck",
        alpha: float | None = None,
        vae: dict[str, Any] | None = None,
        **carrying: Any,
    ) -> None:
        super().__init__()
        if alpha is not None and not 0 <= alpha <= 1:
            raise ModelError(f"alpha is {alpha}: a convex combination needs a weight in [0, 1].")
        self.vae = VAE(**vae or {})
        self.backbone = carrier(backbone, **{"last_stride": 1} | carrying)
        self.fixed = alpha
        self.mix = nn.Parameter(torch.zeros(1)) if alpha is None else None
        self.bottleneck, self.classifier = heads.build(head, self.backbone.channels, num_identities)

    @property
    def alpha(self) -> Tensor:
        """The weight of the image, (1,); one minus it is the residual's."""
        return torch.tensor([self.fixed], dtype=torch.float32) if self.mix is None else self.mix.sigmoid()

    def combine(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """What the ResNet sees."""
        alpha = self.alpha.to(x.device)
        return alpha * x + (1 - alpha) * (x - reconstruction)

    def forward(self, x: Tensor) -> Output:
        reconstruction, mean, log_variance = self.vae(x)
        vector = self.backbone.maps(self.combine(x, reconstruction)).mean((2, 3))
        found = heads.output(vector, self.bottleneck, self.classifier)
        return found._replace(reconstruction=reconstruction, latent=(mean, log_variance))


@register(height=256, width=256)
def saver_vae(num_identities: int = 0, **arguments: Any) -> Reconstruction:
    """SAVER's autoencoder alone, to be trained before SAVER (its layers are not given in the paper)."""
    return Reconstruction(num_identities, **arguments)


@register(height=256, width=256)
def saver_resnet50(num_identities: int = 0, **arguments: Any) -> SAVER:
    """SAVER: VAE residual attention, ResNet-50, BNNeck, 256x256 vehicles (Khorramshahi et al., ECCV 2020)."""
    return SAVER("resnet50", num_identities, **arguments)


@register(height=128, width=128)
def saver_resnet18(num_identities: int = 0, **arguments: Any) -> SAVER:
    """SAVER on ResNet-18 at 128x128, for two cores."""
    return SAVER("resnet18", num_identities, **arguments)
