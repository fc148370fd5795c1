"""MixStyle (Zhou et al., ICLR 2021, arXiv 2104.02008): in training, images take over each other's feature statistics.

A channel's mean and deviation over an image hold much of its camera (light, colours, sharpness); mixing them between
images of a batch shows the later layers people before cameras that do not exist.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Beta

from resight.errors import ModelError

ALPHA = 0.1  # of the Beta distribution of the mixing weight; the paper's
_EPS = 1e-6


def checked(mixstyle: float) -> float:
    """The probability itself.

    Raises:
        ModelError: it is outside [0, 1].
    """
    if not 0 <= mixstyle <= 1:
        raise ModelError(f"mixstyle is {mixstyle}: a probability is in 0 to 1.")
    return mixstyle


def mix_style(x: Tensor, probability: float) -> Tensor:
    """(B, C, H, W) to the same with mixed statistics, in a share ``probability`` of the calls.

    Each image keeps a share of its own mean and deviation, drawn from Beta(0.1, 0.1), and takes the rest from another
    image of the batch. No gradient flows through the statistics.
    """
    if not probability or torch.rand(()) >= probability:
        return x
    with torch.no_grad():
        wide = x.float()
        mean, deviation = wide.mean((2, 3), keepdim=True), (wide.var((2, 3), keepdim=True) + _EPS).sqrt()
        own = Beta(ALPHA, ALPHA).sample((len(x), 1, 1, 1)).to(x.device)
        other = torch.randperm(len(x)).to(x.device)
        factor = own + (1 - own) * deviation[other] / deviation
        shift = own * mean + (1 - own) * mean[other] - factor * mean
    return x * factor.to(x.dtype) + shift.to(x.dtype)
