"""Identity loss: softmax cross entropy with label smoothing (Szegedy et al. 2016)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the batch of ``-sum_c q_c log p_c`` with ``q = (1 - smoothing) * onehot + smoothing / C``.

    Args:
        logits: (B, C), any float type; computed in float32.
        labels: (B,) int64 in [0, C).
        smoothing: in [0, 1).
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
