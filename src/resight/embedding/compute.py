"""The inner loop of embedding: images of one size in, vectors out, in order and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resight.images.batches import prefetch
from resight.images.cache import Images
from resight.images.transforms import prepare
from resight.models.card import Preprocessing
from resight.models.output import Output


def _embedding(output: Output) -> Tensor:
    return output.embedding


Progress = Callable[[int, int], None]  # (images done, images in all)


def shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    """``progress`` for a part of ``total`` images, of which ``done`` came before the part."""
    return None if progress is None else lambda more, _: progress(done + more, total)


def embed(
    network: nn.Module,
    images: Images,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 64,
    flip: bool = False,
    pick: Callable[[Output], Tensor] = _embedding,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """The embeddings (N, D) of all ``images``, computed where the network's weights are.

    ``flip`` adds the embedding of the mirrored image to that of the image (the mean of both). The network is put in
    evaluation mode for the time being. ``pick`` takes something else from the output, (B, D) as well: attributes.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    total = len(images)
    starts = range(0, total, batch_size)
    vectors: NDArray[np.float32] | None = None
    read = (images.read(np.arange(start, min(start + batch_size, total))) for start in starts)
    try:
        with torch.inference_mode():  # not above: weights that are converted in it could not be trained any more
            for start, pixels in zip(starts, prefetch(read), strict=True):
                x = prepare(torch.from_numpy(pixels).to(device, non_blocking=True), preprocessing)
                found = pick(network(x)).float()
                if flip:
                    found = (found + pick(network(x.flip(3))).float()) / 2
                if vectors is None:
                    vectors = np.empty((total, found.shape[1]), np.float32)
                vectors[start : start + len(pixels)] = found.cpu().numpy()
                if progress:
                    progress(start + len(pixels), total)
    finally:
        network.train(was_training)
    return vectors if vectors is not None else np.empty((0, 1), np.float32)
