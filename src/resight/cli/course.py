"""``resight course build`` and ``resight predict``: the course system's data, and its ``pred.csv``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import Json, bar, out, print_json

course = typer.Typer(
    no_args_is_help=True, help="The data of a course's re-ID system: CSV files and numbered galleries."
)


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(course, name="course")
    app.command("predict")(predict)


@course.command()
def build(
    market: Annotated[Path, typer.Argument(help="Market-1501, or data laid out like it: folder or zip archive.")],
    output: Annotated[Path, typer.Argument(help="The folder to write, which must not exist yet.", metavar="OUT")],
    identities: Annotated[int, typer.Option(min=2, help="How many identities to train on.")] = 230,
    gallery: Annotated[int, typer.Option(min=1, help="Gallery images, and queries, in each of val and test.")] = 100,
    triplets: Annotated[
        int | None, typer.Option(min=1, help="Random triplets; as many as train images when not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same folder.")] = 0,
    json: Annotated[bool, Json] = False,
) -> None:
    """Build the course's folder from Market-1501's train images; its test images stay untouched.

    train_idloss.csv, val_idloss.csv and train_random_triplet.csv with their images, val/gt.csv, test/pred.csv to be
    filled by `resight predict`, and test_answers.csv to score that.
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
        markup=False,
    )


def predict(
    model: Annotated[str, typer.Argument(help="A run folder, or a weight file with its card.")],
    where: Annotated[
        Path, typer.Argument(help="A pred.csv, or the folder that holds it and its gallery.", metavar="TEST")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it; in its place when not given.")
    ] = None,
    answers: Annotated[Path | None, typer.Option(help="A CSV with the right gallery images, to score against.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Fill the column gallery of a pred.csv with the gallery image nearest to each query."""
    from resight.course.predict import predict as find
    from resight.models.load import load

    loaded = load(model)
    with bar("embedding", json) as progress:
        found = find(loaded, where, answers=answers, batch_size=batch_size, progress=progress)
    target = output or Path(found.table.path)
    found.save(target)
    if json:
        print_json({"file": target} | found.numbers())
        return
    score = "" if found.top1 is None else f", {found.top1:.2%} right"
    out.print(f"{target}: {len(found.gallery):,} queries answered ({found.metric}){score}.", markup=False)
