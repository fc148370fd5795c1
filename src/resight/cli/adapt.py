"""``resight adapt``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from resight.cli.console import Json, err, print_json
from resight.cli.options import MODEL, Height, Weights, Width
from resight.errors import RecipeError

_WHAT = "What is known of the crops"
_TRAINING = "Training"


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("adapt")(adapt)


def adapt(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="Crops: a folder, zip archive, data set, CSV/Parquet table or gallery."),
    ],
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=MODEL)] = "person",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Run folder.")] = Path(
        "runs/adapted"
    ),
    cameras: Annotated[
        str,
        typer.Option(
            metavar="PATTERN|COLUMN",
            rich_help_panel=_WHAT,
            help="Camera of a crop: a regular expression with a group camera, or a column of the table.",
        ),
    ] = "",
    tracks: Annotated[
        str, typer.Option(metavar="COLUMN", rich_help_panel=_WHAT, help="Column of the table with the track.")
    ] = "",
    travel: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, rich_help_panel=_WHAT, help="Shortest time from one camera to another."),
    ] = 0.0,
    overlap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B", rich_help_panel=_WHAT, help="Two cameras whose views overlap, for --travel; repeatable."
        ),
    ] = None,
    named: Annotated[
        bool,
        typer.Option("--named", rich_help_panel=_WHAT, help="Some crops have identities: use them, with clusters."),
    ] = False,
    labelled: Annotated[
        bool, typer.Option("--labelled", rich_help_panel=_WHAT, help="All crops have identities: fine-tune on them.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Labelled data set: mAP before and after. It does not affect training."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            rich_help_panel=_TRAINING,
            help="Epochs at most (default: 20). 0: only re-estimate normalisation statistics.",
        ),
    ] = None,
    distance: Annotated[
        float | None,
        typer.Option(
            metavar="DISTANCE",
            min=0.05,
            max=0.7,
            rich_help_panel=_TRAINING,
            help="Clustering distance (default: 0.6, or less if clusters are too large).",
        ),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(metavar="RATE", min=0, rich_help_panel=_TRAINING, help="Learning rate.")
    ] = None,
    steps: Annotated[
        int, typer.Option(metavar="N", min=0, rich_help_panel=_TRAINING, help="Batches per epoch (0: from the images).")
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, rich_help_panel=_TRAINING, help="Random seed.")] = 1,
    precision: Annotated[
        str, typer.Option(metavar="no|bf16|fp16", rich_help_panel=_TRAINING, help="Mixed precision.")
    ] = "no",
    weights: Weights = None,
    height: Height = None,
    width: Width = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the folder.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Train on the CPU even if there is a GPU.")] = False,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Include pictures in the report.")] = True,
    json: Annotated[bool, Json] = False,
) -> None:
    """Adapt a model to your own cameras, from crops nobody has labelled.

    The crops are clustered, the clusters are learnt for an epoch, and so on. Before training, the command shows what
    the model makes of the crops and refuses where nothing can be learnt. The model of the last epoch is kept; no label
    is used to choose it. The run folder gets the model with its card, metrics and report.html. The model has no
    threshold until you calibrate it.

    With --labelled it fine-tunes on the identities of the crops, measures before and after on identities it holds out,
    and calibrates on them.
    """
    from resight.adaptation.adapt import adapt as run
    from resight.adaptation.labelled import fine_tune
    from resight.models.loading import load

    pairs = [tuple(one.split(",")) for one in overlap or ()]
    if any(len(pair) != 2 for pair in pairs):
        raise RecipeError("--overlap takes two cameras with a comma between them: --overlap gate,hall.")
    begin: Any = load(model, weights, height=height, width=width) if weights or height or width else model
    common: dict[str, Any] = {"seed": seed, "precision": precision, "resume": resume, "cpu": cpu, "check": check}
    if lr is not None:
        common["lr"] = lr
    if labelled:
        unused = {"--travel": travel, "--overlap": pairs, "--distance": distance, "--steps": steps, "--tracks": tracks}
        unused["--named"] = named
        for option, given in unused.items():
            if given:
                raise RecipeError(f"{option} is about clusters, which --labelled does not make: leave it out.")
        result = fine_tune(source, output, begin, cameras=cameras, epochs=epochs, **common)
    else:
        if epochs is not None:
            common["epochs"] = epochs
        result = run(
            source,
            output,
            begin,
            cameras=cameras,
            tracks=tracks,
            travel=travel,
            overlap=pairs,  # type: ignore[arg-type]
            named=named,
            distance=distance,
            steps=steps,
            pictures=pictures,
            **common,
        )
    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes prints
    if json:
        print_json(result)
    else:
        err.print(f"model: {output / 'model.safetensors'}")
