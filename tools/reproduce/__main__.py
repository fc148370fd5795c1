"""The command line: ``python -m tools.reproduce NAME`` in the root of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, err, out, print_json, run_app
from resight.errors import RecipeError
from tools.reproduce import check
from tools.reproduce.registry import entries

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What to reproduce: see --list.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="List what can be reproduced.")] = False,
    train: Annotated[bool, typer.Option("--train/--evaluate-only", help="Train again, or measure a run.")] = False,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of trainings; mean and standard deviation are shown.")
    ] = 1,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="Location of the data, such as market1501=Market.zip; repeatable."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder for new runs.")] = Path(
        "reproduced"
    ),
    json: Annotated[bool, Json] = False,
) -> None:
    """Measure numbers of the documentation again; exits with code 1 if one of them does not hold.

    Run it in the root of the repository, which contains the recipes and benchmarks.
    """
    if list_:
        _list(json)
        return
    if not name:
        raise RecipeError("NAME is missing: --list shows what can be reproduced.")
    places = {}
    for option in data or ():
        key, equals, path = option.partition("=")
        if not equals:
            raise RecipeError(f"--data {option!r} is not of the form NAME=PATH, such as market1501=Market.zip.")
        places[key] = path
    done = check.reproduce(
        name, train=train, seeds=seeds, data=places, output=output,
        announce=lambda command: err.print(f"$ {command}", markup=False),
    )  # fmt: skip
    if json:
        print_json(done.plain())
    else:
        _show(done)
    if not done.holds:
        raise typer.Exit(1)


def _list(json: bool) -> None:
    known = entries()
    if json:
        print_json({key: entry.model_dump(mode="json") | {"needs": entry.needs} for key, entry in known.items()})
        return
    for key, entry in known.items():
        minutes = ", ".join(f"{count:g} min to {kind}" for kind, count in entry.minutes.items())
        needs = f"; needs {', '.join(entry.needs)}" if entry.needs else ""
        out.print(f"{key}\n    {entry.about}; {minutes}{needs}", markup=False)


def _show(done: check.Outcome) -> None:
    table = Table("number", "documented", "found", "difference", "allowed", "holds", title=done.name)
    for one in done.numbers:
        found = f"{one.mean:.5g}" + ("" if one.spread is None else f" ± {one.spread:.2g}")
        apart = f"{abs(one.mean - one.expected):.2g}"
        table.add_row(one.what, f"{one.expected:g}", found, apart, f"{one.allowed:g}", "yes" if one.holds else "NO")
    out.print(table)
    out.print(f"{done.name} {'holds' if done.holds else 'does not hold'}.", markup=False)


def main() -> None:
    """Run the tool."""
    run_app(app)


if __name__ == "__main__":
    main()
