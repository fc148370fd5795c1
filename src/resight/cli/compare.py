"""``resight compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import MODEL, BatchSize, DataName, DataOptions, DataSets, Pictures, load_several

if TYPE_CHECKING:
    from resight.report.comparison import Side
    from resight.retrieval.evaluation.compare import Comparison, Interval


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("compare")(compare)


def compare(
    model_a: Annotated[str, typer.Argument(metavar="MODEL_A", help=MODEL)],
    model_b: Annotated[str, typer.Argument(metavar="MODEL_B", help="The model to compare with MODEL_A.")],
    data: DataSets,
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

    Prints the differences with 95% intervals, the queries won and lost, and a p-value. Several data sets give one table
    with the difference of the macro averages. Each model is measured with the metric of its card. The HTML file of -o
    contains pictures of the people in the data: share it accordingly.
    """
    from resight.embedding.measure import measure
    from resight.errors import RecipeError
    from resight.models.loading import load
    from resight.report.comparison import Side, write_comparison
    from resight.retrieval.evaluation.compare import compare as paired
    from resight.retrieval.ranking import protocols

    sets = load_several(data, name, options)
    if output and len(sets) > 1:
        raise RecipeError("-o writes the report of one data set: pass one, or leave out -o.")
    if output and any(protocols.get(one.protocol).tracklets for one in sets.values()):
        raise RecipeError("-o shows images, and tracklets are compared here: leave out -o.")
    models = [load(one) for one in (model_a, model_b)]
    sides: list[list[Side]] = []
    for label, data_set in sets.items():
        sides.append([])
        for given, model in zip((model_a, model_b), models, strict=True):
            with bar(
                f"embedding {label} with {given}" if len(sets) > 1 else f"embedding with {given}", json
            ) as progress:
                sides[-1].append(Side(given, *measure(model, data_set, batch_size=batch_size, progress=progress)))
    if len(sets) > 1:
        _several(dict(zip(sets, sides, strict=True)), json)
        return
    ((a, b),) = sides
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
        table.add_row(row, f"{before:.2%}", f"{now:.2%}", _points(getattr(found, row)))
    out.print(table)
    out.print(_sentence(found))
    if output:
        err.print(f"written: {output}")


def _several(sides: dict[str, list[Side]], json: bool) -> None:
    """Print the comparison on every data set, and that of the macro averages."""
    from resight.retrieval.evaluation.compare import compare as paired
    from resight.retrieval.evaluation.domains import Domains, compare_domains

    a, b = ({label: pair[at].report for label, pair in sides.items()} for at in (0, 1))
    each = {label: paired(a[label], b[label]) for label in sides}
    macro = compare_domains(list(a.values()), list(b.values()))
    means = [Domains(reports, {}).average() for reports in (a, b)]
    names = [side.name for side in next(iter(sides.values()))]
    if json:
        found = {
            label: {"a": a[label].numbers(), "b": b[label].numbers(), "difference": each[label].numbers()}
            for label in sides
        }
        average = {"a": means[0], "b": means[1], "difference": macro.numbers()}
        print_json({"models": dict(zip("ab", names, strict=True)), "sets": found, "average": average})
        return
    table = Table("data set", title=f"A: {names[0]}, B: {names[1]}", caption="B - A: points, paired [95% intervals]")
    for column in ("A R1", "B R1", "A mAP", "B mAP", "B - A, mAP"):
        table.add_column(column, justify="right", no_wrap=True)
    for label in sides:
        values = [a[label].cmc[1], b[label].cmc[1], a[label].mAP, b[label].mAP]
        table.add_row(label, *(f"{value:.2%}" for value in values), _points(each[label].mAP))
    table.add_section()
    values = [mean[key] for key in ("R1", "mAP") for mean in means]
    table.add_row("macro average", *(f"{value:.2%}" for value in values), _points(macro.mAP))
    out.print(table)
    out.print(_sentence(macro))


def _points(change: Interval) -> str:
    return f"{100 * change.value:+.2f} [{100 * change.low:+.2f}, {100 * change.high:+.2f}]"


def _sentence(found: Comparison) -> str:
    return (
        f"B is better on {found.wins:,} queries, worse on {found.losses:,}, the same on {found.ties:,}; chance alone "
        f"gives such a difference in mAP with probability {found.p_value:.2g}"
    )
