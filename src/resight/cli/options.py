"""The options that several commands share, each written once: the model, its engine, the data set."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resight.engines import CHOICES

if TYPE_CHECKING:
    from resight.datasets.catalog import Dataset


class SamplingName(str, Enum):
    """Which frames of a tracklet: :mod:`resight.images.clips`."""

    evenly = "evenly"
    first = "first"
    dense = "dense"


class PoolingName(str, Enum):
    """How the frames of a tracklet become one: :class:`resight.embedding.tracklets.Clips`."""

    auto = "auto"
    mean = "mean"
    quality = "quality"
    attention = "attention"


class OnError(str, Enum):
    """What to do about an image that cannot be read."""

    fail = "fail"
    skip = "skip"


MODEL = "A bundled model (person), a run folder, a weight file, hf:ORG/NAME, or an architecture."

Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)]
ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=MODEL)]
Weights = Annotated[Path | None, typer.Option(metavar="FILE", help="Weights, if MODEL is an architecture.")]
Height = Annotated[int | None, typer.Option(metavar="PIXELS", min=16, help="Input height, for a model without a card.")]
Width = Annotated[int | None, typer.Option(metavar="PIXELS", min=16, help="Input width, for a model without a card.")]
BatchSize = Annotated[int, typer.Option(metavar="N", min=1, help="Images per batch.")]
Flip = Annotated[bool, typer.Option("--flip", help="Average the embeddings of each image and its mirror image.")]
Half = Annotated[
    bool, typer.Option("--half", help="Compute in 16 bits: less exact, and faster if the processor supports it.")
]
AddErased = Annotated[bool, typer.Option("--add-erased", help="Also add what was erased from this gallery before.")]


def _engine(name: str) -> str:
    if name not in CHOICES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, CHOICES))}.")
    return name


Engine = Annotated[str, typer.Option(parser=_engine, metavar="ENGINE", help=f"Inference engine: {', '.join(CHOICES)}.")]

Pattern = Annotated[
    str,
    typer.Option(
        metavar="REGEX",
        help="Regular expression for file names, with groups named camera, identity, time or frame: "
        "`(?P<camera>[^/]+)/[^/]+$` takes the folder's name (default: Market-1501's names).",
    ),
]
Data = Annotated[Path, typer.Argument(metavar="DATA", help="A data set: folder or zip archive.")]
DataSets = Annotated[
    list[Path], typer.Argument(metavar="DATA...", help="Data sets: folders, zip archives, or folders inside these.")
]
DataName = Annotated[
    str,
    typer.Option("--as", metavar="NAME", help="Format of the data set: market1501, folder, ... (default: detected)."),
]
DataOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Option of the data set, such as fold=validation; repeatable."),
]
FalseMatchRate = Annotated[
    float, typer.Option(metavar="RATE", help="Accepted share of impostor pairs that are called a match.")
]
Coverage = Annotated[
    float, typer.Option(metavar="RATE", help="Probability that the images within the set distance hold a true match.")
]
Pairs = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Instead of DATA: a CSV file with columns a, b (images), same.")
]
Split = Annotated[str, typer.Option(metavar="SPLIT", help="Only this split of the data set: train, query or gallery.")]
Frames = Annotated[
    int, typer.Option(metavar="N", min=0, help="Tracklets: frames to embed of each (default: 0, all of them).")
]
Sampling = Annotated[SamplingName, typer.Option(help="Tracklets: which frames, with --frames.")]
Pooling = Annotated[PoolingName, typer.Option(help="Tracklets: how frames are weighted in the mean.")]
Pictures = Annotated[bool, typer.Option("--pictures/--no-pictures", help="Include pictures in the HTML file.")]
SkipOrFail = Annotated[
    OnError, typer.Option(help="If an image cannot be read: stop (fail), or leave it out and report it (skip).")
]


def load_data(data: Path, name: str = "", options: list[str] | None = None, **more: Any) -> Dataset:
    """The data set that ``DATA``, ``--as`` and ``--set`` describe.

    Args:
        data: a folder or a zip archive.
        name: the format; detected if empty.
        options: ``KEY=VALUE`` texts for the data set's loader.
        more: further options, which take precedence.

    Raises:
        RecipeError: an option that is not of the form KEY=VALUE, or that the data set does not have.
        DataError: no data set there.
    """
    from resight import datasets

    return datasets.load(name or datasets.detect(data), data, **(settings(options) | more))


def load_several(paths: list[Path], name: str = "", options: list[str] | None = None) -> dict[str, Dataset]:
    """As :func:`load_data` for each of several data sets, by the end of its path that tells it from the others.

    What is to be known of a data set, such as files that were left out, is printed on standard error.

    Raises:
        RecipeError: the same path twice.
    """
    from resight.errors import RecipeError

    for path in paths:
        if paths.count(path) > 1:
            raise RecipeError(f"{path} is given twice: name each data set once.")
    depths = range(1, 1 + max((len(path.parts) for path in paths), default=1))
    ends = [["/".join(path.parts[-depth:]) for path in paths] for depth in depths]
    labels = next((each for each in ends if len(set(each)) == len(each)), [str(path) for path in paths])
    found = {label: load_data(path, name, options) for label, path in zip(labels, paths, strict=True)}
    for label, data_set in found.items():
        print_notes(data_set, f"{label}: " if len(found) > 1 else "")
    return found


def print_notes(data_set: Dataset, before: str = "") -> None:
    """Print what is to be known of a data set on standard error, one line each."""
    from resight.cli.console import err

    for note in data_set.notes:
        err.print(f"{before}{note}")


def settings(options: list[str] | None) -> dict[str, Any]:
    """The values of repeated ``KEY=VALUE`` texts.

    Raises:
        RecipeError: a text that is not of this form.
    """
    from resight.yaml_text import assign

    chosen: dict[str, Any] = {}
    for option in options or ():
        assign(chosen, option)
    return chosen
