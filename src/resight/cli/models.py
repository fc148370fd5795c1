"""``resight models list`` and ``resight models show``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, out, print_json

models = typer.Typer(no_args_is_help=True, help="The architectures resight knows.")


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(models, name="models")


@models.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="A shell pattern, such as 'osnet*'.")] = "*",
    json: Annotated[bool, Json] = False,
) -> None:
    """List architectures with their size at their usual input."""
    from resight.models import list as names
    from resight.models.summary import summarise

    found = [summarise(name) for name in names(pattern)]
    if json:
        print_json([s.as_dict() for s in found])
        return
    table = Table("name", "parameters", "multiply-adds", "embedding", "what it is")
    for s in found:
        table.add_row(s.name, f"{s.parameters:,}", f"{s.multiply_adds / 1e6:,.2f} M", str(s.dim), s.about)
    out.print(table)


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="An architecture, or a weight file with its card.")],
    height: Annotated[int | None, typer.Option(min=16, help="Input height, if not what it was made for.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, if not what it was made for.")] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Show an architecture step by step: kernels, output shapes, parameters, multiply-adds; or a model's card."""
    from pathlib import Path

    from resight.models import load
    from resight.models.summary import summarise

    card, arguments = None, {}
    if Path(name).exists():
        card = load(name).card
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
