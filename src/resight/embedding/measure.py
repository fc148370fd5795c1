"""A model against a data set: embed its queries and gallery, and rank the one against the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resight.datasets import Dataset
from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.models.load import Model
from resight.records import Embeddings, Report, Split
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
    query = embedder(data.query, progress=shifted(progress, 0, total))
    gallery = embedder(data.gallery, progress=shifted(progress, len(data.query), total))
    return query, gallery, evaluate(query, gallery, protocol=data.protocol, metric=model.card.metric)


def measure_repeats(
    model: Model, draws: Sequence[Dataset], *, progress: Callable[[int, int], None] | None = None, **embedding: Any
) -> list[Report]:
    """The report of each of several draws of query and gallery from the same images, as VehicleID's protocol wants.

    Each image is embedded once. The arguments besides are those of :class:`~resight.embedding.embedder.Embedder`.

    Raises:
        DataError: no draw at all, or draws that are not of the same images.
    """
    if not draws:
        raise DataError("There is no draw to measure: pass one data set or more.")
    query, gallery = draws[0].query, draws[0].gallery
    images = Split(
        np.concatenate([query.paths, gallery.paths]),
        np.concatenate([query.identities, gallery.identities]),
        np.concatenate([query.cameras, gallery.cameras]),
    )
    vectors = Embedder(model, **embedding)(images, progress=progress).vectors
    row = {path: at for at, path in enumerate(images.paths.tolist())}
    reports = []
    for data in draws:
        parts = []
        for split in (data.query, data.gallery):
            missing = [path for path in split.paths.tolist() if path not in row]
            if missing:
                raise DataError(
                    f"{missing[0]} is in one draw of {data.name} but not in the first: pass draws of one set."
                )
            which = [row[path] for path in split.paths.tolist()]
            parts.append(Embeddings.of(split, vectors[which], model.card.fingerprint))
        reports.append(evaluate(*parts, protocol=data.protocol, metric=model.card.metric))
    return reports
