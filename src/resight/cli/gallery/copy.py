"""``resight gallery copy``: from one place or engine to another."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from resight.cli.console import Json, bar, out, print_json
from resight.cli.gallery.options import Where, open_gallery


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command()(copy)


def copy(
    where: Where,
    to: Annotated[
        str,
        typer.Argument(metavar="TO", help="seen2, or milvus://HOST:19530/NAME?objects=FOLDER or s3://BUCKET/FOLDER."),
    ],
    json: Annotated[bool, Json] = False,
) -> None:
    """Copy a gallery to another location or storage engine, and verify the copy.

    Every record, vector and thumbnail is compared. An interrupted copy continues when the command is repeated. The log
    is not copied; the new gallery starts its own.
    """
    from resight.gallery.copying import copy, open_target

    with open_gallery(where, read_only=True) as source, open_target(source, to) as target, bar("copying", json) as tell:
        done = copy(source, target, lambda what, count, total: tell(count, total) if what == "copying" else None)
    if json:
        print_json(asdict(done))
    else:
        out.print(f"{done.uri}: {done.records:,} records, {done.new:,} of them new, all compared.", markup=False)
        out.print(f"SHA-256 {done.digest}", markup=False)
