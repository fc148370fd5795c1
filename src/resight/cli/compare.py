"""``resight compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import MODEL, BatchSize, Data, DataName, DataOptions, Pictures, load_data


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("compare")(compare)


def compare(
    model_a: Annotated[str, typer.Argument(metavar="MODEL_A", help=MODEL)],
    model_b: Annotated[str, typer.Argument(metavar="MODEL_B", help="The model to compare with MODEL_A.")],
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="HTML", help="Also write a report with the queries that differ most."),
    ] = None,
    name: DataName = "",
    options: DataOptions = None,
    batch_size: BatchSize = 64,
    pictures: Pictures = True,
    json: Annotated[bool, Json] = False,
) -> None:
    """Compare two models on the same data, paired by person.

    Prints the differences with 95% intervals, the queries won and lost, and a p-value. Each model is measured with the
    metric of its card. The HTML file of -o contains pictures of the people in the data: share it accordingly.
    """
    from resight.embedding.measure import measure
    from resight.models.load import load
    from resight.report.comparison import Side, write_comparison
    from resight.retrieval.evaluation.compare import compare as paired

    data_set = load_data(data, name, options)
    models = [load(one) for one in (model_a, model_b)]
    sides = []
    for given, model in zip((model_a, model_b), models, strict=True):
        with bar(f"embedding with {given}", json) as progress:
            sides.append(Side(given, *measure(model, data_set, batch_size=batch_size, progress=progress)))
    a, b = sides
    if output:
        title = f"{model_b} against {model_a} on {data_set.name}"
        found = write_comparison(output, title=title, a=a, b=b, protocol=data_set.protocol, pictures=pictures)
    else:
        found = paired(a.report, b.report)
    if json:
        reports = {key: {"model": side.name} | side.report.numbers() for key, side in (("a", a), ("b", b))}
        print_json({"data": data_set.name} | reports | {"difference": found.numbers(), "file": output})
        return
    table = Table("", title=data_set.name, caption="differences in percentage points, paired [95% intervals]")
    for column in (f"A: {model_a}", f"B: {model_b}", "B - A"):
        table.add_column(column, justify="right")
    for row, before, now in [(f"R{k}", a.report.cmc[k], b.report.cmc[k]) for k in (1, 5, 10)] + [
        ("mAP", a.report.mAP, b.report.mAP)
    ]:
        change = getattr(found, row)
        points = f"{100 * change.value:+.2f} [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"
        table.add_row(row, f"{before:.2%}", f"{now:.2%}", points)
    out.print(table)
    out.print(
        f"B is better on {found.wins:,} queries, worse on {found.losses:,}, the same on {found.ties:,}; chance alone "
        f"gives such a difference in mAP with probability {found.p_value:.2g}"
    )
    if output:
        err.print(f"written: {output}", markup=False)
