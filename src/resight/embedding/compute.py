"""The inner loop of embedding: images of one size in, vectors out, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resight.errors import ModelError
from resight.images.batches import prefetch
from resight.images.cache import Images
from resight.images.stream import Batch
from resight.images.transforms import prepare
from resight.models.card import Preprocessing
from resight.models.output import Output
from resight.models.runtimes import settle_torch


def _embedding(output: Output) -> Tensor:
    return output.embedding


Progress = Callable[[int, int], None]  # (images done, images in all)


def shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    """``progress`` for a part of ``total`` images, of which ``done`` came before the part."""
    return None if progress is None else lambda more, _: progress(done + more, total)


def outputs(
    network: nn.Module,
    batches: Iterable[Batch],
    preprocessing: Preprocessing,
    *,
    flip: bool = False,
    pick: Callable[[Output], Tensor] = _embedding,
    cameras: NDArray[np.int64] | None = None,
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Each batch with the vectors (B, D) of its images, computed where the network's weights are; (0, 0) of no images.

    The network is put in evaluation mode for the time being. The arguments besides are those of :func:`embed`, and
    ``cameras``: (N,) from 1 on, which the network takes as a second argument, from 0 on.

    Raises:
        ModelError: a vector has NaN or infinity; the message names the weights that have, or else the image.
    """
    settle_torch()
    weight = next(network.parameters(), None)  # an exported network has none, and takes what lies in main memory
    device = torch.device("cpu") if weight is None else weight.device
    was_training = network.training
    if was_training:  # what engines make is not: threads share it
        network.eval()

    def begun(batch: Batch) -> Tensor:
        """The vectors, which a GPU may still be computing."""
        if not len(batch.pixels):
            return torch.empty(0, 0)
        pixels = torch.from_numpy(batch.pixels)
        if device.type == "cuda":  # what is copied from pinned memory does not keep the processor waiting
            pixels = pixels.pin_memory()
        with torch.no_grad():  # not inference_mode: weights converted in it could not be trained any more
            x = prepare(pixels.to(device, non_blocking=True), preprocessing, planes=weight is None)
            side = () if cameras is None else (torch.from_numpy(cameras[batch.positions] - 1).to(device),)
            found = pick(network(x, *side)).float()
            if flip:
                found = (found + pick(network(x.flip(3), *side)).float()) / 2
            return found

    def finished(batch: Batch, found: Tensor) -> tuple[Batch, NDArray[np.float32]]:
        vectors: NDArray[np.float32] = found.cpu().numpy()
        if not np.isfinite(vectors).all():
            raise _not_finite(network, batch, vectors)
        return batch, vectors

    ahead = 0 if device.type == "cpu" else 1  # a GPU computes a batch while the vectors of the one before are fetched
    under_way: deque[tuple[Batch, Tensor]] = deque()
    try:
        for batch in batches:
            under_way.append((batch, begun(batch)))
            if len(under_way) > ahead:
                yield finished(*under_way.popleft())
        for one in under_way:
            yield finished(*one)
    finally:
        if was_training:
            network.train()


def _not_finite(network: nn.Module, batch: Batch, vectors: NDArray[np.float32]) -> ModelError:
    for name, weights in network.state_dict().items():
        if not torch.isfinite(weights).all():
            return ModelError(
                f"The network has weights that are NaN or infinite, first in {name}: load a checkpoint from before "
                "the training went wrong."
            )
    image = batch.names[int(np.argmin(np.isfinite(vectors).all(axis=1)))]
    return ModelError(
        f"The network gives NaN or infinity for {image}: its numbers overflow; compute without 16 bits, use another "
        "engine, or compare the preprocessing in the model's card with that of its training."
    )


def embed(
    network: nn.Module,
    images: Images,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 64,
    flip: bool = False,
    pick: Callable[[Output], Tensor] = _embedding,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """The embeddings (N, D) of all ``images``, computed where the network's weights are.

    ``flip`` adds the embedding of the mirrored image to that of the image (the mean of both). The network is put in
    evaluation mode for the time being. ``pick`` takes something else from the output, (B, D) as well: attributes.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    done, vectors = 0, np.empty((0, 1), np.float32)
    batches = prefetch(images.batches(batch_size))
    for batch, found in outputs(network, batches, preprocessing, flip=flip, pick=pick):
        if not done:
            vectors = np.empty((len(images), found.shape[1]), np.float32)
        vectors[batch.positions] = found
        done += len(found)
        if progress:
            progress(done, len(images))
    return vectors
