"""Several evaluations of one model: their mean and spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resight.errors import DataError
from resight.records import Report


def summarise(reports: Sequence[Report]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation (of a sample, n - 1; 0 for a single report) of R1, R5, mAP and mINP.

    Raises:
        DataError: there is no report.
    """
    if not reports:
        raise DataError("There is no report to summarise: pass one or more.")
    rows = {
        "R1": [report.cmc[1] for report in reports],
        "R5": [report.cmc[5] for report in reports],
        "mAP": [report.mAP for report in reports],
        "mINP": [report.mINP for report in reports],
    }
    spread = 1 if len(reports) > 1 else 0
    return {key: (float(np.mean(values)), float(np.std(values, ddof=spread))) for key, values in rows.items()}
