"""``resight group``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import BatchSize, ModelOption, OnError, SkipOrFail
from resight.counted import counted
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.images.stream import BadImage


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("group")(group)


def group(
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder or zip archive of unlabelled images.")],
    model: ModelOption,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="DISTANCE", min=0, help="Maximum distance for linking two images (default: the card's threshold)."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="CSV", help="The file to write, with columns image, group.")
    ] = Path("groups.csv"),
    sheet: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Also write a contact sheet with the pictures.")
    ] = None,
    folders: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write one folder per group, with links to its images.")
    ] = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="In --folders, copy the images instead of linking them.")
    ] = False,
    on_error: SkipOrFail = OnError.fail,
    batch_size: BatchSize = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Cluster unlabelled images by identity.

    The threshold comes from the model's card, where `resight calibrate` puts it. Review the groups: clustering makes
    errors.
    """
    from resight.clustering.folders import check_folders, write_folders, write_groups
    from resight.clustering.group import group as put_together
    from resight.decisions.applied import apply
    from resight.decisions.decide import Decision
    from resight.embedding.embedder import Embedder
    from resight.models.loading import load
    from resight.report.contact import write_contact

    if copy and not folders:
        raise RecipeError("--copy says how to fill --folders: add --folders DIR.")
    if folders:
        check_folders(folders, images, copy)
    loaded = load(model)
    limit = loaded.card.threshold if threshold is None else threshold
    if limit is None:
        raise RecipeError(
            f"{model} has no calibrated threshold: run resight calibrate {model} DATA first, or pass --threshold."
        )
    with bar("embedding", json) as progress:
        bad: list[BadImage] = []
        skip = bad.append if on_error is OnError.skip else None
        found = Embedder(loaded, batch_size=batch_size)(images, progress=progress, on_error=skip)
    warning = ""
    if threshold is None and loaded.card.decision is not None:
        applied = apply(Decision.from_card(loaded.card), found)
        warning = "" if applied.trusted else str(applied.drift)
    groups = put_together(found, limit, loaded.card.metric)
    paths = [] if found.paths is None else found.paths.tolist()
    write_groups(output, paths, groups)
    if sheet:
        title = f"Who appears in {images.name}"
        write_contact(
            sheet, title=title, paths=paths, groups=groups, threshold=limit, metric=found.metric, warning=warning
        )
    if folders:
        write_folders(folders, paths, groups, copy=copy)
    count = int(groups.max()) + 1
    if warning:
        err.print(f"warning: {warning}")
    if json:
        files = {"file": output, "sheet": sheet, "folders": folders}
        left_out = [asdict(one) for one in bad]
        print_json({"images": len(groups), "groups": count, "threshold": limit, "failed": left_out} | files)
        return
    within = f"{loaded.card.metric} distance up to {limit:.4g}"
    out.print(f"{counted(len(groups), 'image')} in {counted(count, 'group')} ({within}).")
    for one in bad[:5]:
        err.print(f"left out: {one.reason}")
    if len(bad) > 5:
        err.print(f"and {len(bad) - 5:,} more")
    for file in (output, sheet, folders):
        if file:
            err.print(f"written: {file}")
