"""How the commands show what a decision does on labelled images."""

from __future__ import annotations

from rich.table import Table

from resight.cli.console import out
from resight.decisions.report import DecisionReport, rate_text


def show(data: str, report: DecisionReport) -> None:
    """Two tables, rates and answers, and whether the promises are kept."""
    rates = Table("rate", title=f"{data}, {report.metric} distance, {report.protocol}", caption="[95% intervals]")
    for column in ("promised", "attained"):
        rates.add_column(column, justify="right")
    rates.add_row("false matches, of impostor pairs", rate_text(report.promised_fmr), rate_text(report.fmr))
    rates.add_row("missed matches, of genuine pairs", "", rate_text(report.fnmr))
    rates.add_row("true match within the set distance", rate_text(report.promised_coverage), rate_text(report.coverage))
    rates.add_row("images within the set distance", "", f"{report.set_size:,.1f}")
    rates.add_row(f"strangers found wrongly, of {report.searches:,} searches", "", rate_text(report.fpir))
    rates.add_row("found first and within the threshold", "", rate_text(report.tpir))
    rates.add_row("calibration error of the probabilities", "", rate_text(report.reliability.error))
    out.print(rates)
    answers = Table("answers to")
    for column in ("match", "unsure", "no match"):
        answers.add_column(column, justify="right")
    for name, shares in report.answers.items():
        answers.add_row(name, *(rate_text(one) for one in (shares.match, shares.unsure, shares.no_match)))
    out.print(answers)
    out.print(
        f"from {report.impostors:,} impostor and {report.genuine:,} genuine pairs of {report.identities:,} identities: "
        f"the promises are {'kept' if report.kept else 'not kept'}, within the intervals of both rates"
    )
    out.print(str(report.drift or "There are too few images to compare with the calibration's."))
