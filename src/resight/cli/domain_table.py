"""One model, or the difference of two, on several data sets, as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from resight.cli.console import out

if TYPE_CHECKING:
    from resight.retrieval.evaluation.domains import Domains


def show_domains(model: str, domains: Domains, *, sure: bool) -> None:
    """Print R1, mAP and the gap to the best known of each data set, and the macro average.

    Args:
        model: its name.
        domains: what was measured.
        sure: whether to print 95% intervals over people beside.
    """
    from resight.retrieval.evaluation.compare import intervals

    first = next(iter(domains.reports.values()))
    way = f"{first.metric}, {first.rerank}" if first.rerank else first.metric
    table = Table("data set", title=f"{model} ({way})", caption="macro average: every data set counts alike")
    shown = ("R1", "mAP", "gap") if domains.best else ("R1", "mAP")
    for column in ("queries", *shown):
        table.add_column(column, justify="right", no_wrap=True)
    for name, one in domains.reports.items():
        ranges = intervals(one) if sure else {}
        values = [str(ranges.get(key, f"{value:.2%}")) for key, value in (("R1", one.cmc[1]), ("mAP", one.mAP))]
        gap = domains.gap(name)
        values += ["" if gap is None else f"{100 * gap:.1f}"] if domains.best else []
        table.add_row(name, f"{one.evaluated:,}", *values)
    average = domains.average()
    table.add_section()
    table.add_row("macro average", "", f"{average['R1']:.2%}", f"{average['mAP']:.2%}")
    if domains.best:
        table.caption = f"{table.caption}; gap: points of mAP to the best model known that was trained on the data set"
    out.print(table)
