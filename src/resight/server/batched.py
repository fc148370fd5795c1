"""An embedder whose pictures go through the model together with those of other threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from resight.embedding.compute import Progress
from resight.embedding.embedder import Embedder
from resight.images.decode import Pixels
from resight.images.stream import Batch, OnError
from resight.server.batching import Batcher
from resight.server.metrics import Metrics


class BatchedEmbedder(Embedder):
    """As another embedder, for many threads at once.

    Args:
        embedder: computes the embeddings.
        queue: how many pictures may wait; one more is refused (503).
        metrics: where its work is counted.
    """

    def __init__(self, embedder: Embedder, queue: int, metrics: Metrics) -> None:
        super().__init__(embedder.model, **embedder.settings)

        def vectors(pictures: list[Pixels]) -> list[NDArray[np.float32]]:
            with metrics.working("model", len(pictures)):
                return list(embedder.vectors(np.stack(pictures)))

        self._batches: Batcher[Pixels, NDArray[np.float32]] = Batcher(vectors, embedder.batch_size, queue, "model")

    def vectors(self, pixels: Pixels) -> NDArray[np.float32]:
        """As :meth:`Embedder.vectors`, together with the pictures of other threads."""
        found = self._batches(list(pixels))
        return np.stack(found) if found else np.empty((0, 0), np.float32)

    def run(
        self,
        batches: Iterable[Batch],
        total: int | None,
        *,
        on_error: OnError,
        progress: Progress | None = None,
        cameras: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
        """Batches of pixels with their vectors (B, D), as :meth:`Embedder.run`; of uploads no camera is known."""
        del cameras  # an embedder that needs them says so
        done = 0
        for batch in batches:
            for bad in batch.bad:
                on_error(bad)
            vectors = self.vectors(batch.pixels)
            done += len(batch.positions) + len(batch.bad)
            if progress:
                progress(done, done if total is None else total)
            yield batch, vectors

    def close(self) -> None:
        """Finish what was accepted, and take no more."""
        self._batches.close()
