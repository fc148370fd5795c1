"""A model against a data set: embed its queries and gallery, and rank the one against the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from resight.datasets import Dataset
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.models.load import Model
from resight.records import Embeddings, Report
from resight.retrieval.evaluate import evaluate


def measure(
    model: Model,
    data: Dataset,
    *,
    batch_size: int = 64,
    flip: bool = False,
    device: str | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Embeddings, Embeddings, Report]:
    """Query and gallery embedded, and what the data's protocol makes of them with the metric of the model's card.

    The arguments besides are those of :class:`~resight.embedding.embedder.Embedder`; ``progress`` counts the images of
    both splits together.

    Raises:
        DataError: the data has no queries, or an image of it cannot be read.
    """
    if not len(data.query):
        raise DataError(f"{data.name} has no queries: nothing can be measured on it.")
    embedder = Embedder(model, batch_size=batch_size, flip=flip, device=device, cache=cache)
    total = len(data.query) + len(data.gallery)

    def after(offset: int) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, _: progress(offset + done, total)

    query = embedder(data.query, progress=after(0))
    gallery = embedder(data.gallery, progress=after(len(data.query)))
    return query, gallery, evaluate(query, gallery, protocol=data.protocol, metric=model.card.metric)
