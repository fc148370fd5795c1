"""``resight data check``, ``resight data stats`` and ``resight data crops``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import DataName, DataOptions, load_data, settings

data = typer.Typer(no_args_is_help=True, help="Check and count a data set before training.")

Where = Annotated[Path, typer.Argument(metavar="PATH", help="A folder or zip archive of images.")]


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(data, name="data")


@data.command()
def check(
    path: Where,
    name: DataName = "",
    options: DataOptions = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write an HTML file with pictures of each finding."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Also list identities that this model doubts: person, ..."),
    ] = None,
    json: Annotated[bool, Json] = False,
) -> None:
    """Find problems in a data set and explain how to fix them.

    Reports corrupt, empty or unreadable files, copies and near copies across identities, cameras and splits, camera
    labels that cannot be right, queries without a match, identities in both train and test, tiny crops and wrong
    counts. Exits with code 1 if there is an error.
    """
    from resight.images.check import check as find

    with bar("checking", json) as progress:
        findings = find(path, name or None, progress=progress, **settings(options))
    if model:
        from resight.clustering.mislabelled import check_labels
        from resight.embedding.embedder import Embedder
        from resight.models.loading import load

        embedder = Embedder(load(model))
        with bar("embedding", json) as progress:
            findings += check_labels(load_data(path, name, options), embedder, progress)
    if sheet:
        from resight.report.findings import write_findings

        write_findings(sheet, f"Check of {path.name}", findings)
    if json:
        print_json([finding.as_dict() for finding in findings])
    elif not findings:
        out.print(f"{path}: no problems found.")
    for finding in [] if json else findings:
        colour = "red" if finding.severity == "error" else "yellow"
        out.print(finding.severity, style=f"bold {colour}", end=" ")
        out.print(str(finding))
    if sheet:
        err.print(f"written: {sheet}")
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


@data.command()
def stats(path: Where, name: DataName = "", options: DataOptions = None, json: Annotated[bool, Json] = False) -> None:
    """Count images, identities, cameras, junk and distractors of each split."""
    found = load_data(path, name, options)
    if json:
        print_json(
            {"name": found.name, "fingerprint": found.fingerprint(), "splits": found.facts(), "notes": found.notes}
        )
        return
    facts = found.facts()
    table = Table(title=found.name)
    for column in ("split", *facts["train"]):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split, counts in facts.items():
        table.add_row(split, *(f"{count:,}" for count in counts.values()))
    out.print(table)
    for note in found.notes:
        out.print(f"- {note}")


@data.command()
def crops(
    sequences: Annotated[
        Path, typer.Argument(metavar="SEQUENCES", help="A MOTChallenge sequence, or a folder of them.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the crops.")],
    visible: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Least visible share of a person to cut.")
    ] = 0.25,
    json: Annotated[bool, Json] = False,
) -> None:
    """Cut the true boxes of MOTChallenge sequences into crops, for the data set mot."""
    from resight.datasets.tracklets.mot import cut_crops

    counts = cut_crops(sequences, folder, least_visible=visible)
    if json:
        print_json(dict(counts))
        return
    left_out = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if kind != "crops")
    out.print(f"{counts['crops']:,} crops; not cut: {left_out}.")
    err.print(f"written: {folder}")
