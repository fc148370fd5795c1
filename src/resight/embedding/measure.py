"""A model against a data set: embed its queries and gallery, and rank the one against the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resight.datasets import Dataset
from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.embedding.engines import Engine
from resight.errors import DataError
from resight.models.model import Model
from resight.records import Embeddings, Report, Split
from resight.retrieval.evaluation.evaluate import evaluate


def measure(
    model: Model,
    data: Dataset,
    *,
    engine: Engine = "auto",
    batch_size: int = 64,
    flip: bool = False,
    half: bool = False,
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
    embedder = Embedder(model, engine, batch_size, flip=flip, half=half, device=device, cache=cache)
    total = len(data.query) + len(data.gallery)
    query = embedder(data.query, progress=shifted(progress, 0, total))
    gallery = embedder(data.gallery, progress=shifted(progress, len(data.query), total))
    return query, gallery, evaluate(query, gallery, protocol=data.protocol, metric=model.card.metric)


def measure_repeats(
    model: Model, draws: Sequence[Dataset], *, progress: Callable[[int, int], None] | None = None, **embedding: Any
) -> list[Report]:
    """The report of each of several draws of query and gallery, as the protocols of VehicleID and classic CUHK03 want.

    Each image is embedded once. The arguments besides are those of :class:`~resight.embedding.embedder.Embedder`.

    Raises:
        DataError: no draw at all, or draws of different data sets.
    """
    if not draws:
        raise DataError("There is no draw to measure: pass one data set or more.")
    names = list(dict.fromkeys(data.name for data in draws))
    if len(names) > 1:
        raise DataError(f"There are draws of {names[0]} and of {names[1]}: pass draws of one data set.")
    paths = np.concatenate([split.paths for data in draws for split in (data.query, data.gallery)])
    row = {path: at for at, path in enumerate(dict.fromkeys(paths.tolist()))}
    unknown = np.zeros(len(row), np.int64)
    images = Split(np.array(list(row), np.str_), unknown, unknown)
    vectors = Embedder(model, **embedding)(images, progress=progress).vectors
    reports = []
    for data in draws:
        parts = [
            Embeddings.from_split(split, vectors[[row[path] for path in split.paths.tolist()]], model.card.fingerprint)
            for split in (data.query, data.gallery)
        ]
        reports.append(evaluate(*parts, protocol=data.protocol, metric=model.card.metric))
    return reports
