"""``resight demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, err, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("demo")(demo)


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for pictures, model and report.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(help="Another seed, other people.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Fewer is faster and worse.")] = 24,
    json: Annotated[bool, Json] = False,
) -> None:
    """Make a small synthetic multi-camera set, train OSNet x0.25 on it, and show what was gained.

    Takes a minute or two on two cores. Nobody's picture is involved: the people are drawn.
    """
    from resight.demo import run

    result = run(output, seed=seed, epochs=epochs, say=err.print)
    if json:
        print_json(result)
