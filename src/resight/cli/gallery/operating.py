"""``resight gallery purge`` and ``grant``: for those who operate the database of a gallery."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from resight.cli.console import Json, err, out, print_json
from resight.cli.gallery.options import Where, Yes, confirm, open_gallery


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.command()(purge)
    app.command()(grant)


def purge(where: Where, yes: Yes = False, json: Annotated[bool, Json] = False) -> None:
    """Remove the bytes of erased records from a database server's files.

    PostgreSQL keeps erased rows in its files until others overwrite them. This rewrites all tables (other programs
    wait meanwhile), ends the current file of the write-ahead log, and lists where bytes may remain.
    """
    with open_gallery(where) as of:
        confirm(f"All tables of {of.uri} will be rewritten, and other programs wait until it is done.", yes)
        left = of.purge()
    if json:
        print_json({"left": left})
        return
    out.print("The bytes of erased records are gone from the gallery's files.")
    if left:
        err.print("They may remain in:")
    for sentence in left:
        out.print(f"- {sentence}")


def grant(
    where: Annotated[str, typer.Argument(metavar="GALLERY", help="The address of a gallery in PostgreSQL.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="A role of the database; make it with CREATE ROLE.")],
    right: Annotated[
        Literal["none", "read", "write", "erase"],
        typer.Argument(metavar="RIGHT", help="none, read, write or erase, each more than the one before."),
    ],
    json: Annotated[bool, Json] = False,
) -> None:
    """Give a role of the database a right to the gallery.

    read: search and list; write: also add and name; erase: also erase. Building the index, purging and granting are
    for the gallery's owner.
    """
    with open_gallery(where) as of:
        of.store.grant(role, right, of.actor)
    if json:
        print_json({"role": role, "right": right})
    else:
        out.print(f"{role} may now {right if right != 'none' else 'do nothing'}.")
