"""resight: have we seen this one before? Train, measure, embed and search re-identification models.

The public face is what stands here; heavy parts are imported when they are first used.
Shape letters: see :mod:`resight.records`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from resight.errors import DataError, ModelError, RecipeError, ResightError, TrainingError
from resight.records import Embeddings, Ranking, Report, Split

if TYPE_CHECKING:
    from resight import datasets, models
    from resight.adaptation.adapt import adapt
    from resight.decisions.calibrate import calibrate
    from resight.decisions.decide import Decision
    from resight.decisions.same import same
    from resight.embedding.embedder import Embedder
    from resight.gallery.gallery import Gallery
    from resight.models.loading import load
    from resight.retrieval.evaluation.evaluate import evaluate
    from resight.retrieval.reranking.rerank import KReciprocal
    from resight.training.loop import train

__version__ = "0.1.0"
__all__ = [
    "DataError",
    "Decision",
    "Embedder",
    "Embeddings",
    "Gallery",
    "KReciprocal",
    "ModelError",
    "Ranking",
    "RecipeError",
    "Report",
    "ResightError",
    "Split",
    "TrainingError",
    "adapt",
    "calibrate",
    "datasets",
    "evaluate",
    "load",
    "models",
    "same",
    "train",
]

_LAZY = {
    "Decision": "resight.decisions.decide",
    "Embedder": "resight.embedding.embedder",
    "Gallery": "resight.gallery.gallery",
    "KReciprocal": "resight.retrieval.reranking.rerank",
    "adapt": "resight.adaptation.adapt",
    "calibrate": "resight.decisions.calibrate",
    "evaluate": "resight.retrieval.evaluation.evaluate",
    "load": "resight.models.loading",
    "same": "resight.decisions.same",
    "train": "resight.training.loop",
}


def __getattr__(name: str) -> Any:
    if name in ("datasets", "models"):
        return import_module(f"resight.{name}")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'resight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
