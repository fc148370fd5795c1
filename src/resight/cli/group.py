"""``resight group``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, err, out, print_json
from resight.errors import RecipeError


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("group")(group)


def group(
    images: Annotated[Path, typer.Argument(help="A folder or zip archive of images; who is on them is not known.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A run folder, or a weight file with its card.")],
    threshold: Annotated[
        float | None, typer.Option(min=0, help="Up to which distance two images are the same; the card's if not given.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The CSV file to write: image, group.")] = Path(
        "groups.csv"
    ),
    sheet: Annotated[Path | None, typer.Option(help="Also write a contact sheet, an HTML file with pictures.")] = None,
    folders: Annotated[
        Path | None, typer.Option(help="Also make this new folder, with one folder per group and links to its images.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the images into --folders instead of linking.")] = False,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Who appears in these pictures: put the images into groups, one per identity as far as the model can tell.

    The threshold comes from the model's card, where `resight calibrate` puts it. Groups are a guess to be looked at.
    """
    from resight.clustering.folders import check_folders, write_folders, write_groups
    from resight.clustering.group import group as put_together
    from resight.embedding.embedder import Embedder
    from resight.models.load import load
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
        found = Embedder(loaded, batch_size=batch_size)(images, progress=progress)
    groups = put_together(found, limit, loaded.card.metric)
    paths = [] if found.paths is None else found.paths.tolist()
    write_groups(output, paths, groups)
    if sheet:
        title = f"Who appears in {images.name}"
        write_contact(sheet, title=title, paths=paths, groups=groups, threshold=limit, metric=loaded.card.metric)
    if folders:
        write_folders(folders, paths, groups, copy=copy)
    count = int(groups.max()) + 1
    if json:
        files = {"file": output, "sheet": sheet, "folders": folders}
        print_json({"images": len(groups), "groups": count, "threshold": limit} | files)
        return
    out.print(f"{len(groups):,} images in {count:,} groups ({loaded.card.metric} distance up to {limit:.4g}).")
    for file in (output, sheet, folders):
        if file:
            err.print(f"written: {file}", markup=False)
