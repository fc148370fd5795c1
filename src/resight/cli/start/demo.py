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
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for images, model and report.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Random seed of the people and the training.")] = 0,
    epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Training epochs; fewer are faster and less accurate.")
    ] = 24,
    json: Annotated[bool, Json] = False,
) -> None:
    """Generate synthetic people in several cameras, train on them, and show the gain.

    Trains OSNet x0.25 for one or two minutes on two cores. No pictures of real people are used.
    """
    from resight.demo import run

    result = run(output, seed=seed, epochs=epochs, say=err.print)
    if json:
        print_json(result)
