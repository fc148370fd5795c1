"""A model against a data set: embed its queries and gallery, and rank the one against the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from resight.datasets import Dataset
from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.embedding.tracklets import ALL_FRAMES, Clips, embed_tracklets, pool_clips, tracks_of
from resight.errors import DataError
from resight.models.model import Model
from resight.records import Embeddings, Report, Split
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking import protocols
from resight.texts import texts


def measure(
    model: Model,
    data: Dataset,
    *,
    engine: str = "auto",
    batch_size: int = 64,
    flip: bool = False,
    half: bool = False,
    device: str | None = None,
    cache: str | Path | None = None,
    clips: Clips = ALL_FRAMES,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Embeddings, Embeddings, Report]:
    """Query and gallery embedded, and what the data's protocol makes of them with the metric of the model's card.

    Where the protocol ranks tracklets, query and gallery are one embedding for each, as ``clips`` says; all tracklets
    are unit vectors. The arguments besides are those of :class:`~resight.embedding.embedder.Embedder`; ``progress``
    counts the images of both splits together.

    Raises:
        DataError: the data has no queries, or an image of it cannot be read.
    """
    if not len(data.query):
        raise DataError(f"{data.name} has no queries: nothing can be measured on it.")
    embedder = Embedder(model, engine, batch_size, flip=flip, half=half, device=device, cache=cache)
    if protocols.get(data.protocol).tracklets:
        counts = [len(np.unique(clips.chosen(tracks_of(split))[0])) for split in (data.query, data.gallery)]
        embed: Callable[..., Embeddings] = partial(embed_tracklets, embedder, clips=clips)
    else:
        counts, embed = [len(data.query), len(data.gallery)], embedder
    query = embed(data.query, progress=shifted(progress, 0, sum(counts)))
    gallery = embed(data.gallery, progress=shifted(progress, counts[0], sum(counts)))
    return query, gallery, evaluate(query, gallery, protocol=data.protocol, metric=model.card.metric)


def measure_repeats(
    model: Model,
    draws: Sequence[Dataset],
    *,
    clips: Clips = ALL_FRAMES,
    progress: Callable[[int, int], None] | None = None,
    **embedding: Any,
) -> list[Report]:
    """The report of each of several draws of query and gallery, as VehicleID, classic CUHK03 and iLIDS-VID want.

    Each image is embedded once; tracklets as for :func:`measure`. The arguments besides are those of
    :class:`~resight.embedding.embedder.Embedder`.

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
    images = Split(texts(list(row)), unknown, unknown)
    pooled = protocols.get(draws[0].protocol).tracklets
    pooling = clips.pooling_with(model.card) if pooled else "mean"
    embedded = Embedder(model, **embedding)(images, quality=pooling == "quality", progress=progress)
    reports = []
    for data in draws:
        parts = []
        for split in (data.query, data.gallery):
            frames = embedded.take([row[path] for path in split.paths.tolist()])
            part = Embeddings.from_split(split, frames.vectors, model.card.fingerprint)
            if pooled:
                which, clip = clips.chosen(tracks_of(split))
                part = replace(part, columns={**part.columns, **frames.columns})
                part = pool_clips(part.take(which), clip, pooling)
            parts.append(part)
        reports.append(evaluate(*parts, protocol=data.protocol, metric=model.card.metric))
    return reports
