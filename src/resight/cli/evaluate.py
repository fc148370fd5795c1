"""``resight evaluate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="A run folder, a weight file with its card, or an architecture's name.")],
    data: Annotated[Path, typer.Argument(help="A data set: folder or zip archive.")],
    weights: Annotated[Path | None, typer.Option(help="Weights for an architecture given by name.")] = None,
    name: Annotated[str, typer.Option("--as", help="Which data set it is; found out when not given.")] = "",
    metric: Annotated[
        list[str] | None, typer.Option(help="euclidean or cosine, can be repeated; the card's when not given.")
    ] = None,
    height: Annotated[int, typer.Option(min=16, help="Input height, for a model without a card.")] = 256,
    width: Annotated[int, typer.Option(min=16, help="Input width, for a model without a card.")] = 128,
    flip: Annotated[bool, typer.Option("--flip", help="Average each embedding with that of the mirrored image.")] = False,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Embed query and gallery and measure CMC, mAP and mINP by the data set's own protocol."""
    from resight import datasets
    from resight.embedding.embedder import Embedder
    from resight.models.load import load_any
    from resight.retrieval.evaluate import evaluate as measure

    found = datasets.load(name or datasets.detect(data), data)
    loaded = load_any(model, weights, height=height, width=width)
    embedder = Embedder(loaded, batch_size=batch_size, flip=flip)
    began = time.perf_counter()
    with bar("embedding queries", json) as progress:
        query = embedder(found.query, progress=progress)
    with bar("embedding gallery", json) as progress:
        gallery = embedder(found.gallery, progress=progress)
    seconds = time.perf_counter() - began
    reports = [
        measure(query, gallery, protocol=found.protocol, metric=wanted) for wanted in metric or [loaded.card.metric]
    ]
    if json:
        print_json([report.numbers() | {"data": found.name, "embedding_seconds": seconds} for report in reports])
        return
    count = len(query) + len(gallery)
    out.print(f"{found.name}: {count:,} images embedded in {seconds:.0f} s ({count / seconds:,.0f} images/s)")
    for report in reports:
        out.print(str(report), markup=False)
