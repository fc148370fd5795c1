"""One HTML file that shows where one model does better than another on the same queries, and where worse."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import resight
from resight.files import write_text
from resight.images.decode import decode
from resight.records import Embeddings, Report
from resight.report import plots
from resight.report.html import environment
from resight.report.lists import entries
from resight.report.pictures import Decode, Pictures
from resight.retrieval.evaluation.compare import Comparison, Interval, compare
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.protocols import Protocol


@dataclass(frozen=True)
class Side:
    """A model of the comparison: its name, its embeddings, and what was measured with them."""

    name: str
    query: Embeddings
    gallery: Embeddings
    report: Report


def write_comparison(
    path: str | os.PathLike[str],
    *,
    title: str,
    a: Side,
    b: Side,
    protocol: str | Protocol,
    images: Decode | None = None,
    ranked: int = 10,
    queries_shown: int = 12,
    pictures: bool = True,
) -> Comparison:
    """Write model B against model A on the same queries as one self-contained HTML file.

    Args:
        path: where to write; an existing file is replaced only once the new one is whole.
        title: the heading.
        a, b: the models; both reports followed ``protocol``, each with the metric of its own.
        images: from a path to (H, W, 3) uint8 RGB; :func:`resight.images.decode.decode` by default.
        ranked: how many gallery images to show per query and model.
        queries_shown: how many of the queries that B wins by most to show, and how many of those it loses by most.
        pictures: False leaves out all pictures, for a file that may be passed on.

    Returns:
        What the file says in numbers.

    Raises:
        DataError: reports of other queries or protocols, see :func:`resight.retrieval.evaluation.compare.compare`.
        ResightError: the file cannot be written.
    """
    rules = protocols.get(protocol)
    found = compare(a.report, b.report)
    known = pictures and all(one.paths is not None for side in (a, b) for one in (side.query, side.gallery))
    shown = Pictures(images or decode) if known else None
    groups = []
    for name, which in (("Won", found.best(queries_shown)), ("Lost", found.worst(queries_shown))):
        lists = [
            entries(side.report, side.query, side.gallery, which, ranked, rules, side.report.metric, shown)
            for side in (a, b)
        ]
        groups.append((name, list(zip(*lists, strict=True))))
    page = (
        environment()
        .get_template("comparison.html.j2")
        .render(
            title=title,
            a=a,
            b=b,
            rules=rules,
            found=found,
            rows=_rows(a.report, b.report, found),
            cmc=_cmc(a, b),
            differences=_differences(found),
            groups=groups,
            pictures=shown,
            wanted_pictures=pictures,
            version=resight.__version__,
        )
    )
    write_text(Path(path), page)
    return found


def _rows(a: Report, b: Report, found: Comparison) -> list[tuple[str, float, float, Interval]]:
    """(name, value of A, value of B, difference)."""
    means = [(f"R{k}", a.cmc[k], b.cmc[k], getattr(found, f"R{k}")) for k in (1, 5, 10)]
    return [*means, ("mAP", a.mAP, b.mAP, found.mAP)]


def _cmc(a: Side, b: Side) -> plots.Chart:
    return plots.lines(
        [
            plots.Line(f"A: {a.name}", list(a.report.cmc), list(a.report.cmc.values()), dashed=True),
            plots.Line(f"B: {b.name}", list(b.report.cmc), list(b.report.cmc.values())),
        ],
        x_label="rank k",
        y_label="queries with a match by rank k",
        alt=f"CMC curves: {a.report.cmc[1]:.1%} and {b.report.cmc[1]:.1%} at rank 1",
        x_ticks=(1, 5, 10, 20, 30, 40, 50),
        y_text=plots.percent,
    )


def _differences(found: Comparison) -> plots.Chart:
    gained: Any = found.difference[np.isfinite(found.difference)]
    edges = np.linspace(-1, 1, 42)  # zero is in the middle of a bin
    return plots.histogram(
        edges.tolist(),
        {"queries": (np.histogram(gained, edges)[0] / len(gained)).tolist()},
        x_label="average precision of B minus that of A",
        y_label="share of queries",
        alt=f"Histogram of differences: {found.wins:,} queries won, {found.losses:,} lost, {found.ties:,} the same",
        x_text=plots.percent,
        mark=(found.mAP.value, f"mean {100 * found.mAP.value:+.1f} points"),
    )
