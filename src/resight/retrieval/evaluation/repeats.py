"""Several evaluations of one model: their mean and spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from resight.errors import DataError
from resight.from_zero import from_one
from resight.records import DISTRACTOR, Embeddings, Report
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.arguments import check_embeddings, whole_number
from resight.retrieval.ranking.protocols import Protocol


def single_shot(
    query: Embeddings,
    gallery: Embeddings,
    *,
    draws: int = 20,
    seed: int = 0,
    protocol: str | Protocol = "market1501",
    metric: str | None = None,
) -> list[Report]:
    """One report for each of several random galleries that hold one image of each identity.

    This is how CUHK03 was measured first (Li et al., "DeepReID", CVPR 2014): queries of one camera, one gallery image
    of each of 100 people from the other, 20 draws; :func:`summarise` averages them. All queries of a draw search the
    same gallery, and its mAP is of that gallery too.

    Args:
        query: Q embeddings.
        gallery: G embeddings to draw from. Distractors stay in; junk does not.
        draws: how many, at least 1.
        seed: another one for other draws.
        protocol, metric: as for :func:`resight.evaluate`.

    Raises:
        DataError: ``draws`` below 1, a gallery without identities, or what :func:`resight.evaluate` refuses.
    """
    check_embeddings(query=query, gallery=gallery)
    draws = whole_number("draws", draws)
    query, gallery = from_one(query, gallery)
    who = gallery.identities
    if who is None:
        raise DataError(
            "The gallery embeddings have no identities, but one random image of each is needed: pass identities=..."
        )
    reports = []
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(np.flatnonzero(who > DISTRACTOR))
        drawn = order[np.unique(who[order], return_index=True)[1]]
        which = np.sort(np.concatenate([drawn, np.flatnonzero(who == DISTRACTOR)]))
        reports.append(evaluate(query, gallery.take(which), protocol=protocol, metric=metric))
    return reports


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
