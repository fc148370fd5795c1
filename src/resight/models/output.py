"""What every model returns, in training and in evaluation alike."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """One forward pass over a batch.

    Attributes:
        embedding: (B, D), what is compared at test time.
        features: tensors (B, D'), what metric losses are applied to.
        logits: tensors (B, number of training identities), what identity losses are applied to; empty without
            a classifier.
        attributes: (B, A) attribute logits, where a model has them.
        reconstruction: (B, 3, H, W), the input as the model saw it again, where it has a decoder.
        latent: mean and logarithm of the variance, both (B, ...), of the code it was decoded from.
    """

    embedding: Tensor
    features: tuple[Tensor, ...] = ()
    logits: tuple[Tensor, ...] = ()
    attributes: Tensor | None = None
    reconstruction: Tensor | None = None
    latent: tuple[Tensor, Tensor] | None = None
