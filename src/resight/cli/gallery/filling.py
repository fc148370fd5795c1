"""The commands of ``resight gallery`` that make a gallery and fill it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.gallery.options import ModelOption, Where, open_gallery
from resight.cli.options import MODEL, AddErased, DataName, OnError, Pattern, SkipOrFail, Split
from resight.counted import counted
from resight.errors import DataError, RecipeError


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.command()(create)
    app.command("add")(add_to)
    app.command()(reembed)


def create(
    where: Where,
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help=MODEL)] = "person",
    keep_days: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, help="Records expire this long after they were seen (default: never)."),
    ] = None,
    thumbnail_side: Annotated[int, typer.Option(metavar="PIXELS", min=16, help="Longest side of a thumbnail.")] = 256,
    no_thumbnails: Annotated[bool, typer.Option("--no-thumbnails", help="Store embeddings only, no pictures.")] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Create an empty gallery for one model."""
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
    out.print(f"{uri}: an empty gallery of {made.card.architecture}.")
    if decision is None:
        err.print(
            f"{model} is not calibrated, so searches will give distances without decisions: run resight calibrate "
            "first if you have labelled pictures.",
        )


def add_to(
    where: Where,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, zip archive, image or data set; a CSV list (path, camera, time, identity); or embeddings "
            "(.parquet, .npz).",
        ),
    ],
    name: DataName = "",
    split: Split = "",
    pattern: Pattern = "",
    camera: Annotated[str, typer.Option(metavar="NAME", help="Camera of all images.")] = "",
    camera_from_folder: Annotated[
        bool, typer.Option("--camera-from-folder", help="The camera of each image is the name of its folder.")
    ] = False,
    time: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Time of all images: 2026-11-21T13:30:05 (UTC, or with +01:00); or where each is read: exif, name "
            "(of the file) or file (when it was changed).",
        ),
    ] = "",
    frame_rate: Annotated[
        float | None,
        typer.Option(metavar="FPS", help="Frames per second, to convert frame numbers to times after --time."),
    ] = None,
    identities: Annotated[
        bool, typer.Option("--identities", help="Also store the identities that the source gives.")
    ] = False,
    basis: Annotated[
        str, typer.Option(metavar="TEXT", help="Legal basis for keeping the records: consent, contract, ...")
    ] = "",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="When the records expire (default: the gallery's policy).")
    ] = "",
    on_error: SkipOrFail = OnError.fail,
    add_erased: AddErased = False,
    model: ModelOption = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Add images or embeddings.

    Images that are already in the gallery are not added again, so an interrupted command can be repeated. Images that
    were erased from it are refused.
    """
    from resight.gallery.adding.dating import WAYS
    from resight.gallery.adding.incoming import incoming
    from resight.gallery.record import expired_already, kept_as_they_are
    from resight.gallery.times import moment

    read = time if time in WAYS else ""
    if camera and camera_from_folder:
        raise RecipeError("--camera and --camera-from-folder both give cameras: choose one.")
    if read and frame_rate is not None:
        raise RecipeError(f"--frame-rate counts from a time, but --time {read} gives each image its own: choose one.")
    found = incoming(source, name, split, pattern, time=read, by_folder=camera_from_folder)
    start = moment(time, "--time") if time and not read else None
    until = moment(expires, "--expires") if expires else None
    times = found.times if start is None else start
    notes = [*found.notes]
    if frame_rate is not None and start is None:
        notes.append("The times of the frames are unknown, because --frame-rate counts from --time: add --time.")
    elif frame_rate is not None and start is not None:
        times = found.timed(start, frame_rate)
    with open_gallery(where, model) as to, bar("adding", json) as progress:
        added = to.add(
            found.images,
            cameras=camera or found.cameras,
            times=times,
            identities=found.identities if identities else None,
            sources=found.sources,
            basis=basis,
            expires=until,
            add_erased=add_erased,
            on_error=(lambda bad: None) if on_error is OnError.skip else None,
            progress=progress,
        )
        applied = to.applied()
        if added.different:
            notes.append(kept_as_they_are(added.different, to.get(added.different[:1])[0]))
    if applied and applied.banner:
        notes.append(applied.banner)
    if added.expired:
        notes.append(expired_already(added.expired))
    if json:
        print_json(asdict(added) | {"twice": added.twice, "notes": notes})
        return
    for note in notes:
        err.print(note)
    before = added.known - added.twice
    known = f", {before:,} were there already" if before else ""
    twice = (
        f", {added.twice:,} {'is' if added.twice == 1 else 'are'} in the source more than once" if added.twice else ""
    )
    out.print(f"{added.new:,} added to {where}{known}{twice}.")
    if added.refused:
        were = "was" if len(added.refused) == 1 else "were"
        refused = f"{len(added.refused):,} {were} erased from this gallery before and not added again"
        err.print(f"{refused}: pass --add-erased to add all.")
    for bad in added.failed[:5]:
        err.print(f"left out: {bad.reason}")
    if len(added.failed) > 5:
        err.print(f"and {len(added.failed) - 5:,} more: --json lists all of them")


def reembed(
    where: Where,
    to: Annotated[str, typer.Argument(metavar="NEW", help="Location of the new gallery.")],
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="The new model.")],
    json: Annotated[bool, Json] = False,
) -> None:
    """Change the model: create a new gallery with the same records, embedded again.

    If a record's source image is missing, its thumbnail is used and this is reported. The old gallery is kept.
    """
    with open_gallery(where) as of, bar("embedding", json) as progress:
        found = of.reembed(model, to, progress=progress)
    if json:
        print_json(asdict(found))
        return
    out.print(f"{found.uri} has {counted(found.records, 'record')} now.")
    if found.from_thumbnails:
        err.print(f"{len(found.from_thumbnails):,} were embedded from their thumbnails, since their sources are gone.")
    if found.lost:
        err.print(f"{len(found.lost):,} have neither source nor thumbnail and were not copied: --json lists them.")
