"""``resight data check`` and ``resight data stats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, out, print_json

data = typer.Typer(no_args_is_help=True, help="Look at a data set before it costs you a training run.")

Where = Annotated[Path, typer.Argument(help="A folder or a zip archive of images.", metavar="PATH")]
Named = Annotated[
    str, typer.Option("--as", help="Which data set it is (market1501, folder, ...); found out when not given.")
]


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(data, name="data")


@data.command()
def check(path: Where, name: Named = "", json: Annotated[bool, Json] = False) -> None:
    """Find what would go wrong later, and say how to mend it.

    Corrupt or empty files, a single camera, queries without a match, identities in both train and test, duplicates,
    tiny crops, wrong counts. Exit code 1 when something must be mended.
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
def stats(path: Where, name: Named = "", json: Annotated[bool, Json] = False) -> None:
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
