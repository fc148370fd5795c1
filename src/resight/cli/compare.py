"""``resight compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("compare")(compare)


def compare(
    model_a: Annotated[str, typer.Argument(help="A run folder, or a weight file with its card.")],
    model_b: Annotated[str, typer.Argument(help="Another one, to be compared with the first.")],
    data: Annotated[Path, typer.Argument(help="A data set: folder or zip archive.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write an HTML file with the queries won and lost by most."),
    ] = None,
    name: Annotated[str, typer.Option("--as", help="Which data set it is; found out when not given.")] = "",
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set: --set size=1600")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Put pictures into the file.")] = True,
    json: Annotated[bool, Json] = False,
) -> None:
    """Is model B better than model A? Both on the same queries, paired by person.

    Differences with 95% intervals, queries won and lost, and how likely chance alone gives as much. Each model is
    measured with the metric of its card. With -o the file holds pictures of the people in the data: pass it on only to
    whom you may show those.
    """
    from resight import datasets
    from resight.embedding.measure import measure
    from resight.models.load import load
    from resight.report.comparison import Side, write_comparison
    from resight.retrieval.evaluation.compare import compare as paired
    from resight.training.recipe import assign

    chosen: dict[str, Any] = {}
    for option in options or ():
        assign(chosen, option)
    data_set = datasets.load(name or datasets.detect(data), data, **chosen)
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
