"""Whether a changed model still is the same model: its embeddings and its rankings beside those of the original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.embedding.export.samples import Samples
from resight.models.exported import Exported
from resight.models.model import Model
from resight.records import Embeddings
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.rank import topk

NEAREST = 10
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Parity:
    """How a changed model differs from its original on the same images.

    Attributes:
        images: how many were compared.
        error: the largest difference between entries of embeddings brought to unit length.
        cosine: mean cosine between the two embeddings of an image, after each model's mean was subtracted (without
            that, any two embeddings of a re-ID model are alike).
        overlap: mean share of the original's ten nearest gallery images that are among the changed model's ten.
        before, after: mAP of the original and of the changed model in [0, 1]; None if no image is labelled.
    """

    images: int
    error: float
    cosine: float
    overlap: float
    before: float | None = None
    after: float | None = None

    @property
    def loss(self) -> float:
        """Points of mAP lost (0..100); without labels, points of overlap lost."""
        if self.before is None or self.after is None:
            return 100 * (1 - self.overlap)
        return 100 * (self.before - self.after)

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"loss": self.loss}

    def __str__(self) -> str:
        ranking = f"ten nearest {self.overlap:.1%} the same"
        if self.before is not None and self.after is not None:
            ranking += f", mAP {self.before:.2%} to {self.after:.2%} ({-self.loss:+.2f} points)"
        return f"{self.images:,} images: largest error {self.error:.1e}, centred cosine {self.cosine:.5f}, {ranking}"


def both_splits(model: Model, given: Samples, *, progress: Progress | None = None) -> tuple[Embeddings, Embeddings]:
    """Query and gallery, embedded by torch or by what the model's file is made for, and by nothing else."""
    total = len(given.query) + len(given.gallery)
    engine = model.network.runtime if isinstance(model.network, Exported) else "torch"
    embedder = Embedder(model, engine, device="cpu")
    query = embedder(given.query, progress=shifted(progress, 0, total))
    return query, embedder(given.gallery, progress=shifted(progress, len(given.query), total))


def compare(
    original: tuple[Embeddings, Embeddings], changed: tuple[Embeddings, Embeddings], given: Samples, metric: str
) -> Parity:
    """Query and gallery of the original beside those of the changed model."""
    a, b = (np.concatenate([part.vectors for part in both]).astype(np.float64) for both in (original, changed))
    known = [tuple(replace(part, fingerprint="") for part in both) for both in (original, changed)]
    nearest = min(NEAREST, len(given.gallery))
    ours, theirs = (topk(query, gallery, nearest, metric).indices for query, gallery in known)
    overlap = np.mean([len(set(x) & set(y)) / len(x) for x, y in zip(ours.tolist(), theirs.tolist(), strict=True)])
    mean = (
        [evaluate(query, gallery, protocol=given.protocol, metric=metric).mAP for query, gallery in known]
        if given.labelled
        else [None, None]
    )
    return Parity(
        images=len(a),
        error=float(np.abs(_unit(a) - _unit(b)).max()),
        cosine=float((_unit(a - a.mean(0)) * _unit(b - b.mean(0))).sum(1).mean()),
        overlap=float(overlap),
        before=mean[0],
        after=mean[1],
    )


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
