"""``resight gallery``: make one, fill it, look after it. Who is in it: :mod:`resight.cli.gallery_people`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli import gallery_copy, gallery_people
from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.embed import OnError
from resight.cli.filters import (
    After,
    Before,
    Cameras,
    Identities,
    ModelOption,
    NotCameras,
    Unknown,
    Where,
    chosen,
    open_gallery,
    table_of,
)
from resight.cli.search import search
from resight.errors import DataError, RecipeError

gallery = typer.Typer(
    no_args_is_help=True,
    help=(
        "Keep what was seen, search it, name who is on it, forget on request.\n\n"
        "Start with `resight gallery create seen`, `resight gallery add seen PICTURES --camera door` and "
        "`resight search seen PICTURE.jpg`. A gallery is a file (seen.db), or a collection of a Milvus cluster."
    ),
)


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(gallery, name="gallery")


@gallery.command()
def create(
    where: Where,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="What embeds its pictures: a run folder, a weight file with its card, or a name."
        ),
    ] = "person",
    keep_days: Annotated[
        float | None, typer.Option(min=0, help="Records expire so many days after they were seen; never if not given.")
    ] = None,
    thumbnail_side: Annotated[int, typer.Option(min=16, help="The longest side of a thumbnail in pixels.")] = 256,
    no_thumbnails: Annotated[bool, typer.Option("--no-thumbnails", help="Keep no pictures, embeddings only.")] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Make an empty gallery, which is bound to one model from then on."""
    from resight.gallery.gallery import Gallery
    from resight.gallery.record import Policy

    try:
        Gallery.open(where, read_only=True).close()
    except DataError:  # nothing there, as it should be
        pass
    else:
        raise RecipeError(f"{where} is a gallery already: add to it, or choose another place.")
    policy = Policy(keep_days, thumbnail_side, not no_thumbnails)
    with Gallery.open(where, model, policy=policy) as made:
        uri, decision = made.uri, made.decision
    if json:
        print_json({"gallery": uri, "model": made.card.fingerprint, "calibrated": decision is not None})
        return
    out.print(f"{uri}: an empty gallery of {made.card.architecture}.", markup=False)
    if decision is None:
        err.print(
            f"{model} is not calibrated, so searches will give distances without decisions: run resight calibrate "
            "first if you have labelled pictures.",
            markup=False,
        )


@gallery.command("add")
def add_to(
    where: Where,
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder, zip archive or image; a data set; a CSV list (path, and camera, time, identity); or "
            "embeddings (.parquet, .npz)."
        ),
    ],
    name: Annotated[
        str, typer.Option("--as", help="Which data set it is; found out when not given ('folder' is never guessed).")
    ] = "",
    split: Annotated[str, typer.Option(help="Of a data set only train, query or gallery.")] = "",
    pattern: Annotated[
        str,
        typer.Option(
            help="A regular expression that reads file names, with groups called camera, identity, time or frame: "
            "`(?P<camera>[^/]+)/[^/]+$` takes the folder's name. Names like Market-1501's are read without."
        ),
    ] = "",
    camera: Annotated[str, typer.Option(metavar="NAME", help="The camera of all.")] = "",
    time: Annotated[
        str, typer.Option(metavar="TIME", help="When all were seen: 2026-11-21T13:30:05 (UTC), or with +01:00.")
    ] = "",
    frame_rate: Annotated[
        float | None,
        typer.Option(help="Frames per second, where names or columns have frame numbers: they count from --time."),
    ] = None,
    identities: Annotated[
        bool, typer.Option("--identities", help="Also take who is on them, where names, data set or file tell.")
    ] = False,
    basis: Annotated[str, typer.Option(help="Why they may be kept: consent, contract, ...")] = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="When they expire, if not as the gallery says.")] = "",
    on_error: Annotated[
        OnError, typer.Option(help="At an image that cannot be read: stop, or leave it out and say so.")
    ] = OnError.fail,
    model: ModelOption = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Add pictures or embeddings; adding the same twice is adding it once, so a stopped command can be repeated."""
    from resight.gallery.incoming import incoming
    from resight.gallery.times import moment

    found = incoming(source, name, split, pattern)
    start = moment(time, "--time") if time else None
    times = found.times if start is None else start
    if frame_rate is not None:
        times = found.timed(start or 0.0, frame_rate)
    with open_gallery(where, model) as to, bar("adding", json) as progress:
        added = to.add(
            found.images,
            cameras=camera or found.cameras,
            times=times,
            identities=found.identities if identities else None,
            sources=found.sources,
            basis=basis,
            expires=moment(expires, "--expires") if expires else None,
            on_error=(lambda bad: None) if on_error is OnError.skip else None,
            progress=progress,
        )
    if json:
        print_json(asdict(added) | {"notes": found.notes})
        return
    for note in found.notes:
        err.print(note, markup=False)
    known = f", {added.known:,} were there already" if added.known else ""
    out.print(f"{added.new:,} added to {where}{known}.", markup=False)
    for bad in added.failed[:5]:
        err.print(f"left out: {bad.reason}", markup=False)
    if len(added.failed) > 5:
        err.print(f"and {len(added.failed) - 5:,} more: --json names them all", markup=False)


gallery.command("search")(search)


@gallery.command()
def records(
    where: Where,
    cameras: Cameras = None,
    not_cameras: NotCameras = None,
    after: After = "",
    before: Before = "",
    identities: Identities = None,
    unknown: Unknown = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 100,
    after_id: Annotated[str, typer.Option(metavar="ID", help="Go on after this one.")] = "",
    json: Annotated[bool, Json] = False,
) -> None:
    """List records, in the order of their ids."""
    from resight.gallery.short_ids import whole_ids

    chosen_ones = chosen(cameras, not_cameras, after, before, identities, unknown)
    with open_gallery(where, read_only=True) as of:
        last = whole_ids(of, [after_id])[0] if after_id else ""
        found = of.records(chosen_ones, limit=limit, after_id=last)
    if json:
        print_json([asdict(record) for record in found])
        return
    out.print(table_of(found), markup=False)
    if len(found) == limit:
        err.print(f"for more: --after-id {found[-1].id}", markup=False)


@gallery.command()
def stats(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Count records, identities and cameras, and say how large the gallery is."""
    from resight.gallery.times import iso

    with open_gallery(where, read_only=True) as of:
        found = of.stats()
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
        "model": f"{found.model}, {found.dim} numbers, {found.metric} distance",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    out.print(table, markup=False)


@gallery.command()
def log(
    where: Where,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 1000,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also prove that no event was changed or taken out.")
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Who did what and when; it is only ever appended to, and holds no names and no pictures of anybody found."""
    from resight.gallery.times import iso

    with open_gallery(where, read_only=True) as of:
        if verify:
            of.verify_log()
        events = of.log(after, limit)
    if json:
        print_json([asdict(event) for event in events])
        return
    table = Table("number", "time", "who", "action", "details", box=None, pad_edge=False)
    for event in events:
        details = ", ".join(f"{key} {value}" for key, value in event.details.items())
        table.add_row(str(event.number), iso(event.time), event.actor or "-", event.action, details)
    out.print(table, markup=False)
    if verify:
        out.print("The chain of all events holds.")


@gallery.command()
def check(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Compare the gallery's files with each other; exit code 1 where something is wrong."""
    with open_gallery(where) as of:
        found = of.check()
    if json:
        print_json(asdict(found))
    else:
        for problem in found.problems:
            out.print(problem, markup=False)
        out.print(f"{found.records:,} records, {len(found.problems):,} problems.")
    if found.problems:
        raise typer.Exit(1)


@gallery.command()
def index(where: Where, json: Annotated[bool, Json] = False) -> None:
    """Build the index of `search --approximate`, and measure which share of the nearest it finds."""
    with open_gallery(where) as of:
        found = of.index(None if json else lambda step: err.print(f"{step} ...", markup=False))
    if json:
        print_json(asdict(found))
        return
    out.print(
        f"An index of {found.records:,} records, built in {found.seconds:.1f} s, finds {found.recall:.2%} of the 10 "
        f"nearest ({found.queries:,} searches tried)."
    )


@gallery.command()
def reembed(
    where: Where,
    to: Annotated[str, typer.Argument(metavar="NEW", help="Where the new gallery is to be.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The new model.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Move to another model: a new gallery with the same records, embedded again from their pictures.

    A record whose source is gone is embedded from its thumbnail, which is said; the old gallery stays as it is.
    """
    with open_gallery(where) as of, bar("embedding", json) as progress:
        found = of.reembed(model, to, progress=progress)
    if json:
        print_json(asdict(found))
        return
    out.print(f"{found.records:,} records stand in {found.uri}.", markup=False)
    if found.from_thumbnails:
        err.print(f"{len(found.from_thumbnails):,} were embedded from their thumbnails, since their sources are gone.")
    if found.lost:
        err.print(f"{len(found.lost):,} have neither source nor thumbnail and were left behind: --json names them.")


gallery_people.add(gallery)
gallery_copy.add(gallery)
