"""The commands of ``resight gallery`` that are about who was seen, and about forgetting."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, err, out, print_json
from resight.cli.gallery.options import (
    Ids,
    Where,
    Yes,
    confirm,
    given_ids,
    open_gallery,
    printable,
    table_of,
)
from resight.counted import counted
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.gallery.record import Person

Name = Annotated[str, typer.Argument(metavar="NAME", help="An identity's name.")]


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    for command in (identities, timeline, enrol, merge, split, rename, erase, expire, export):
        app.command()(command)


def identities(where: Where, json: Annotated[bool, Json] = False) -> None:
    """List the identities, with their records, cameras and times."""
    from resight.gallery.times import iso

    with open_gallery(where, read_only=True) as of:
        people = of.identities()
    if json:
        print_json([asdict(person) for person in people])
        return
    table = Table("identity", box=None, pad_edge=False)
    table.add_column("records", justify="right")
    for column in ("cameras", "first seen", "last seen"):
        table.add_column(column)
    for person in people:
        cameras = ", ".join(camera or "-" for camera in person.cameras)
        table.add_row(printable(person.name), f"{person.records:,}", cameras, iso(person.first), iso(person.last))
    out.print(table)


def timeline(where: Where, name: Name, json: Annotated[bool, Json] = False) -> None:
    """Show where and when one identity was seen."""
    from resight.gallery.store import no_such_identity

    with open_gallery(where, read_only=True) as of:
        found = of.timeline(name)
    if not found:
        raise no_such_identity(name)
    if json:
        print_json([asdict(record) for record in found])
        return
    out.print(table_of(found))


def enrol(where: Where, name: Name, ids: Ids, json: Annotated[bool, Json] = False) -> None:
    """Assign a name to records; a new name creates an identity."""
    with open_gallery(where) as of:
        named = given_ids(of, ids)
        of.enrol(name, named)
    _print(json, {"identity": name, "records": len(named)}, f"named {name}: {counted(len(named), 'record')}.")


def merge(
    where: Where,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The name to keep.")],
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="The names to merge into it.")],
    yes: Yes = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Merge duplicate identities."""
    from resight.gallery.record import person_name

    with open_gallery(where) as of:
        people = {person.name: person for person in of.identities()}
        known = [people[name] for name in map(person_name, (into, *others)) if name in people]
        for person in known:
            err.print(_described(person))
        if len(known) > len(others):  # else it is refused
            confirm(f"{', '.join(others)} will be merged into {into}; this cannot be undone by name.", yes)
        moved = of.merge(into, others)
    _print(json, {"identity": into, "records": moved}, f"merged into {into}: {counted(moved, 'record')}.")


def split(
    where: Where,
    name: Name,
    ids: Ids,
    new_name: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Assign them this name (default: none).")
    ] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Remove wrong records from an identity."""
    with open_gallery(where) as of:
        chosen = given_ids(of, ids)
        of.split(name, chosen, new_name)
    result = {"identity": name, "records": len(chosen), "new_name": new_name}
    _print(json, result, f"taken out of {name}: {counted(len(chosen), 'record')}, now {new_name or 'without a name'}.")


def rename(
    where: Where,
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new name; it must not be in use.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Rename an identity."""
    with open_gallery(where) as of:
        of.rename(name, new_name)
    _print(json, {"identity": new_name, "was": name}, f"renamed {name} to {new_name}.")


def erase(
    where: Where,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID...", help="Record ids, or their first digits; - reads ids from standard input."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option(metavar="NAME", help="All records of this identity, and its name.")
    ] = None,
    before: Annotated[str, typer.Option(metavar="TIME", help="All records before this time.")] = "",
    yes: Yes = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Erase records for good: embeddings, thumbnails and metadata.

    In a gallery file their bytes are gone when this ends; in PostgreSQL after `resight gallery purge`.

    Shows the records and asks for confirmation; without a terminal, --yes is required. The log keeps only the number
    of erased records.
    """
    from resight.gallery.record import Filter
    from resight.gallery.times import moment

    if (bool(ids), identity is not None, bool(before)).count(True) != 1:
        raise RecipeError("erase needs one of these: record ids, --identity NAME or --before TIME.")
    with open_gallery(where) as of:
        if ids:
            whole = given_ids(of, ids)
            err.print(table_of(of.get(whole[:20])))
            confirm(f"{counted(len(whole), 'record')} of {where} will be erased permanently.", yes)
            erased = of.erase(ids=whole)
        elif identity is not None:
            seen = of.timeline(identity)
            if seen:
                err.print(table_of(seen[:20]))
                confirm(f"{identity} and {counted(len(seen), 'record')} of {where} will be erased permanently.", yes)
            erased = of.erase(identity=identity)
        else:
            limit = moment(before, "--before")
            count = of.count(Filter(before=limit))
            confirm(f"{count:,} of {counted(len(of), 'record')} of {where} will be erased permanently.", yes)
            erased = of.erase(before=limit)
    _print(json, {"erased": erased}, f"{counted(erased, 'record')} erased.")


def expire(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Erase expired records; run it daily."""
    with open_gallery(where) as of:
        erased = of.expire()
    _print(json, {"erased": erased}, f"expired and erased: {counted(erased, 'record')}.")


def export(
    where: Where,
    name: Name,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder to create: records.json, vectors.npz, thumbnails.")
    ],
    json: Annotated[bool, Json] = False,
) -> None:
    """Export everything stored about one identity (for a subject access request)."""
    with open_gallery(where) as of:
        written = of.export(name, folder)
    _print(json, {"identity": name, "folder": written}, f"written: {written}")


def _described(person: Person) -> str:
    from resight.gallery.times import iso

    seen = f", {iso(person.first)} to {iso(person.last)}" if person.first is not None else ""
    cameras = f", cameras {', '.join(camera or '-' for camera in person.cameras)}" if person.cameras else ""
    return f"{person.name}: {counted(person.records, 'record')}{cameras}{seen}"


def _print(json: bool, result: dict[str, object], sentence: str) -> None:
    if json:
        print_json(result)
    else:
        out.print(printable(sentence))
