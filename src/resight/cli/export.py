"""``resight export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("export")(export)


def export(
    model: Annotated[str, typer.Argument(help="A run folder, a weight file with its card, or an architecture's name.")],
    to: Annotated[str, typer.Option(help="onnx, openvino or torchscript.")] = "onnx",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; named after the model if not given.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights for an architecture given by name.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="In 8-bit integers, calibrated on --images.")] = False,
    images: Annotated[
        Path | None, typer.Option(help="A data set or a folder of crops to compare on; drawn people when not given.")
    ] = None,
    limit: Annotated[float, typer.Option(min=0, help="Points of mAP (0..100) that may be lost.")] = 0.5,
    force: Annotated[bool, typer.Option("--force", help="Write the file even if more is lost.")] = False,
    height: Annotated[int | None, typer.Option(min=16, help="Input height, for a model without a card.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, for a model without a card.")] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Write a model as one file for other programs, after comparing its embeddings and rankings with the model's.

    Nothing is written if they differ. Without labels, --limit counts points of overlap among the ten nearest.
    """
    from typing import cast

    from resight.embedding.export.run import Format
    from resight.embedding.export.run import export as write
    from resight.models.load import load

    def tell(sentence: str) -> None:
        if not json:
            err.print(sentence, markup=False)

    loaded = load(model, weights, height=height, width=width)
    with bar("comparing", json) as progress:
        done = write(
            loaded, cast(Format, to), output,
            int8=int8, images=images, limit=limit, force=force, tell=tell, progress=progress,
        )  # fmt: skip
    if json:
        print_json(done.numbers())
        return
    out.print(str(done.parity), markup=False)
    if done.kept_float:
        out.print(f"kept in float: {', '.join(done.kept_float)}", markup=False)
    err.print(f"written: {done.path}", markup=False)
