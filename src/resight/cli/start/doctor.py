"""``resight doctor``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("doctor")(doctor)


def doctor(json: Annotated[bool, Json] = False) -> None:
    """Check the installation and this machine; say what is broken or slow, and how to cure it.

    Tries every part of resight once on a small job. Exit code 1 if something is broken.
    """
    from resight.doctor.run import examine

    with bar("trying", json) as progress:
        health = examine(progress)
    if json:
        print_json(health.plain())
    else:
        for section, facts in health.facts.items():
            out.print(section, style="bold")
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
            table.add_column(no_wrap=True)
            table.add_column(overflow="fold")
            for name, value in facts.items():
                table.add_row(name, value)
            out.print(table)
        for finding in health.findings:
            out.print(f"{finding.kind.capitalize()}:", style="bold", end=" ")
            out.print(finding.sentence)
        if not health.findings:
            out.print("Everything works, and nothing makes it slow.")
    raise typer.Exit(1 if health.broken else 0)
