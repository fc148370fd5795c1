"""``resight engines``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, out, print_json
from resight.cli.options import MODEL, BatchSize, Half, Height, Weights, Width


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("engines")(engines)


def engines(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=MODEL)] = None,
    weights: Weights = None,
    measure: Annotated[bool, typer.Option("--measure", help="Measure now and keep the result.")] = False,
    batch_size: BatchSize = 64,
    half: Half = False,
    height: Height = None,
    width: Width = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """List the inference engines, and the measured speed of a model on each.

    The engine "auto" chooses the fastest.
    """
    from resight.embedding.engines import auto
    from resight.embedding.engines.make import PACKAGES, installed
    from resight.errors import RecipeError
    from resight.models.loading import load

    if measure and model is None:
        raise RecipeError("--measure measures a model: name one, as in resight engines osnet_x0_25 --measure.")
    here, rates = installed(), auto.Rates()
    if model is not None:
        loaded = load(model, weights, height=height, width=width)
        rates = auto.measure(loaded, batch_size, half) if measure else auto.known(loaded, batch_size, half)
    if json:
        print_json({"installed": here, "images_per_second": rates, "fastest": auto.fastest(rates)})
        return
    table = Table("engine", "installed", "images/s")
    for engine in PACKAGES:
        versions = ", ".join(f"{package} {version}" for package, version in here.get(engine, {}).items())
        rate = f"{rates[engine]:,.1f}" if engine in rates else ""
        table.add_row(engine, versions or f"no: pip install 'resight[{engine}]'", rate)
    out.print(table)
    if model is not None and not rates:
        out.print("Not measured yet for this model and batch size: add --measure, or embed a few thousand images.")
