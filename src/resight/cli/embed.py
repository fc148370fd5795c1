"""``resight embed``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import (
    BatchSize,
    DataName,
    Engine,
    Flip,
    Frames,
    Half,
    Height,
    Model,
    OnError,
    Pattern,
    Pooling,
    PoolingName,
    Sampling,
    SamplingName,
    SkipOrFail,
    Split,
    Weights,
    Width,
)


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("embed")(embed)


def embed(
    model: Model,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A data set, folder, zip archive, image or video.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write: NAME.parquet or NAME.npz.")
    ],
    weights: Weights = None,
    name: DataName = "",
    split: Split = "",
    pattern: Pattern = "",
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Boxes of the video, as columns frame, x, y, width, height, (track, camera)."),
    ] = None,
    on_error: SkipOrFail = OnError.fail,
    flip: Flip = False,
    half: Half = False,
    engine: Engine = "auto",
    batch_size: BatchSize = 64,
    tracklets: Annotated[
        bool, typer.Option("--tracklets", help="Write one row for each tracklet of a data set of tracklets.")
    ] = False,
    frames: Frames = 0,
    sampling: Sampling = SamplingName.evenly,
    pooling: Pooling = PoolingName.auto,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Compute on a Ray cluster: HOST:PORT, or auto for the current one."),
    ] = None,
    height: Height = None,
    width: Width = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Embed any number of images into one file, in bounded memory.

    An interrupted run continues when the command is repeated. FILE.manifest.json holds the model's card, the
    fingerprint of the images, and a list of the images left out.
    """
    from resight.embedding.bulk.run import embed_to_file
    from resight.embedding.embedder import Embedder
    from resight.embedding.named import named_source
    from resight.embedding.source import find
    from resight.embedding.tracklets import Clips
    from resight.errors import RecipeError
    from resight.files import left_out
    from resight.images.video import Video
    from resight.models.loading import load
    from resight.secrets import without_secrets

    if pattern and (boxes or name or split):
        raise RecipeError("--pattern reads the names of plain files: leave out --boxes, --as and --split.")
    images = named_source(source, pattern) if pattern else Video(source, boxes) if boxes else find(source, name, split)
    if not tracklets and (frames or sampling != SamplingName.evenly or pooling != PoolingName.auto):
        raise RecipeError("--frames, --sampling and --pooling are about tracklets: add --tracklets.")
    clips = Clips(frames, sampling.value, pooling.value) if tracklets else None
    loaded = load(model, weights, height=height, width=width)
    embedder = Embedder(loaded, engine, batch_size, flip=flip, half=half)
    about = {"model": model, "source": str(source), "command": shlex.join(["resight", *sys.argv[1:]])}
    about = {name: without_secrets(text) for name, text in about.items()}
    with bar("embedding", json) as progress:
        skip = on_error is OnError.skip
        written = embed_to_file(
            embedder, images, output, skip=skip, ray=ray, about=about, clips=clips, progress=progress
        )
    if json:
        print_json(written.numbers())
        return
    out.print(f"{written.embedded:,} of {written.images:,} images embedded, {written.dim} numbers each.")
    if clips:
        out.print(f"{written.tracklets:,} tracklets, one row each.")
    for bad in written.failed[:5]:
        err.print(f"left out: {bad.reason}")
    if len(written.failed) > 5:
        err.print(f"and {len(written.failed) - 5:,} more: see {written.manifest}")
    if written.others:
        err.print(left_out(written.others))
    err.print(f"written: {written.file}, {written.manifest}")
