"""``resight embed``."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import EngineName, Json, bar, err, out, print_json


class OnError(str, Enum):
    """What to do about an image that cannot be embedded."""

    fail = "fail"
    skip = "skip"


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("embed")(embed)


def embed(
    model: Annotated[str, typer.Argument(help="A run folder, a weight file with its card, or an architecture's name.")],
    source: Annotated[Path, typer.Argument(help="A data set, a folder, a zip archive, an image, or a video.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: NAME.parquet or NAME.npz.")],
    weights: Annotated[Path | None, typer.Option(help="Weights for an architecture given by name.")] = None,
    name: Annotated[
        str, typer.Option("--as", help="Which data set it is; found out when not given ('folder' is never guessed).")
    ] = "",
    split: Annotated[str, typer.Option(help="Of a data set only train, query or gallery.")] = "",
    boxes: Annotated[
        Path | None, typer.Option(help="The boxes of a video: CSV of frame,x,y,width,height[,track][,camera].")
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(help="At an image that cannot be read: stop, or leave it out and name it in the manifest."),
    ] = OnError.fail,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average each embedding with that of the mirrored image.")
    ] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Compute in 16 bits: faster where the processor can, and less exact.")
    ] = False,
    engine: Annotated[EngineName, typer.Option(help="What computes.")] = EngineName.auto,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    ray: Annotated[
        str | None,
        typer.Option(help="Let a Ray cluster compute: HOST:PORT of its head, or auto for the one this machine is in."),
    ] = None,
    height: Annotated[int | None, typer.Option(min=16, help="Input height, for a model without a card.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, for a model without a card.")] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Embed any number of images into one file, in bounded memory; stopped, the same command goes on.

    Beside the file stands FILE.manifest.json: the model's card, the fingerprint of the images, and what was left out.
    """
    from resight.embedding.bulk.run import embed_to_file
    from resight.embedding.embedder import Embedder
    from resight.embedding.source import find
    from resight.images.video import Video
    from resight.models.load import load

    images = Video(source, boxes) if boxes else find(source, name, split)
    loaded = load(model, weights, height=height, width=width)
    embedder = Embedder(loaded, engine.value, batch_size, flip=flip, half=half)
    about = {"model": model, "source": str(source), "command": shlex.join(["resight", *sys.argv[1:]])}
    with bar("embedding", json) as progress:
        skip = on_error is OnError.skip
        written = embed_to_file(embedder, images, output, skip=skip, ray=ray, about=about, progress=progress)
    if json:
        print_json(written.numbers())
        return
    out.print(f"{written.embedded:,} of {written.images:,} images embedded, {written.dim} numbers each.", markup=False)
    for bad in written.failed[:5]:
        err.print(f"left out: {bad.reason}", markup=False)
    if len(written.failed) > 5:
        err.print(f"and {len(written.failed) - 5:,} more: see {written.manifest}", markup=False)
    err.print(f"written: {written.file}, {written.manifest}", markup=False)
