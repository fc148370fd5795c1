"""``resight models list``, ``show``, ``card`` and ``ship``."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import MODEL, DataName, DataOptions, Model, load_data, settings

models = typer.Typer(no_args_is_help=True, help="List, inspect and prepare models.")


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(models, name="models")


@models.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="A shell pattern, such as 'osnet*'.")] = "*",
    zoo: Annotated[bool, typer.Option("--zoo", help="List the public models that can be pulled.")] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """List the architectures and the bundled models, with their size."""
    from fnmatch import filter as matching

    from resight.models import list as names
    from resight.models import shipped
    from resight.models.summary import summarise, summarise_trained

    if zoo:
        _list_zoo(pattern, json)
        return
    found = [summarise(name) for name in names(pattern)]
    found += [summarise_trained(name) for name in matching(shipped.names(), pattern)]
    if json:
        print_json([s.as_dict() for s in found])
        return
    name_width = max((len(s.name) for s in found), default=5)
    out.print(f"{'model':<{name_width}}  params  mult-adds   dim  description", style="bold")
    for s in found:
        line = f"{s.name:<{name_width}} {s.parameters / 1e6:5,.1f} M {s.multiply_adds / 1e6:8,.0f} M {s.dim:5}"
        about = shorten(s.about, max(20, out.width - len(line) - 2), placeholder=" …")
        out.print(f"{line}  {about}")
    err.print("For the full description: resight models show MODEL")


def _list_zoo(pattern: str, json: bool) -> None:
    from resight.models.zoo.catalog import entry, names

    entries = {name: entry(name) for name in names(pattern)}
    if json:
        print_json([{"name": name} | one.model_dump(mode="json") for name, one in entries.items()])
        return
    width = max((len(name) for name in entries), default=5)
    out.print(f"{'model':<{width}}  kind       size  params  mult-adds  published", style="bold")
    for name, one in entries.items():
        size = sum(file.bytes for file in one.files) / 1e6
        params = f"{one.parameters_millions:5.1f} M" if one.parameters_millions else "-"
        products = f"{500 * one.gflops:8,.0f} M" if one.gflops else "-"  # an operation is half a multiply-add
        line = f"{name:<{width}}  {one.kind:<8} {size:4.0f} MB {params:>7} {products:>10}  {one.published}"
        out.print(line, overflow="ellipsis")
    err.print("To download one: resight models pull NAME. In every command its name is zoo:NAME.")


@models.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of models list --zoo.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Download a public model, check its hash and print where it is.

    It is kept in the cache folder and works offline from then on. RESIGHT_ZOO=FOLDER takes files brought by hand.
    """
    from resight.models.zoo.catalog import entry
    from resight.models.zoo.fetch import fetch

    known = entry(name)
    with bar(f"downloading {name}", json) as progress:
        path = fetch(name, progress)
    if json:
        print_json({"file": path} | known.model_dump(mode="json"))
        return
    out.print(f"{path}")
    licences = known.licences
    out.print(f"{known.title}. Weights: {licences.weights}. Training data: {licences.data}.")
    for more in (known.note, known.measured):
        if more:
            out.print(more)


@models.command()
def card(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An ONNX, OpenVINO (.xml) or TorchScript file.")],
    height: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=16, help="Input height, if the file does not state it.")
    ] = None,
    width: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=16, help="Input width, if the file does not state it.")
    ] = None,
    colour: Annotated[str, typer.Option(metavar="ORDER", help="Channel order: RGB or BGR.")] = "RGB",
    scale: Annotated[float, typer.Option(metavar="NUMBER", help="Divide pixel values (0..255) by this first.")] = 255.0,
    mean: Annotated[
        str, typer.Option(metavar="R,G,B", help="Then subtract this from each channel.")
    ] = "0.485,0.456,0.406",
    std: Annotated[str, typer.Option(metavar="R,G,B", help="Then divide each channel by this.")] = "0.229,0.224,0.225",
    output: Annotated[
        str, typer.Option(metavar="NAME", help="Which output is the embedding, if the file has several.")
    ] = "",
    json: Annotated[bool, Json] = False,
) -> None:
    """Write the card of an exported model: how its input is preprocessed, and which output is the embedding.

    With the card beside it, every command accepts the file as MODEL.
    """
    from pydantic import ValidationError

    from resight.errors import RecipeError
    from resight.models.card import Preprocessing, is_exported
    from resight.models.exported import Exported, describe

    if not is_exported(file):
        raise RecipeError(f"{file} is no ONNX, OpenVINO or TorchScript file: the weights of a network need no card.")
    network = Exported(file, output=output)
    given: dict[str, Any] = {
        "height": height or network.shape[2] or 256,
        "width": width or network.shape[3] or 128,
        "colour": colour,
        "scale": scale,
        "mean": mean.split(","),
        "std": std.split(","),
    }
    try:
        to = Preprocessing.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"--{first['loc'][0]} is not right: {first['msg']}.") from None
    written = describe(network, to)
    path = written.save(file)
    if json:
        print_json(written.model_dump(mode="json") | {"file": path})
        return
    of = f" from the output {written.output}" if written.output else ""
    out.print(f"{path}: {written.dim} numbers per image{of}, {to.height}x{to.width} {to.colour}")


@models.command()
def ship(
    model: Model,
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="A data set to compare on: folder or zip (default: synthetic people)."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write; its card goes beside it.")
    ] = Path("shipped.safetensors"),
    notes: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Description, licences and metrics for the card, see docs/models.md."),
    ] = None,
    decision: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Copy the calibrated decision of this model of the same recipe.")
    ] = None,
    name: DataName = "",
    options: DataOptions = None,
    limit: Annotated[
        float, typer.Option(metavar="POINTS", min=0, help="Largest accepted mAP drop, in percentage points.")
    ] = 0.1,
    json: Annotated[bool, Json] = False,
) -> None:
    """Prepare a model for publishing: half precision, a complete card, verified against the original."""
    from resight.models.loading import load
    from resight.training.ship import read_notes
    from resight.training.ship import ship as write

    said = None if notes is None else read_notes(notes)
    source, by = load(model), None if decision is None else load(decision)
    compared = None if data is None else load_data(data, name, options)
    with bar("comparing", json) as progress:
        done = write(source, output, notes=said, decided_by=by, data=compared, limit=limit, progress=progress)
    if json:
        print_json(done.numbers())
        return
    out.print(str(done.parity))
    err.print(f"written: {done.path}, {done.path.stat().st_size:,} bytes")


@models.command()
def show(
    name: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    height: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=16, help="Input height (default: the usual one).")
    ] = None,
    width: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=16, help="Input width (default: the usual one).")
    ] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Show an architecture's layers, output shapes, parameters and multiply-adds, and the model's card."""
    from resight.models import list as names
    from resight.models import load
    from resight.models.card import is_exported
    from resight.models.summary import summarise

    card, arguments = None, {}
    if name not in names():
        card = load(name, height=height, width=width).card
        if is_exported(name):  # what is in it is its own program's matter
            out.print(card.model_dump_json(indent=2))
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
        out.print(card.model_dump_json(indent=2))


@models.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A published checkpoint (.pth, .pt, .safetensors, .xml).")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Default: the file's name without suffix.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A value that the file does not say, such as heads=6; repeatable."
        ),
    ] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Turn a published checkpoint into a model with a card.

    The family (TransReID, PersonViT, PASS, CLIP-ReID, SOLIDER, Swin, DINOv2, fast-reid, LightMBN, the architectures of
    `resight models list` under torchreid's and torchvision's names, or Open Model Zoo's person networks as .xml) is
    recognised by keys and shapes. What the file cannot say is printed with the value taken and its source;
    change a value with --set, such as --set stride=12 or --set neck=after.
    """
    from resight.models.folder import save
    from resight.models.loading import from_published

    model = from_published(file, settings(options))
    folder = save(model, output or file.with_suffix(""))
    if json:
        print_json(model.card.model_dump(mode="json") | {"folder": folder})
        return
    card = model.card
    size = f"{card.preprocessing.height}x{card.preprocessing.width}"
    out.print(
        f"{folder}: {card.about.title}, as {card.architecture} at {size}, {card.dim} numbers per image",
    )
    out.print(str(model.loading))
    if card.unsaid:
        out.print("The file does not say; taken:")
        for one in card.unsaid:
            out.print(f"  {one['name']} = {one['value']} ({one['source']})")
    if card.licences.weights == "unknown":
        out.print("The licence of the weights is unknown: look it up before you pass the model on.")
    else:
        out.print(f"Licence of the weights: {card.licences.weights}.")
