"""``resight train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, err, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("train")(train)


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe file, such as recipes/osnet_x0_25_market1501_cpu.yaml.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe value, such as phases.0.lr=0.01."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Run folder (default: runs/NAME).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the folder.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Train on the CPU even if there is a GPU.")] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also record the run with mlflow or wandb (Weights & Biases); repeatable."),
    ] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Train the model that a recipe describes.

    The run folder gets the resolved recipe, package versions, metrics, TensorBoard events, a checkpoint per epoch and
    finally the model with its card. `--resume` continues after any interruption.

    To use several processes, run `torchrun --nproc-per-node 2 -m resight train RECIPE`.
    """
    from resight.training.loop import train as run
    from resight.training.recipe import read

    resolved = read(recipe, overrides or ())
    folder = output or Path("runs") / resolved.name
    result = run(resolved, folder, resume=resume, cpu=cpu, trackers=track or ())
    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes prints
    if json:
        print_json(result)
    else:
        err.print(f"model: {folder / 'model.safetensors'}   next: resight report {folder}")
