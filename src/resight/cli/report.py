"""``resight report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("report")(report)


def report(
    run: Annotated[Path, typer.Argument(help="A run folder of `resight train`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file; RUN/report.html when not given.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set, if it is elsewhere now.")] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Put pictures into the file.")] = True,
    json: Annotated[bool, Json] = False,
) -> None:
    """Write one self-contained HTML file: numbers, CMC curve, distances, camera pairs, ranked lists, worst queries.

    The file holds pictures of the people in the data: pass it on only to whom you may show those.
    """
    from resight.report.run import report_run

    with bar("embedding", json) as progress:
        path, found = report_run(run, output, root=data, pictures=pictures, progress=progress)
    if json:
        print_json(found.numbers() | {"report": path})
        return
    out.print(str(found), markup=False)
    err.print(f"report: {path}", markup=False)
