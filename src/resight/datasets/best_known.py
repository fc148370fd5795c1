"""The best published numbers of models trained on a data set's own cameras, without re-ranking: what can be reached."""

from __future__ import annotations

from typing import NamedTuple

from resight.datasets.catalog import Dataset


class Best(NamedTuple):
    """Means over queries in [0, 1], and where they come from."""

    mAP: float
    R1: float
    source: str


BEST = {
    "market1501": Best(0.950, 0.976, "PersonViT, ViT-B/16"),
    "msmt17": Best(0.808, 0.920, "PersonViT, ViT-B/16"),
    "veri776": Best(0.847, 0.974, "DiffReID, CLIP ViT-B/16"),
}


def best_known(data: Dataset) -> Best | None:
    """The best number known for the published test of ``data``; None where we know none."""
    return BEST.get(data.name)
