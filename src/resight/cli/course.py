"""``resight course build`` and ``resight predict``: the course system's data, and its ``pred.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, out, print_json
from resight.cli.options import BatchSize, Model
from resight.counted import counted

course = typer.Typer(no_args_is_help=True, help="Data of the course's re-ID system: CSV files and numbered galleries.")


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(course, name="course")
    app.command("predict")(predict)


@course.command()
def build(
    market: Annotated[
        Path, typer.Argument(metavar="MARKET", help="Market-1501 or data in its layout: folder or zip archive.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; it must not exist yet.")],
    identities: Annotated[int, typer.Option(metavar="N", min=2, help="Identities to train on.")] = 230,
    gallery: Annotated[
        int, typer.Option(metavar="N", min=1, help="Gallery images, and queries, in each of val and test.")
    ] = 100,
    triplets: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Random triplets (default: one for each training image)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same folder.")] = 0,
    json: Annotated[bool, Json] = False,
) -> None:
    """Build the course's folder from the training images of Market-1501.

    Writes train_idloss.csv, val_idloss.csv and train_random_triplet.csv with their images, val/gt.csv, test/pred.csv
    (which `resight predict` fills in) and test_answers.csv (to score it). Test images of Market-1501 are not used.
    """
    from resight.course.layout import write_course

    data = write_course(market, output, identities=identities, gallery=gallery, seed=seed, triplets=triplets)
    facts, drawn = data.facts(), len(data.triplets) if data.triplets is not None else 0
    if json:
        print_json({"folder": output, "fingerprint": data.fingerprint(), "splits": facts, "triplets": drawn})
        return
    train = facts["train"]
    out.print(
        f"{output}: {train['images']:,} images of {train['identities']:,} identities and {drawn:,} triplets to train "
        f"on, {facts['query']['images']:,} queries in val, as many in test.",
    )


def predict(
    model: Model,
    where: Annotated[Path, typer.Argument(metavar="TEST", help="A pred.csv, or the folder with it and its gallery.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="CSV", help="The file to write (default: in place).")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="CSV", help="The ground truth, to score the predictions.")
    ] = None,
    batch_size: BatchSize = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Fill in a pred.csv with the nearest gallery image of each query."""
    from resight.course.predict import predict as find
    from resight.models.loading import load

    loaded = load(model)
    with bar("embedding", json) as progress:
        found = find(loaded, where, answers=answers, batch_size=batch_size, progress=progress)
    target = output or Path(found.table.path)
    found.save(target)
    if json:
        print_json({"file": target} | found.numbers())
        return
    score = "" if found.top1 is None else f", {found.top1:.2%} right"
    out.print(f"{target}: {counted(len(found.gallery), 'query', 'queries')} answered ({found.metric}){score}.")
