"""``resight report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import Pictures, load_several


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("report")(report)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `resight train`.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="HTML", help="The file to write (default: RUN/report.html)."),
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="PATH", help="The data set, if it has moved.")] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--on", metavar="DATA", help="Another data set to measure the model on as well; repeatable."),
    ] = None,
    pictures: Pictures = True,
    json: Annotated[bool, Json] = False,
) -> None:
    """Write a self-contained HTML report of a training run.

    It shows the metrics, the CMC curve, distances, camera pairs, ranked lists and the worst queries. It contains
    pictures of the people in the data: share it accordingly.
    """
    from resight.report.run import report_run

    with bar("embedding", json) as progress:
        path, found = report_run(
            run, output, root=data, others=load_several(others or []), pictures=pictures, progress=progress
        )
    if json:
        print_json(found.numbers() | {"report": path})
        return
    out.print(str(found))
    err.print(f"report: {path}")
