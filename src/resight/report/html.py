"""One HTML file that shows what a model sees and where it fails; it opens anywhere and loads nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

import resight
from resight.attributes.run import Recognition
from resight.decisions.decide import Decision
from resight.decisions.report import rate_text
from resight.errors import DataError
from resight.files import write_text
from resight.images.decode import decode
from resight.records import Embeddings, Report
from resight.report import decisions, facts, plots
from resight.report.inside import Inside
from resight.report.lists import camera_names, entries
from resight.report.pictures import Decode, Pictures
from resight.retrieval.evaluation.compare import intervals
from resight.retrieval.evaluation.domains import Domains
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.protocols import Protocol

_NOT_LOSSES = {"epoch", "step", "lr", "seconds", "images_per_second", "size"}
_GROUPS = {
    "Worst": "Lowest average precision first: what the model cannot do, or labels that are wrong.",
    "Random": "Chosen at random from the rest: what to expect.",
    "Best": "Highest average precision: what it finds easy.",
}


def write(
    path: str | os.PathLike[str],
    *,
    title: str,
    report: Report,
    query: Embeddings,
    gallery: Embeddings,
    protocol: str | Protocol,
    metric: str,
    images: Decode | None = None,
    baseline: Report | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
    recipe: str | None = None,
    card: Mapping[str, Any] | None = None,
    attributes: Recognition | None = None,
    inside: Inside | None = None,
    domains: Domains | None = None,
    ranked: int = 10,
    queries_shown: int = 24,
    pictures: bool = True,
) -> Path:
    """Write the report of an evaluation as one self-contained HTML file.

    Args:
        path: where to write; an existing file is replaced only once the new one is whole.
        title: the heading, for example "OSNet x0.25 on Market-1501".
        report: what :func:`resight.evaluate` found for ``query`` and ``gallery``.
        query: Q embeddings with identities; cameras and paths where they are known.
        gallery: G embeddings with the same.
        protocol: the rules ``report`` followed.
        metric: the metric ``report`` followed.
        images: from a path to (H, W, 3) uint8 RGB; :func:`resight.images.decode.decode` by default.
        baseline: an earlier report to compare with.
        history: the training history, one mapping per epoch with "epoch" and numbers (losses, "lr", "mAP", "R1").
        recipe: the text of the recipe.
        card: the model's card as plain data; its "threshold" is marked among the distances, and what its "decision"
            does on these embeddings has a section of its own.
        attributes: how right the model's attributes are, where it predicts any.
        inside: what can be seen inside the model, if anything.
        domains: what the model does on other data sets, where that was measured.
        ranked: how many gallery images to show per query.
        queries_shown: how many queries to show: half of them the worst, a quarter random ones, a quarter the best.
        pictures: False leaves out all pictures, for a file that may be passed on.

    Returns:
        The path written. A picture that cannot be read leaves a gap in the file, which says so.

    Raises:
        DataError: a report that does not belong to these embeddings, embeddings without identities, or a decision of
            another model.
        ResightError: the file cannot be written.
    """
    rules = protocols.get(protocol)
    if len(report.average_precision) != len(query) or report.gallery != len(gallery):
        raise DataError(
            f"The report is about {len(report.average_precision):,} queries and {report.gallery:,} gallery images but "
            f"{len(query):,} and {len(gallery):,} embeddings were given: pass those the report was made from."
        )
    if (report.protocol, report.metric) != (rules.name, metric):
        raise DataError(
            f"The report was made with {report.protocol} and {report.metric} distance, not with {rules.name} and "
            f"{metric}: pass what it was made with."
        )
    shown = Pictures(images or decode) if pictures and query.paths is not None and gallery.paths is not None else None
    groups = _groups(report, query, gallery, rules, metric, shown, ranked, queries_shown)
    pairs = facts.camera_pairs(query, gallery, rules, metric)
    known = (card or {}).get("decision")
    decision = Decision.from_plain(known) if known else None
    page = (
        environment()
        .get_template("template.html.j2")
        .render(
            title=title,
            report=report,
            rules=rules,
            baseline=baseline,
            numbers=_numbers(report, baseline),
            between=intervals(report),
            shift=_shift(report, baseline),
            cmc=_cmc(report, baseline),
            distances=_distances(query, gallery, rules, metric, card),
            precision=_precision(report),
            pairs=pairs,
            cameras=camera_names(query, gallery),
            tint=_tint(pairs),
            decided=decisions.look(decision, query, gallery, rules, metric) if decision else None,
            attributes=attributes,
            inside=inside,
            domains=domains,
            groups=groups,
            group_notes=_GROUPS,
            pictures=shown,
            wanted_pictures=pictures,
            training=_training(history or ()),
            recipe=recipe,
            card=_card(card, decision),
            fingerprint=query.fingerprint or gallery.fingerprint,
            version=resight.__version__,
        )
    )
    write_text(path, page)
    return Path(path)


def environment() -> jinja2.Environment:
    """Where the templates of reports are found, and how they write numbers."""
    folder = files("resight.report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.1%}"
    environment.filters["rate"] = lambda value: "\u2013" if value is None or value != value else f"{value:.1%}"
    environment.filters["exact"] = lambda value: "\u2013" if value is None else rate_text(value)
    environment.filters["signed"] = lambda value: f"{100 * value:+.1f}"
    environment.filters["distance"] = lambda value: f"{value:.{3 if value < 2 else 2 if value < 10 else 1}f}"
    environment.filters["trend"] = lambda value: "up" if value > 0.0005 else "down" if value < -0.0005 else ""
    environment.filters["sentence"] = lambda value: f"{str(value)[:1].upper()}{str(value)[1:]}."
    environment.filters["count"] = lambda value: f"{value:,}"
    return environment


def _numbers(report: Report, baseline: Report | None) -> list[tuple[str, str, float, float | None]]:
    """(name, meaning, value, value of the baseline) of the headline numbers."""

    def of(one: Report) -> dict[str, float]:
        return {"R1": one.cmc[1], "R5": one.cmc[5], "R10": one.cmc[10], "mAP": one.mAP, "mINP": one.mINP}

    meaning = {
        "R1": "queries whose nearest image is right",
        "R5": "a right one among the first 5",
        "R10": "a right one among the first 10",
        "mAP": "mean average precision",
        "mINP": "how soon the last right one comes",
    }
    before = of(baseline) if baseline else {}
    return [(name, meaning[name], value, before.get(name)) for name, value in of(report).items()]


def _shift(report: Report, baseline: Report | None) -> tuple[int, int, int] | None:
    """How many queries got better, worse, or stayed, where both reports are about equally many."""
    if baseline is None or len(baseline.average_precision) != len(report.average_precision):
        return None
    change = report.average_precision - baseline.average_precision
    change = change[np.isfinite(change)]
    better, worse = int((change > 1e-9).sum()), int((change < -1e-9).sum())
    return better, worse, len(change) - better - worse


def _cmc(report: Report, baseline: Report | None) -> plots.Chart:
    series = [plots.Line("this report", list(report.cmc), list(report.cmc.values()))]
    if baseline:
        series.append(plots.Line("before", list(baseline.cmc), list(baseline.cmc.values()), dashed=True))
    return plots.lines(
        series,
        x_label="rank k",
        y_label="queries with a match by rank k",
        alt="CMC curve: " + ", ".join(f"{report.cmc[rank]:.1%} at rank {rank}" for rank in (1, 10, 50)),
        x_ticks=(1, 5, 10, 20, 30, 40, 50),
        y_text=plots.percent,
    )


def _distances(
    query: Embeddings, gallery: Embeddings, rules: Protocol, metric: str, card: Mapping[str, Any] | None
) -> plots.Chart | None:
    same, other = facts.sample_distances(query, gallery, rules, metric)
    both = np.concatenate([same, other])
    if not len(both) or not both.max() > both.min():
        return None
    edges = np.linspace(float(both.min()), float(both.max()), 49)
    shares = {
        name: (np.histogram(values, edges)[0] / max(len(values), 1)).tolist()
        for name, values in (("same identity", same), ("others", other))
    }
    threshold = (card or {}).get("threshold")
    middle = f"median {np.median(same):.3g} for the same identity"
    if len(other):
        middle += f" and {np.median(other):.3g} for others"
    return plots.histogram(
        edges.tolist(),
        shares,
        x_label=f"{metric} distance",
        y_label="share of pairs",
        alt=f"Histogram of distances: {middle}",
        mark=None if threshold is None else (float(threshold), f"threshold {float(threshold):.3g}"),
    )


def _precision(report: Report) -> plots.Chart:
    edges = np.linspace(0, 1, 21)
    kept = report.average_precision[np.isfinite(report.average_precision)]
    shares = (np.histogram(kept, edges)[0] / len(kept)).tolist()
    return plots.histogram(
        edges.tolist(),
        {"queries": shares},
        x_label="average precision of a query",
        y_label="share of queries",
        alt=f"Histogram of average precision: {np.mean(kept < 0.5):.1%} of the queries are below 50%",
        x_text=plots.percent,
        mark=(report.mAP, f"mAP {report.mAP:.1%}"),
    )


def _tint(pairs: facts.CameraPairs | None) -> Any:
    """A function from a camera pair's R1 to a CSS background: red below the mean of all pairs, green above."""
    values = [cell.rank1 for cell in pairs.values()] if pairs else []
    middle = float(np.mean(values)) if values else 0.0
    reach = max((abs(value - middle) for value in values), default=0.0) or 1.0

    def tint(value: float) -> str:
        strength = 0.45 * abs(value - middle) / reach
        return f"rgba({'22,150,90' if value >= middle else '214,60,50'},{strength:.2f})"

    return tint


def _groups(
    report: Report,
    query: Embeddings,
    gallery: Embeddings,
    rules: Protocol,
    metric: str,
    shown: Pictures | None,
    ranked: int,
    queries_shown: int,
) -> list[tuple[str, list[dict[str, Any]]]]:
    """(title, one entry per query) for the ranked lists."""

    return [
        (name, entries(report, query, gallery, which, ranked, rules, metric, shown))
        for name, which in facts.choose_queries(report, queries_shown)
    ]


def _training(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, plots.Chart]]:
    """(title, chart) for losses, measurements and learning rate, whichever the history has."""
    names = [name for name in dict.fromkeys(key for entry in history for key in entry) if name != "epoch"]
    names = [name for name in names if any(_is_number(entry.get(name)) for entry in history)]
    measured = [name for name in names if name.lower() in ("map", "r1", "r5", "r10", "minp", "rank1", "accuracy")]
    kinds = {
        "Losses": [name for name in names if name not in _NOT_LOSSES and name not in measured],
        "Measured while training": measured,
        "Learning rate": [name for name in names if name == "lr"],
    }
    charts = []
    for kind, wanted in kinds.items():
        series = []
        for name in wanted:
            points = [
                (float(entry.get("epoch", number)), float(entry[name]))
                for number, entry in enumerate(history, start=1)
                if _is_number(entry.get(name))
            ]
            series.append(plots.Line(name, [x for x, _ in points], [y for _, y in points]))
        if series:
            text = ", ".join(f"{line.name} ends at {line.y[-1]:.4g}" for line in series)
            is_measured = kind.startswith("Measured")
            chart = plots.lines(
                series,
                x_label="epoch",
                y_label="learning rate" if kind == "Learning rate" else "value",
                alt=f"{kind} over the epochs: {text}",
                y_text=plots.percent if is_measured else plots.plain,
            )
            charts.append((kind, chart))
    return charts


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and bool(np.isfinite(float(value)))


def _card(card: Mapping[str, Any] | None, decision: Decision | None) -> list[tuple[str, str, bool]]:
    """(name, text, whether it is a block of JSON) of a card's fields that hold something; the decision in words."""
    rows = []
    for name, value in {**(card or {}), **({"decision": str(decision)} if decision else {})}.items():
        nested = isinstance(value, (Mapping, list, tuple))
        if value is None or (nested and not value) or value == "":
            continue
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str) if nested else str(value)
        rows.append((str(name).replace("_", " "), text, nested))
    return rows
