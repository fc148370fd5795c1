"""What the report shows of a calibrated decision: its promises, its curves, and every pair of cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from resight.decisions.camera_rates import CameraRates, camera_rates
from resight.decisions.decide import Decision
from resight.decisions.report import DecisionReport, measure_decisions, rate_text
from resight.records import Embeddings
from resight.report import plots
from resight.retrieval.ranking.protocols import Protocol

MOST_PAIRS = 36
_LEAST = 1e-6  # the smallest false-match rate on the ROC curve
_MARKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 1 - 1e-4)


@dataclass(frozen=True)
class Decided:
    """A decision and what it does on the images of the report.

    Attributes:
        rates: (name, promised, attained) as text.
        charts: (title, chart, caption).
        cameras: pairs of cameras, most false matches first; ``cameras_left_out`` are not among them.
    """

    decision: Decision
    report: DecisionReport
    rates: list[tuple[str, str, str]]
    charts: list[tuple[str, plots.Chart, str]]
    cameras: list[CameraRates]
    cameras_left_out: int


def look(decision: Decision, query: Embeddings, gallery: Embeddings, rules: Protocol, metric: str) -> Decided:
    """Measure a decision on the images of a report.

    Raises:
        DataError: embeddings of another model, another metric, or no pair of one of the two kinds.
    """
    decision.check(query, gallery, metric=metric)
    report = measure_decisions(decision, query, gallery, rules)
    cameras = sorted(camera_rates(decision, query, gallery, rules), key=lambda one: -(one.fmr or 0.0))
    charts = [
        (
            "Probabilities",
            _reliability(report),
            "What the model says against what is so; on the dashed line it is right.",
        ),
        (
            "ROC",
            _roc(decision, report),
            "Genuine pairs found against impostor pairs let through, on a scale of powers of ten.",
        ),
    ]
    det = _det(decision, report)
    if det:
        charts.append(
            ("DET", det, "Missed against false matches; normal distributions of distances give straight lines.")
        )
    return Decided(decision, report, _rates(report), charts, cameras[:MOST_PAIRS], len(cameras[MOST_PAIRS:]))


def _rates(report: DecisionReport) -> list[tuple[str, str, str]]:
    return [
        ("false matches, of impostor pairs", rate_text(report.promised_fmr), rate_text(report.fmr)),
        ("missed matches, of genuine pairs", "", rate_text(report.fnmr)),
        ("true match within the set distance", rate_text(report.promised_coverage), rate_text(report.coverage)),
        ("images within the set distance", "", f"{report.set_size:,.1f}"),
        (f"strangers found wrongly, of {report.searches:,} searches", "", rate_text(report.fpir)),
        ("found first and within the threshold", "", rate_text(report.tpir)),
        ("calibration error of the probabilities", "", rate_text(report.reliability.error)),
        ("equal error rate", "", rate_text(report.eer)),
    ]


def _reliability(report: DecisionReport) -> plots.Chart:
    fit, shares = report.reliability, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    return plots.lines(
        [
            plots.Line("these pairs", fit.predicted.tolist(), fit.observed.tolist()),
            plots.Line("as it should be", [0, 1], [0, 1], dashed=True),
        ],
        x_label="probability of the same one, at even odds",
        y_label="share that is the same",
        alt=f"Reliability diagram; the expected calibration error is {rate_text(fit.error)}.",
        x_ticks=shares,
        y_ticks=shares,
        x_text=plots.percent,
        y_text=plots.percent,
    )


def _points(decision: Decision, report: DecisionReport) -> list[tuple[str, float, float]]:
    """(name, FMR, FNMR) attained here at the thresholds of the calibration; the decision's own comes first."""
    thresholds = {"the decision": decision.threshold}
    for point in decision.facts.errors.points:
        if point.threshold is not None and point.threshold != decision.threshold:
            thresholds[f"threshold for {rate_text(point.wanted)}"] = point.threshold
    curve = report.curve
    at = np.searchsorted(curve.thresholds, list(thresholds.values()), "right") - 1
    return list(zip(thresholds, curve.fmr[at].tolist(), curve.fnmr[at].tolist(), strict=True))


def _roc(decision: Decision, report: DecisionReport) -> plots.Chart:
    thin = report.curve.thinned()
    seen = thin.fmr >= _LEAST
    lowest = int(np.floor(np.log10(thin.fmr[seen].min())))
    points = [(name, fmr, fnmr) for name, fmr, fnmr in _points(decision, report) if fmr >= _LEAST]
    return plots.lines(
        [plots.Line("all thresholds", np.log10(thin.fmr[seen]).tolist(), (1 - thin.fnmr[seen]).tolist())]
        + [plots.Line(name, [float(np.log10(fmr))], [1 - fnmr]) for name, fmr, fnmr in points],
        x_label="false-match rate",
        y_label="genuine pairs found",
        alt=f"ROC curve; at the decision's threshold {rate_text(1 - report.fnmr.value)} of the genuine pairs are found "
        f"and {rate_text(report.fmr.value)} of the impostor pairs let through.",
        x_ticks=range(lowest, 1),
        x_text=lambda power: plots.percent(10.0**power),
        y_text=plots.percent,
    )


def _det(decision: Decision, report: DecisionReport) -> plots.Chart | None:
    x, y = report.curve.thinned().det()
    if not len(x):
        return None
    marks = ndtri(_MARKS)
    low, high = np.searchsorted(marks, y.min(), "right") - 1, np.searchsorted(marks, y.max(), "left")
    inside = [one for one in _points(decision, report) if 0 < one[1] < 1 and 0 < one[2] < 1]
    return plots.lines(
        [plots.Line("all thresholds", x.tolist(), y.tolist())]
        + [plots.Line(name, [float(ndtri(fmr))], [float(ndtri(fnmr))]) for name, fmr, fnmr in inside],
        x_label="false-match rate",
        y_label="missed matches",
        alt=f"DET curve; the equal error rate is {rate_text(report.eer)}.",
        x_ticks=marks.tolist(),
        y_ticks=marks[max(int(low), 0) : int(high) + 1].tolist(),
        x_text=_share,
        y_text=_share,
    )


def _share(deviate: float) -> str:
    """A normal deviate as the share it stands for."""
    return plots.percent(float(f"{ndtr(deviate):.6g}"))
