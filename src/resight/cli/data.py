"""``resight data check`` and ``resight data stats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, out, print_json
from resight.cli.options import DataName

data = typer.Typer(no_args_is_help=True, help="Check and count a data set before training.")

Where = Annotated[Path, typer.Argument(metavar="PATH", help="A folder or zip archive of images.")]


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(data, name="data")


@data.command()
def check(path: Where, name: DataName = "", json: Annotated[bool, Json] = False) -> None:
    """Find problems in a data set and explain how to fix them.

    Reports corrupt or empty files, a single camera, queries without a match, identities in both train and test,
    duplicates, tiny crops and wrong counts. Exits with code 1 if there is an error.
    """
    from resight.images.check import check as find

    with bar("checking") as progress:
        findings = find(path, name or None, progress=progress)
    if json:
        print_json([finding.as_dict() for finding in findings])
    elif not findings:
        out.print(f"{path}: nothing to mend.")
    for finding in [] if json else findings:
        colour = "red" if finding.severity == "error" else "yellow"
        out.print(f"[bold {colour}]{finding.severity}[/]", end=" ")
        out.print(str(finding), markup=False)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


@data.command()
def stats(path: Where, name: DataName = "", json: Annotated[bool, Json] = False) -> None:
    """Count images, identities, cameras, junk and distractors of each split."""
    from resight import datasets

    found = datasets.load(name or datasets.detect(path), path)
    if json:
        print_json(
            {"name": found.name, "fingerprint": found.fingerprint(), "splits": found.facts(), "notes": found.notes}
        )
        return
    facts = found.facts()
    table = Table(title=found.name)
    for column in ("split", *facts["train"]):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, counts in facts.items():
        table.add_row(split, *(f"{count:,}" for count in counts.values()))
    out.print(table)
    for note in found.notes:
        out.print(f"- {note}", markup=False)
