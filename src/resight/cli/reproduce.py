"""``resight reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, err, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("reproduce")(reproduce)


def reproduce(
    name: Annotated[str, typer.Argument(help="What to reproduce: see --list.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="Show what can be reproduced.")] = False,
    train: Annotated[
        bool, typer.Option("--train/--evaluate-only", help="Train again, or measure the run that is there.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Train so many times; mean and spread are shown.")] = 1,
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PATH", help="Where data stands: --data market1501=Market.zip")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for new runs.")] = Path("reproduced"),
    json: Annotated[bool, Json] = False,
) -> None:
    """Get a number of the documentation again and say whether it holds; the exit code is 1 where it does not.

    Run it in the root of resight's repository, where recipes and benchmarks are.
    """
    from resight.errors import RecipeError
    from resight.reproduce.check import reproduce as again
    from resight.reproduce.registry import entries

    if list_:
        known = entries()
        if json:
            print_json({key: entry.model_dump(mode="json") | {"needs": entry.needs} for key, entry in known.items()})
            return
        for key, entry in known.items():
            minutes = ", ".join(f"{count:g} min to {kind}" for kind, count in entry.minutes.items())
            needs = f"; needs {', '.join(entry.needs)}" if entry.needs else ""
            out.print(f"{key}\n    {entry.about}; {minutes}{needs}", markup=False)
        return
    if not name:
        raise RecipeError("Say what to reproduce: resight reproduce --list shows the names.")
    places = {}
    for option in data or ():
        key, equals, path = option.partition("=")
        if not equals:
            raise RecipeError(f"--data {option!r} is not of the form NAME=PATH, such as market1501=Market.zip.")
        places[key] = path
    done = again(
        name, train=train, seeds=seeds, data=places, output=output,
        tell=lambda command: err.print(f"$ {command}", markup=False),
    )  # fmt: skip
    if json:
        print_json(done.plain())
    else:
        table = Table("number", "documented", "found", "apart", "allowed", "holds", title=name)
        for one in done.numbers:
            found = f"{one.mean:.5g}" + ("" if one.spread is None else f" ± {one.spread:.2g}")
            apart = f"{abs(one.mean - one.expected):.2g}"
            table.add_row(one.what, f"{one.expected:g}", found, apart, f"{one.allowed:g}", "yes" if one.holds else "NO")
        out.print(table)
        out.print(f"{name} {'holds' if done.holds else 'does not hold'}.", markup=False)
    if not done.holds:
        raise typer.Exit(1)
