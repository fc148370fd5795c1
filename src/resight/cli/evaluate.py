"""``resight evaluate``."""

from __future__ import annotations

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
    height: Annotated[int | None, typer.Option(min=16, help="Input height, for a model without a card.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, for a model without a card.")] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average each embedding with that of the mirrored image.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Embed query and gallery and measure CMC, mAP and mINP by the data set's own protocol."""
    from resight import datasets
    from resight.embedding.measure import measure
    from resight.models.load import load_any
    from resight.retrieval.evaluate import evaluate as rank

    found = datasets.load(name or datasets.detect(data), data)
    loaded = load_any(model, weights, height=height, width=width)
    with bar("embedding", json) as progress:
        query, gallery, report = measure(loaded, found, batch_size=batch_size, flip=flip, progress=progress)
    reports = [
        report if wanted == report.metric else rank(query, gallery, protocol=found.protocol, metric=wanted)
        for wanted in metric or [report.metric]
    ]
    if json:
        print_json([one.numbers() | {"data": found.name} for one in reports])
        return
    for one in reports:
        out.print(f"{found.name}: {one}", markup=False)
