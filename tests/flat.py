"""A model whose embeddings are the pixels it is given."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resight.models.card import Card, Preprocessing
from resight.models.model import Model
from resight.models.output import Output


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Output:
        return Output((x * self.scale).flatten(1))


def flat_model(height: int = 32, width: int = 16) -> Model:
    """Embeds an image as its 3 x height x width values from 0 to 255, plane by plane; use the engine ``torch``."""
    to = Preprocessing(height=height, width=width, scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    return Model(Flat(), Card(architecture="flat", preprocessing=to, dim=3 * height * width, fingerprint="flat"))


def pixels_of(vectors: NDArray[np.float32], height: int = 32, width: int = 16) -> NDArray[np.uint8]:
    """The (N, H, W, 3) pixels that (N, D) embeddings of the flat model are."""
    planes = vectors.reshape(len(vectors), 3, height, width)
    assert np.array_equal(planes, np.round(planes))
    return planes.transpose(0, 2, 3, 1).astype(np.uint8)
