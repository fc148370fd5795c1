"""What teachers make of the training images: computed once, kept on disk, then as quick to look up as a label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.embedding.embedder import Embedder
from resight.embedding.source import source_of
from resight.errors import RecipeError
from resight.files import atomic_path
from resight.models.card import UNTRAINED
from resight.models.load import load
from resight.models.model import Model
from resight.records import Split


@dataclass(frozen=True)
class Teachers:
    """The models that a recipe's student learns from; there may be none."""

    models: tuple[Model, ...]
    names: tuple[str, ...]

    @classmethod
    def read(cls, files: Sequence[str]) -> Teachers:
        """The teachers in files that :func:`resight.load` loads by their path alone, or in run folders.

        Raises:
            ModelError: a file that cannot be loaded.
            RecipeError: the name of an architecture, whose weights would be random.
        """
        models = tuple(load(file) for file in files)
        for file, model in zip(files, models, strict=True):
            if model.card.trained_on == UNTRAINED:
                raise RecipeError(f"the teacher {file} has random weights: name the file of a trained model.")
        return cls(models, tuple(f"{Path(f).name} ({m.card.fingerprint})" for f, m in zip(files, models, strict=True)))

    def embed(
        self,
        images: Split,
        *,
        device: str,
        folder: Path | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor | None:
        """(N, T) float32 of unit length, in which a dot product is the mean of the teachers' cosines; None without any.

        Each teacher's embeddings are averaged with those of the mirrored images.

        Args:
            folder: where they are kept, by the fingerprints of model and images; None computes them each time.
            progress: called with (images done, images in all) for each teacher.

        Raises:
            DataError: an image that cannot be read.
        """
        if not self.models:
            return None
        parts, stamp = [], source_of(images).fingerprint()[:32]  # type: ignore[union-attr] # a split is no iterator
        for model in self.models:
            kept = None if folder is None else folder / f"{model.card.fingerprint}-{stamp}.npy"
            vectors = None if kept is None else _whole(kept, len(images))
            if vectors is None:
                vectors = Embedder(model, flip=True, device=device)(images, progress=progress).vectors
                if kept is not None:
                    with atomic_path(kept) as temporary, temporary.open("wb") as file:
                        np.save(file, vectors)
            parts.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12))
        return torch.from_numpy(np.concatenate(parts, 1) / np.float32(len(parts) ** 0.5))


def _whole(path: Path, count: int) -> NDArray[np.float32] | None:
    """The vectors of ``count`` images in a file; None where it is not there, or not whole."""
    try:
        vectors: NDArray[np.float32] = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count else None
