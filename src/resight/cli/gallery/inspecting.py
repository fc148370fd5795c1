"""The commands of ``resight gallery`` that show what is in a gallery and look after it."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, err, out, print_json
from resight.cli.gallery.options import (
    After,
    Before,
    Cameras,
    Identities,
    NotCameras,
    Unknown,
    Where,
    chosen,
    open_gallery,
    table_of,
)
from resight.counted import counted

if TYPE_CHECKING:
    from resight.gallery.record import Event


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    for command in (records, stats, log, check, index):
        app.command()(command)


def records(
    where: Where,
    cameras: Cameras = None,
    not_cameras: NotCameras = None,
    after: After = "",
    before: Before = "",
    identities: Identities = None,
    unknown: Unknown = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Number of records to list.")] = 100,
    after_id: Annotated[str, typer.Option(metavar="ID", help="Continue after this record.")] = "",
    json: Annotated[bool, Json] = False,
) -> None:
    """List records, ordered by id."""
    from resight.gallery.short_ids import whole_ids

    chosen_ones = chosen(cameras, not_cameras, after, before, identities, unknown)
    with open_gallery(where, read_only=True) as of:
        last = whole_ids(of, [after_id])[0] if after_id else ""
        found = of.records(chosen_ones, limit=limit, after_id=last)
    if json:
        print_json([asdict(record) for record in found])
        return
    out.print(table_of(found))
    if len(found) == limit:
        err.print(f"for more: --after-id {found[-1].id}")


def stats(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Show the number of records, identities and cameras, and the size on disk."""
    from resight.gallery.times import iso

    with open_gallery(where, read_only=True) as of:
        found, architecture = of.stats(), of.card.architecture
    if json:
        print_json(asdict(found))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "records": f"{found.records:,} ({found.unknown:,} without identity)",
        "identities": f"{found.identities:,}",
        "cameras": ", ".join(f"{name or '-'}: {count:,}" for name, count in found.cameras.items()),
        "seen": f"{iso(found.first)} to {iso(found.last)}" if found.first is not None else "",
        "expiring in 7 days": f"{found.expiring:,}",
        "bytes": ", ".join(f"{name}: {size:,}" for name, size in found.bytes.items()),
        "engine": found.engine,
        "model": f"{architecture} ({found.model}), {found.dim} numbers, {found.metric} distance",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    out.print(table)


def log(
    where: Where,
    after: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Only events after this number.")] = 0,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Number of events to show.")] = 1000,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new events and show them, a line each.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Also verify that no event was changed or removed.")] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Show the append-only audit log: who did what, and when."""
    with open_gallery(where, read_only=True) as of:
        if verify:
            of.verify_log()
        for event in of.follow(after) if follow else ():  # until the program is ended
            out.print(dumps(asdict(event)) if json else "  ".join(_cells(event)))
        events = of.log(after, limit)
    if json:
        print_json([asdict(event) for event in events])
        return
    table = Table("number", "time", "who", "action", "details", box=None, pad_edge=False)
    for event in events:
        table.add_row(*_cells(event))
    out.print(table)
    if verify:
        out.print("The chain of all events is intact.")


def _cells(event: Event) -> tuple[str, ...]:
    from resight.gallery.times import iso

    details = ", ".join(f"{key} {value}" for key, value in event.details.items())
    return str(event.number), iso(event.time), event.actor or "-", event.action, details


def check(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Check that the gallery's files are consistent; exits with code 1 if not."""
    from resight.gallery.record import Check, Damaged

    try:
        with open_gallery(where) as of:
            found = of.check()
    except Damaged as error:  # what cannot even be opened
        found = Check(0, (str(error),))
    if json:
        print_json(asdict(found))
    else:
        for problem in found.problems:
            out.print(problem)
        out.print(f"{counted(found.records, 'record')}, {counted(len(found.problems), 'problem')}.")
    if found.problems:
        raise typer.Exit(1)


def index(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Build the index of `search --approximate` and measure its recall."""
    with open_gallery(where) as of:
        found = of.index(None if json else lambda step: err.print(f"{step} ..."))
    if json:
        print_json(asdict(found))
        return
    out.print(
        f"An index of {counted(found.records, 'record')}, built in {found.seconds:.1f} s, finds {found.recall:.2%} "
        f"of the 10 nearest ({found.queries:,} searches tried)."
    )
