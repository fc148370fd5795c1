"""``resight gallery copy`` and ``backup``: the same gallery in another place, or as it is now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from resight.cli.console import Json, bar, out, print_json
from resight.cli.gallery.options import Where, open_gallery
from resight.counted import counted


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.command()(copy)
    app.command()(backup)


def copy(
    where: Where,
    to: Annotated[
        str,
        typer.Argument(metavar="TO", help="seen2, or postgresql://USER@HOST/DATABASE?gallery=NAME."),
    ],
    add_erased: Annotated[
        bool, typer.Option("--add-erased", help="Also bring back what was erased from TO before.")
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Copy a gallery to another location or storage engine, and verify the copy.

    Every record, vector and thumbnail is compared. An interrupted copy continues when the command is repeated. The log
    is not copied; the new gallery starts its own. What was erased from an existing gallery does not come back unasked.
    """
    from resight.gallery.copying import copy, open_target

    with open_gallery(where, read_only=True) as source, open_target(source, to) as target, bar("copying", json) as tell:

        def step(what: str, count: int, total: int) -> None:
            if what == "copying":
                tell(count, total)

        done = copy(source, target, step, add_erased=add_erased)
    if json:
        print_json(asdict(done))
    else:
        out.print(f"{done.uri}: {counted(done.records, 'record')}, {done.new:,} of them new, all compared.")
        out.print(f"SHA-256 {done.digest}")


def backup(
    where: Where,
    to: Annotated[str, typer.Argument(metavar="FILE", help="A file that does not exist yet, as seen-2026-11-21.db.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Write a backup: one file with everything as of now, while other programs go on reading and writing.

    A backup is a gallery: open it at its place, or copy it back. For a gallery in PostgreSQL use pg_dump or copy.
    """
    with open_gallery(where, read_only=True) as of:
        written = of.backup(to)
    if json:
        print_json({"backup": str(written), "bytes": written.stat().st_size})
    else:
        out.print(f"written: {written} ({written.stat().st_size:,} bytes)")
