"""The options that say which records count, and how records are shown; shared by all commands on galleries."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from resight.cli.console import err
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery
    from resight.gallery.record import Filter, Hit, Record

_WHICH = "Filters"
Where = Annotated[
    str,
    typer.Argument(
        metavar="GALLERY", help="A name or file (seen, seen.db), or postgresql://HOST/DB?gallery=NAME in a database."
    ),
]
Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Record ids, or their first digits; - reads ids from standard input."),
]
Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", metavar="NAME", rich_help_panel=_WHICH, help="Only this camera; repeatable."),
]
NotCameras = Annotated[
    list[str] | None,
    typer.Option(
        "--not-camera", metavar="NAME", rich_help_panel=_WHICH, help="All cameras except this one; repeatable."
    ),
]
After = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        rich_help_panel=_WHICH,
        help="Only records at or after this time: 2026-11-21, 2026-11-21T13:30 (UTC, or with +01:00).",
    ),
]
Before = Annotated[str, typer.Option(metavar="TIME", rich_help_panel=_WHICH, help="Only records before this time.")]
Identities = Annotated[
    list[str] | None,
    typer.Option("--identity", metavar="NAME", rich_help_panel=_WHICH, help="Only this identity; repeatable."),
]
Unknown = Annotated[
    bool | None,
    typer.Option("--unknown/--known", rich_help_panel=_WHICH, help="Only records without (or with) an identity."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="MODEL", help="The gallery's model, if it has moved."),
]


def open_gallery(where: str, model: str | None = None, *, read_only: bool = False) -> Gallery:
    """The gallery at a place, which must be there."""
    from resight.gallery.gallery import Gallery

    if model:
        Gallery.open(where, read_only=True).close()  # a model alone would make a gallery of a misspelt name
    return Gallery.open(where, model, read_only=read_only)


def chosen(
    cameras: Sequence[str] | None,
    not_cameras: Sequence[str] | None,
    after: str,
    before: str,
    identities: Sequence[str] | None,
    unknown: bool | None,
) -> Filter:
    """The filter that the options make."""
    from resight.gallery.record import Filter
    from resight.gallery.times import moment

    return Filter(
        cameras=tuple(cameras or ()),
        exclude_cameras=tuple(not_cameras or ()),
        after=moment(after, "--after") if after else None,
        before=moment(before, "--before") if before else None,
        identities=tuple(identities or ()),
        unknown=unknown,
    )


def in_words(where: Filter) -> str:
    """A filter in words; "" for none."""
    from resight.gallery.times import iso

    parts = [
        f"camera {' or '.join(where.cameras)}" if where.cameras else "",
        f"not camera {' nor '.join(where.exclude_cameras)}" if where.exclude_cameras else "",
        f"seen from {iso(where.after)}" if where.after is not None else "",
        f"seen before {iso(where.before)}" if where.before is not None else "",
        f"identity {' or '.join(where.identities)}" if where.identities else "",
        "" if where.unknown is None else "without identity" if where.unknown else "with an identity",
    ]
    return ", ".join(filter(None, parts))


def given_ids(gallery: Gallery, ids: Iterable[str]) -> list[str]:
    """Whole ids, of which ``-`` stands for the words of standard input."""
    from resight.gallery.short_ids import whole_ids

    given: list[str] = []
    for one in ids:
        given += sys.stdin.read().split() if one == "-" else [one]
    return whole_ids(gallery, given)


def table_of(records: Sequence[Record], hits: Sequence[Hit] | None = None) -> Table:
    """Records, a row each, with the columns that say something; before them what a search says where there are hits."""
    from resight.gallery.short_ids import SHOWN
    from resight.gallery.times import iso

    columns: dict[str, list[str]] = {}
    if hits is not None:
        columns[""] = [str(at) for at in range(1, len(hits) + 1)]
        columns["distance"] = [f"{hit.distance:.4f}" for hit in hits]
        columns["decision"] = [hit.decision or "" for hit in hits]
    columns["identity"] = [record.identity or "" for record in records]
    columns["camera"] = [record.camera for record in records]
    columns["seen"] = [iso(record.time) for record in records]
    columns["id"] = [record.id[:SHOWN] for record in records]
    columns["source"] = [PurePath(record.source).name for record in records]
    columns = {name: cells for name, cells in columns.items() if any(cells) or name == "id"}
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in columns:  # where a terminal is narrow, names become shorter
        shorter = name in ("identity", "camera", "source")
        justify: Literal["left", "right"] = "right" if name in ("", "distance") else "left"
        table.add_column(name, justify=justify, no_wrap=not shorter, overflow="ellipsis", min_width=len(name))
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(printable, row))
    return table


def printable(text: str) -> str:
    """Without the signs that would steer the terminal; a file's name may hold any."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def confirm(question: str, yes: bool) -> None:
    """Ask at the terminal, unless the answer was given already.

    Raises:
        RecipeError: there is no terminal to ask at.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise RecipeError(f"{question} There is no terminal to answer at, so nothing was done: add --yes.")
    err.print(question, end=" ")
    if not typer.confirm("Go on?", err=True):
        err.print("Nothing was done.")
        raise typer.Exit(1)
