"""``resight attributes``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import BatchSize, DataName, DataOptions, Model, Weights, load_data
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.attributes.reidentify import Variant
    from resight.attributes.run import Recognition


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("attributes")(attributes)


def attributes(
    model: Model,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data set with attributes: folder or zip archive.")],
    weights: Weights = None,
    name: DataName = "market1501_attributes",
    options: DataOptions = None,
    fold: Annotated[
        str, typer.Option(metavar="FOLD", help="test, validation, or single_query (one query per person).")
    ] = "test",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="CSV", help="Write the predictions for the gallery.")
    ] = None,
    reid: Annotated[bool, typer.Option("--reid", help="Also measure re-identification by attributes alone.")] = False,
    results: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --reid: write the matches of each query.")
    ] = None,
    beta: Annotated[
        float, typer.Option(metavar="BETA", help="With --reid: weight of recall relative to precision (F-beta).")
    ] = 1.5,
    batch_size: BatchSize = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Measure attribute recognition, and with --reid re-identification by attributes.

    --reid compares three distances: between the plain outputs, between outputs weighted by how reliably each attribute
    is recognised, and after a linear layer. Weights, layer and threshold are chosen on the validation fold.
    """
    if results and not reid:
        raise RecipeError("--results needs --reid, which finds the matches of each query: add --reid.")
    from resight.attributes.reidentify import best
    from resight.attributes.run import (
        attribute_count,
        attribute_outputs,
        check_attributes,
        recognise,
        reidentify,
        write_predictions,
    )
    from resight.attributes.threshold import write_matches
    from resight.models.loading import load

    found = load_data(data, name, options, fold=fold)
    held_out = load_data(data, name, options, fold="validation") if reid and fold != "validation" else found
    loaded = load(model, weights)
    check_attributes(attribute_count(loaded), found)
    with bar("predicting", json) as progress:
        (gallery,) = attribute_outputs(loaded, [found.gallery], batch_size=batch_size, progress=progress)
    recognition = recognise(gallery, found)
    variants: list[Variant] = []
    if reid:
        with bar("re-identifying", json) as progress:
            variants = reidentify(loaded, found, gallery, held_out, beta=beta, batch_size=batch_size, progress=progress)
    if results:
        write_matches(results, found.query.paths, found.gallery.paths, best(variants).matches)
    if output:
        write_predictions(output, gallery, found)
    if json:
        print_json(_numbers(found.name, fold, recognition, variants, best(variants).name if variants else None))
        return
    _show(found.name, recognition)
    if variants:
        _show_reid(variants, best(variants).name, fold)
    for file in (output, results):
        if file:
            err.print(f"written: {file}")


def _numbers(data: str, fold: str, recognition: Recognition, variants: list[Variant], chosen: str | None) -> Any:
    result = {"data": data, "fold": fold} | recognition.numbers()
    if variants:
        result["reid"] = {"best": chosen, "variants": [variant.numbers() for variant in variants]}
    return result


def _show(data: str, recognition: Recognition) -> None:
    table = Table("attribute", title=data)
    for column in ("positives", "accuracy", "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for row in recognition.report.rows():
        rates = ("-" if row[key] is None else f"{row[key]:.1%}" for key in ("accuracy", "precision", "recall", "f1"))
        table.add_row(row["name"], f"{row['positives']:,}", *rates)
    out.print(table)
    out.print(str(recognition.report))
    if recognition.official:
        each = ", ".join(f"{name} {value:.1%}" for name, value in recognition.official.items() if name != "mean")
        out.print(f"official score {recognition.official['mean']:.2%} ({each})")


def _show_reid(variants: list[Variant], chosen: str, fold: str) -> None:
    table = Table("outputs", title="people found by their attributes")
    for column in ("R1", "R5", "mAP", "within", "precision", "recall", "images"):
        table.add_column(column, justify="right")
    for one in variants:
        rates = (one.report.cmc[1], one.report.cmc[5], one.report.mAP)
        table.add_row(
            one.name,
            *(f"{rate:.1%}" for rate in rates),
            f"{one.threshold.distance:.3g}",
            f"{one.matched.precision:.1%}",
            f"{one.matched.recall:.1%}",
            f"{one.matched.size:,.1f}",
        )
    out.print(table)
    same = "" if fold == "test" else " These are also the people measured here, so expect lower values for others."
    out.print(
        f"Everything was chosen on validation people, where {chosen} is best.{same} 'within' is the distance up to "
        "which images are matches; precision, recall and images are means over the queries.",
    )
