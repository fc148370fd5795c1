"""``resight quickstart``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import err


class Folders(str, Enum):
    """What the folders of pictures stand for."""

    cameras = "cameras"
    people = "people"
    nothing = "nothing"


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("quickstart")(quickstart)


def quickstart(
    context: typer.Context,
    pictures: Annotated[
        str, typer.Argument(metavar="PICTURES", help="A folder or zip archive with one person per picture, or a video.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the gallery and the groups.")
    ] = Path("quickstart"),
    folders: Annotated[
        Folders | None,
        typer.Option(help="Meaning of the folders in PICTURES (default: cameras, if there are several)."),
    ] = None,
    detector: Annotated[
        str, typer.Option(metavar="FILE", help="For a video: a detector, or boxes; see resight watch.")
    ] = "",
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="Model of the gallery.")] = "person",
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Open the web page at the end.")] = True,
) -> None:
    """From pictures to a searchable gallery: look, embed, group, open the page.

    Each step is a command of its own, which is printed before it runs. The exit code is that of a step that found
    something wrong, such as a video that could not be read to its end.
    """
    from resight.quickstart import plan

    chosen = plan(pictures, output, folders=folders.value if folders else None, detector=detector, model=model)
    for finding in chosen.findings:
        err.print(finding)
    output.mkdir(parents=True, exist_ok=True)
    app = context.find_root().command
    code = 0
    for step in chosen.steps:
        err.print(f"\n{step.purpose}:")
        err.print(f"  {step.command}", style="bold")
        if step.words[0] != "serve" or serve:
            code = app.main(list(step.words), prog_name="resight", standalone_mode=False) or code
    if code:
        raise typer.Exit(code)
