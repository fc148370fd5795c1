"""``resight search``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resight.cli.console import Json, err, out, print_json
from resight.cli.gallery.options import (
    After,
    Before,
    Cameras,
    Identities,
    ModelOption,
    NotCameras,
    Unknown,
    Where,
    chosen,
    given_ids,
    in_words,
    open_gallery,
    table_of,
)
from resight.counted import counted
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery
    from resight.gallery.record import Hit


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("search")(search)


def search(
    gallery: Where,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE...", help="Images, folders or zip archives of images."),
    ] = None,
    record: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Search by the embedding of this record; repeatable.")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="The images show one individual: search once, with their mean embedding.")
    ] = False,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="Results per query.")] = 10,
    cameras: Cameras = None,
    not_cameras: NotCameras = None,
    other_cameras: Annotated[
        bool,
        typer.Option(
            "--other-cameras", rich_help_panel="Filters", help="Only known cameras other than that of each --record."
        ),
    ] = False,
    after: After = "",
    before: Before = "",
    identities: Identities = None,
    unknown: Unknown = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours (slower).")] = False,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Use the approximate index: faster, but may miss some results.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a contact sheet: one HTML file with the pictures.")
    ] = None,
    model: ModelOption = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Search a gallery by image: have we seen this one before?

    Results are sorted by distance. With a calibrated model each has a decision: match, unsure or no match. If the
    pictures are unlike those of the calibration, a warning says so and nothing is called a match.
    """
    from resight.embedding.source import source_of
    from resight.gallery.searching import elsewhere, mean
    from resight.retrieval.reranking.rerank import KReciprocal

    if bool(images) == bool(record):
        raise RecipeError("A search needs pictures, or --record ID: pass one of the two.")
    if images and other_cameras:
        raise RecipeError(
            "--other-cameras applies to --record, whose camera is known: name the camera of pictures with --not-camera."
        )
    where = chosen(cameras, not_cameras, after, before, identities, unknown)
    again = KReciprocal() if rerank else None
    names: list[str] = []
    with open_gallery(gallery, model) as found_in:
        if record:
            names = given_ids(found_in, record)
            query: Any = found_in.vectors(names)
        else:
            for image in images or ():
                names += source_of(image).paths.tolist()  # type: ignore[union-attr] # a path has a known length
            query = names
        captions = names if record else [Path(name).name for name in names]
        places = [elsewhere(where, one) for one in found_in.get(names)] if other_cameras else [where] * len(names)
        if together and len(names) > 1:
            query = mean(query if record else found_in.embedder(names).vectors, found_in.card.metric)[None]
            captions = [f"{captions[0]} and {len(names) - 1} more of the same individual"]
            cameras_of_all = tuple(camera for place in places for camera in place.exclude_cameras)
            places = [replace(where, exclude_cameras=tuple(dict.fromkeys(cameras_of_all)))]
            names = names[:1]
        if other_cameras:
            pairs = zip(query, places, strict=True)
            found = [found_in.search(one, k, place, rerank=again, approximate=approximate) for one, place in pairs]
        else:
            found = found_in.search_many(query, k, where, rerank=again, approximate=approximate)
        applied = found_in.applied()
        if html:
            filters = [in_words(where), "another camera than the record's" if other_cameras else ""]
            _sheet(html, found_in, names, captions, found, ", ".join(filter(None, filters)), by_record=bool(record))
    if applied and applied.banner:
        err.print(f"warning: {applied.banner}")
    if json:
        answers = zip(names, found, strict=True)
        print_json([{"query": name, "hits": [asdict(hit) for hit in hits]} for name, hits in answers])
        return
    if together:
        names = captions
    for name, hits in zip(names, found, strict=True):
        out.print(f"{name}: {len(hits)} found" if hits else f"{name}: nothing found")
        if hits:
            out.print(table_of([hit.record for hit in hits], hits))
    if html:
        err.print(f"written: {html}")


def _sheet(
    path: Path,
    gallery: Gallery,
    names: list[str],
    captions: list[str],
    found: list[list[Hit]],
    filters: str,
    *,
    by_record: bool,
) -> None:
    from resight.gallery.short_ids import SHOWN
    from resight.gallery.times import iso
    from resight.report.found import Found, Search, write_found

    searches = [
        Search(
            gallery.thumbnail(name) if by_record else name,
            caption,
            tuple(
                Found(
                    gallery.thumbnail(hit.record.id),
                    hit.record.identity or "",
                    tuple(filter(None, (hit.record.camera and f"camera {hit.record.camera}", iso(hit.record.time)))),
                    hit.record.id[:SHOWN],
                    hit.distance,
                    hit.decision,
                )
                for hit in hits
            ),
        )
        for name, caption, hits in zip(names, captions, found, strict=True)
    ]
    rule, applied = "", gallery.applied()
    if applied is not None:
        decision = applied.decision
        rule = (
            f"match up to distance {decision.threshold:.4g} (promised false-match rate {decision.false_match_rate:g}), "
            f"no match beyond {decision.no_match_beyond:.4g}"
        )
    name = PurePath(gallery.uri.partition("?")[0]).stem  # the rest is not for readers of the sheet
    write_found(
        path,
        title=f"Found in {name}",
        searches=searches,
        where=f"{counted(len(gallery), 'record')} of {name}",
        metric=gallery.card.metric,
        rule=rule,
        warning=applied.banner if applied else "",
        filters=filters,
    )
