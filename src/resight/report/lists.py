"""Queries with their ranked lists, as the templates show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings, Report
from resight.report.facts import ranked_lists
from resight.report.pictures import Pictures
from resight.retrieval.ranking.protocols import Protocol


def entries(
    report: Report,
    query: Embeddings,
    gallery: Embeddings,
    which: NDArray[np.int64],
    ranked: int,
    rules: Protocol,
    metric: str,
    shown: Pictures | None,
) -> list[dict[str, Any]]:
    """One entry for each of the queries at ``which``: picture, average precision, first match, and ``answers``.

    Args:
        report: what was found for ``query`` and ``gallery`` by ``rules`` and ``metric``.
        ranked: how many gallery images to list.
        shown: where pictures come from, or None for none.
    """
    assert query.identities is not None
    found = []
    for q, answers in zip(which.tolist(), ranked_lists(query, gallery, which, ranked, rules, metric), strict=True):
        found.append(
            _shot(query, q, shown)
            | {
                "precision": float(report.average_precision[q]),
                "first": int(report.first_match[q]),
                "answers": [vars(answer) | _shot(gallery, answer.index, shown) for answer in answers],
            }
        )
    return found


def _shot(of: Embeddings, index: int, shown: Pictures | None) -> dict[str, Any]:
    assert of.identities is not None
    camera = None if of.cameras is None else int(of.cameras[index])
    return {
        "picture": shown.of(str(of.paths[index])) if shown and of.paths is not None else None,
        "identity": str(of.columns.get("identity_names", of.identities)[index]),
        "camera": None if camera is None else camera_names(of).get(camera, f"c{camera}"),
        "name": "" if of.paths is None else Path(str(of.paths[index])).name,
    }


def camera_names(*embeddings: Embeddings) -> dict[int, str]:
    """The names that cameras have besides their numbers; empty where the data set gives numbers alone."""
    found: dict[int, str] = {}
    for one in embeddings:
        if one.cameras is not None and "camera_names" in one.columns:
            numbers, first = np.unique(one.cameras, return_index=True)
            found |= dict(zip(numbers.tolist(), one.columns["camera_names"][first].tolist(), strict=True))
    return found
