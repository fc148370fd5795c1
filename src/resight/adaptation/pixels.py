"""The crops as a network takes them: their embeddings, and batches for its statistics.

Shape letters: ``N`` images, ``B`` batch, ``D`` embedding, ``H, W`` image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resight.adaptation.crops import Crops
from resight.embedding.compute import embed
from resight.embedding.engines.make import build
from resight.images.cache import Images
from resight.images.decode import decode
from resight.images.transforms import prepare
from resight.models.card import Card
from resight.models.model import Model

Progress = Callable[[int, int], None]
_BATCH = 64
_SHAPES = 48  # pictures whose height and width are looked at


def embedded(
    network: nn.Module, card: Card, images: Images, device: torch.device, progress: Progress | None = None
) -> NDArray[np.float32]:
    """The embeddings (N, D) by a network as it is now, which stays as it is."""
    ready = build(Model(network, card), "torch", device)
    return embed(ready, images, card.preprocessing, batch_size=_BATCH, progress=progress)


def in_random_order(images: Images, card: Card, device: torch.device, most: int, seed: int = 0) -> Iterator[Tensor]:
    """Batches (B, 3, H, W) of at most ``most`` of N images, each image once; B is above 1."""
    order = np.random.default_rng(seed).permutation(len(images))[:most]
    for start in range(0, len(order), _BATCH):
        some = order[start : start + _BATCH]
        if len(some) > 1:
            yield prepare(torch.from_numpy(np.ascontiguousarray(images.read(some))).to(device), card.preprocessing)


def shapes(crops: Crops) -> NDArray[np.int64]:
    """(M, 2) height and width in pixels of some of the crops, evenly chosen."""
    chosen = np.unique(np.linspace(0, len(crops) - 1, _SHAPES).astype(np.int64))
    return np.array([decode(path).shape[:2] for path in crops.images.paths[chosen].tolist()], np.int64)
