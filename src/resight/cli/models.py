"""``resight models list``, ``show``, ``card`` and ``ship``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json

models = typer.Typer(no_args_is_help=True, help="The architectures and trained models resight knows.")


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(models, name="models")


@models.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="A shell pattern, such as 'osnet*'.")] = "*",
    json: Annotated[bool, Json] = False,
) -> None:
    """List architectures with their size at their usual input; below them the trained models that come with resight."""
    from fnmatch import filter as matching

    from resight.models import list as names
    from resight.models import shipped
    from resight.models.summary import summarise, summarise_trained

    found = [summarise(name) for name in names(pattern)]
    found += [summarise_trained(name) for name in matching(shipped.names(), pattern)]
    if json:
        print_json([s.as_dict() for s in found])
        return
    table = Table("name", "parameters", "multiply-adds", "embedding", "what it is")
    for s in found:
        table.add_row(s.name, f"{s.parameters:,}", f"{s.multiply_adds / 1e6:,.2f} M", str(s.dim), s.about)
    out.print(table)


@models.command()
def card(
    file: Annotated[str, typer.Argument(help="An ONNX, OpenVINO (.xml) or TorchScript file from elsewhere.")],
    height: Annotated[int | None, typer.Option(min=16, help="Input height, if the file does not say.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, if the file does not say.")] = None,
    colour: Annotated[str, typer.Option(help="RGB or BGR.")] = "RGB",
    scale: Annotated[float, typer.Option(help="What 0..255 is divided by first; 1 leaves it as it is.")] = 255.0,
    mean: Annotated[str, typer.Option(help="Subtracted then, per channel.")] = "0.485,0.456,0.406",
    std: Annotated[str, typer.Option(help="Divided by then, per channel.")] = "0.229,0.224,0.225",
    json: Annotated[bool, Json] = False,
) -> None:
    """Write the card of a model from elsewhere, which says how its images are prepared; then any command takes it."""
    from pydantic import ValidationError

    from resight.errors import RecipeError
    from resight.models.card import Preprocessing, is_exported
    from resight.models.exported import Exported, describe

    if not is_exported(file):
        raise RecipeError(f"{file} is no ONNX, OpenVINO or TorchScript file: the weights of a network need no card.")
    network = Exported(file)
    said: dict[str, Any] = {
        "height": height or network.shape[2] or 256,
        "width": width or network.shape[3] or 128,
        "colour": colour,
        "scale": scale,
        "mean": mean.split(","),
        "std": std.split(","),
    }
    try:
        to = Preprocessing.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"--{first['loc'][0]} is not right: {first['msg']}.") from None
    written = describe(network, to)
    path = written.save(file)
    if json:
        print_json(written.model_dump(mode="json") | {"file": path})
        return
    out.print(f"{path}: {written.dim} numbers per image, {to.height}x{to.width} {to.colour}", markup=False)


@models.command()
def ship(
    model: Annotated[str, typer.Argument(help="A run folder, or a weight file with its card.")],
    data: Annotated[
        Path | None, typer.Argument(help="A data set to compare on: folder or zip; drawn people when not given.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write; its card stands beside it.")
    ] = Path("shipped.safetensors"),
    notes: Annotated[
        Path | None, typer.Option(help="YAML with about, licences and metrics for the card, see docs/models.md.")
    ] = None,
    decision: Annotated[
        str | None, typer.Option(help="A calibrated model of the same recipe whose decision is taken over.")
    ] = None,
    name: Annotated[str, typer.Option("--as", help="Which data set it is; found out when not given.")] = "",
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set: fold=validation")
    ] = None,
    limit: Annotated[float, typer.Option(min=0, help="Points of mAP (0..100) that may be lost.")] = 0.1,
    json: Annotated[bool, Json] = False,
) -> None:
    """Write a model to be passed on: half precision, a whole card, and compared with the original before."""
    from resight import datasets
    from resight.models.load import load
    from resight.training.recipe import assign
    from resight.training.ship import read_notes
    from resight.training.ship import ship as write

    chosen: dict[str, Any] = {}
    for option in options or ():
        assign(chosen, option)
    said = None if notes is None else read_notes(notes)
    source, by = load(model), None if decision is None else load(decision)
    compared = None if data is None else datasets.load(name or datasets.detect(data), data, **chosen)
    with bar("comparing", json) as progress:
        done = write(source, output, notes=said, decided_by=by, data=compared, limit=limit, progress=progress)
    if json:
        print_json(done.numbers())
        return
    out.print(str(done.parity), markup=False)
    err.print(f"written: {done.path}, {done.path.stat().st_size:,} bytes", markup=False)


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="An architecture, or what any command takes as a trained model.")],
    height: Annotated[int | None, typer.Option(min=16, help="Input height, if not what it was made for.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, if not what it was made for.")] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Show an architecture step by step: kernels, output shapes, parameters, multiply-adds; or a model's card."""
    from resight.models import list as names
    from resight.models import load
    from resight.models.card import is_exported
    from resight.models.summary import summarise

    card, arguments = None, {}
    if name not in names():
        card = load(name, height=height, width=width).card
        if is_exported(name):  # what is in it is its own program's matter
            out.print(card.model_dump_json(indent=2), markup=False)
            return
        name, height, width = card.architecture, card.preprocessing.height, card.preprocessing.width
        arguments = card.arguments
    summary = summarise(name, height, width, arguments)
    if json:
        print_json(summary.as_dict() | {"card": card.model_dump(mode="json") if card else None})
        return
    size = f"{summary.height}x{summary.width}"
    table = Table("step", "what", "output", "parameters", title=f"{name} at {size}: {summary.about}")
    for stage in summary.stages:
        table.add_row(stage.name, stage.detail, "x".join(map(str, stage.output)), f"{stage.parameters:,}")
    table.add_section()
    table.add_row("all", "", str(summary.dim), f"{summary.parameters:,}")
    out.print(table)
    out.print(f"{summary.multiply_adds / 1e6:,.2f} M multiply-adds per image, without a classifier")
    if card:
        out.print(card.model_dump_json(indent=2), markup=False)
