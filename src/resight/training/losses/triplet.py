"""Batch-hard triplet loss (Hermans et al. 2017, arXiv 1703.07737)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (A, B) between the rows of (A, D) and (B, D), in float32, differentiable at zero."""
    a, b = a.float(), b.float()
    squared = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T
    return squared.clamp_min(1e-12).sqrt()


def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float | None = 0.3) -> Tensor:
    """Mean over anchors of ``[margin + d(a, hardest positive) - d(a, hardest negative)]_+``.

    The hardest positive is the farthest image of the same identity (the anchor itself included), the hardest
    negative the nearest of another one, both within the batch. ``margin=None`` is the soft margin,
    ``log(1 + exp(d_ap - d_an))``. An anchor without a negative counts nothing.

    Args:
        features: (B, D), compared by Euclidean distance, un-normalised.
        labels: (B,) int64.
        margin: in units of that distance.
    """
    d = distances(features, features)
    same = labels[:, None] == labels[None, :]
    positive = d.masked_fill(~same, float("-inf")).amax(1)
    negative = d.masked_fill(same, float("inf")).amin(1)
    gap = positive - negative
    per_anchor = F.softplus(gap) if margin is None else F.relu(gap + margin)
    valid = torch.isfinite(negative)
    return torch.where(valid, per_anchor, 0.0).sum() / valid.sum().clamp_min(1)
