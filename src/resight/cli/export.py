"""``resight export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import Height, Model, Weights, Width


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("export")(export)


def export(
    model: Model,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="onnx, openvino or torchscript.")] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write (default: named after the model)."),
    ] = None,
    weights: Weights = None,
    int8: Annotated[bool, typer.Option("--int8", help="Quantise to 8-bit integers, calibrated on --images.")] = False,
    images: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Images to compare on: data set or folder (default: synthetic people)."),
    ] = None,
    limit: Annotated[
        float, typer.Option(metavar="POINTS", min=0, help="Largest accepted mAP drop, in percentage points.")
    ] = 0.5,
    for_tool: Annotated[
        str | None,
        typer.Option("--for", metavar="TOOL", help="Write the file that a tracker loads: boxmot or ultralytics."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the file even if the drop is larger.")] = False,
    height: Height = None,
    width: Width = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Export a model to ONNX, OpenVINO or TorchScript and verify the result.

    The exported file's embeddings and rankings are compared with the model's; nothing is written if they differ. For
    images without labels, --limit applies to the overlap of the ten nearest neighbours.
    """
    from typing import cast

    from resight.embedding.export.run import Format
    from resight.embedding.export.run import export as write
    from resight.embedding.export.trackers import export_for
    from resight.errors import RecipeError
    from resight.models.loading import load

    if for_tool is not None:
        if int8 or images is not None or to != "onnx":
            raise RecipeError("--for writes a float ONNX file of its own: leave out --to, --int8 and --images.")
        made = export_for(load(model, weights, height=height, width=width), for_tool, output)
        if json:
            print_json({"file": str(made.path), "use": made.use})
        else:
            out.print(made.use)
            err.print(f"written: {made.path}")
        return

    def tell(sentence: str) -> None:
        if not json:
            err.print(sentence)

    loaded = load(model, weights, height=height, width=width)
    with bar("comparing", json) as progress:
        done = write(
            loaded, cast(Format, to), output,
            int8=int8, images=images, limit=limit, force=force, tell=tell, progress=progress,
        )  # fmt: skip
    if json:
        print_json(done.numbers())
        return
    out.print(str(done.parity))
    if images is None:
        err.print("These were synthetic people, few and easy to tell apart: add --images with images like yours.")
    if done.kept_float:
        out.print(f"kept in float: {', '.join(done.kept_float)}")
    err.print(f"written: {done.path}")
