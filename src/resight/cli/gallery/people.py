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
    table_of,
)
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.gallery.record import Person

Name = Annotated[str, typer.Argument(metavar="NAME", help="An identity's name.")]


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    for command in (identities, timeline, enrol, merge, split, rename, erase, expire, export):
        app.command()(command)


def identities(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Who is in the gallery: how often, where, from when to when."""
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
        table.add_row(person.name, f"{person.records:,}", cameras, iso(person.first), iso(person.last))
    out.print(table, markup=False)


def timeline(where: Where, name: Name, json: Annotated[bool, Json] = False) -> None:
    """Where and when one identity was seen, in the order of time."""
    with open_gallery(where, read_only=True) as of:
        found = of.timeline(name)
    if json:
        print_json([asdict(record) for record in found])
        return
    out.print(table_of(found), markup=False)


def enrol(where: Where, name: Name, ids: Ids, json: Annotated[bool, Json] = False) -> None:
    """Say who is on records: they get a name, and the identity is made if it is new."""
    with open_gallery(where) as of:
        named = given_ids(of, ids)
        of.enrol(name, named)
    _tell(json, {"identity": name, "records": len(named)}, f"{len(named):,} records are {name} now.")


def merge(
    where: Where,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The name that stays.")],
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="The names that go into it.")],
    yes: Yes = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Make one identity of several that are the same one."""
    from resight.gallery.record import person_name

    with open_gallery(where) as of:
        people = {person.name: person for person in of.identities()}
        known = [people[name] for name in map(person_name, (into, *others)) if name in people]
        for person in known:
            err.print(_described(person), markup=False)
        if len(known) > len(others):  # else it is refused
            confirm(f"{', '.join(others)} will be {into} from now on; the names cannot be told apart again.", yes)
        moved = of.merge(into, others)
    _tell(json, {"identity": into, "records": moved}, f"{moved:,} records are {into} now.")


def split(
    where: Where,
    name: Name,
    ids: Ids,
    new_name: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Who they are; unknown if not given.")
    ] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Take records out of an identity to which they do not belong."""
    with open_gallery(where) as of:
        chosen = given_ids(of, ids)
        of.split(name, chosen, new_name)
    told = {"identity": name, "records": len(chosen), "new_name": new_name}
    _tell(json, told, f"{len(chosen):,} records of {name} are {new_name or 'unknown'} now.")


def rename(
    where: Where,
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new name, which nobody has yet.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Give an identity another name."""
    with open_gallery(where) as of:
        of.rename(name, new_name)
    _tell(json, {"identity": new_name, "was": name}, f"{name} is {new_name} now.")


def erase(
    where: Where,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID...", help="Records, by the first digits of their ids; - reads them from standard input."
        ),
    ] = None,
    identity: Annotated[str | None, typer.Option(metavar="NAME", help="All of one identity, and its name.")] = None,
    before: Annotated[str, typer.Option(metavar="TIME", help="All that was seen before this time.")] = "",
    yes: Yes = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Forget: embedding, thumbnail and all that is known, gone from every file; the log keeps how many.

    Shows what would go and asks. Without a terminal nothing goes unless --yes is given.
    """
    from resight.gallery.record import Filter
    from resight.gallery.times import moment

    if (bool(ids), identity is not None, bool(before)).count(True) != 1:
        raise RecipeError("erase needs to know what: pass records' ids, --identity NAME or --before TIME, one of them.")
    with open_gallery(where) as of:
        if ids:
            whole = given_ids(of, ids)
            err.print(table_of(of.get(whole[:20])), markup=False)
            confirm(f"{len(whole):,} records of {where} will be erased for good.", yes)
            erased = of.erase(ids=whole)
        elif identity is not None:
            seen = of.timeline(identity)
            if seen:
                err.print(table_of(seen[:20]), markup=False)
                confirm(f"{identity} and {len(seen):,} records of {where} will be erased for good.", yes)
            erased = of.erase(identity=identity)
        else:
            limit = moment(before, "--before")
            count = of.count(Filter(before=limit))
            confirm(f"{count:,} of {len(of):,} records of {where} will be erased for good.", yes)
            erased = of.erase(before=limit)
    _tell(json, {"erased": erased}, f"{erased:,} records erased.")


def expire(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Erase what is past its expiry; run it every day."""
    with open_gallery(where) as of:
        erased = of.expire()
    _tell(json, {"erased": erased}, f"{erased:,} records had expired and are erased.")


def export(
    where: Where,
    name: Name,
    folder: Annotated[Path, typer.Argument(help="The new folder: records.json, vectors.npz and thumbnails.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Write all that is kept about one identity, to hand it to that person."""
    with open_gallery(where) as of:
        written = of.export(name, folder)
    _tell(json, {"identity": name, "folder": written}, f"written: {written}")


def _described(person: Person) -> str:
    from resight.gallery.times import iso

    seen = f", {iso(person.first)} to {iso(person.last)}" if person.first is not None else ""
    cameras = f", cameras {', '.join(camera or '-' for camera in person.cameras)}" if person.cameras else ""
    return f"{person.name}: {person.records:,} records{cameras}{seen}"


def _tell(json: bool, result: dict[str, object], sentence: str) -> None:
    if json:
        print_json(result)
    else:
        out.print(sentence, markup=False)
