"""The pairs of images in a batch, by cosine, for losses that weigh each of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_pairs(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines of features (B, D) with labels (B,), and which pairs are of one identity and of two; three of (B, B).

    An image is no pair with itself.
    """
    unit = F.normalize(features.float())
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return unit @ unit.T, same & ~itself, ~same


def log_sum(x: Tensor, pairs: Tensor) -> Tensor:
    """(B,) ``log sum exp`` over the marked entries of each row of ``x`` (B, B); very low, not infinite, without any.

    With infinity, rows without a pair would have a gradient of NaN.
    """
    return torch.where(pairs, x, torch.finfo(x.dtype).min / 4).logsumexp(1)
