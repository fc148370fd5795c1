"""Embeddings of the training images by teachers: computed once and kept on disk, or at every step for new views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.embedding.embedder import Embedder
from resight.embedding.engines.make import build
from resight.embedding.source import source_of
from resight.errors import RecipeError
from resight.files import atomic_path
from resight.images.batches import prefetch
from resight.images.transforms import letterbox, normalise, resize, restore
from resight.models.card import UNTRAINED, Preprocessing
from resight.models.loading import load
from resight.models.model import Model
from resight.records import Split
from resight.training.views import Views

Progress = Callable[[int, int], None]
Look = Callable[[Tensor, Preprocessing], NDArray[np.float32]]
_BATCH = 64


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

    @property
    def lengths(self) -> tuple[int, ...]:
        """The length of each teacher's embeddings."""
        return tuple(model.card.dim for model in self.models)

    def embed(
        self, images: Split, *, device: str, folder: Path | None, progress: Progress | None = None
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
        parts, digest = [], _digest(images)[:32]
        for model in self.models:
            kept = None if folder is None else folder / f"{model.card.fingerprint}-{digest}.npy"
            vectors = None if kept is None else _whole(kept, len(images))
            if vectors is None:
                vectors = Embedder(model, flip=True, device=device)(images, progress=progress).vectors
                _keep(vectors, kept)
            parts.append(vectors)
        return _unit(parts)

    def embed_views(
        self,
        images: Split,
        views: Views,
        count: int,
        *,
        device: torch.device,
        folder: Path | None,
        progress: Progress | None = None,
    ) -> Tensor:
        """(count, N, T) as :meth:`embed`, of the first fixed views of ``images``; the first of all is the plain one."""
        N, found, looks = len(images), [], self._looks(device, half=views.half)
        digest = _digest(images)
        for view in range(count):
            parts = []
            for model, look in zip(self.models, looks, strict=True):
                name = _view_name(model, views, view, digest)
                kept = None if folder is None else folder / f"{name}.npy"
                vectors = None if kept is None else _whole(kept, N)
                if vectors is None:
                    rows = [np.arange(at, min(at + _BATCH, N)) for at in range(0, N, _BATCH)]
                    vectors, done = np.empty((N, model.card.dim), np.float32), 0
                    for seen in prefetch(views.fixed(some, np.full(len(some), view)) for some in rows):
                        vectors[done : done + len(seen.pixels)] = look(views.show(seen, device), views.to)
                        done += len(seen.pixels)
                        if progress:
                            progress(view * N + done, count * N)
                    _keep(vectors, kept)
                parts.append(vectors)
            found.append(_unit(parts))
        return torch.stack(found)

    def live(self, device: torch.device, *, half: bool) -> Callable[[Tensor, Preprocessing], Tensor]:
        """A function of the student's input (B, 3, H, W) and preprocessing that gives (B, T) as :meth:`embed`."""
        looks = self._looks(device, half=half)
        return lambda x, to: _unit([look(x, to) for look in looks])

    def _looks(self, device: torch.device, *, half: bool) -> list[Look]:
        return [_look(model, device, half=half) for model in self.models]


def _look(model: Model, device: torch.device, *, half: bool) -> Look:
    """A function from the student's input and preprocessing to the model's embeddings (B, D) of what the student sees.

    The image is enlarged to the model's input as its card says.
    """
    network = build(model, getattr(model.network, "runtime", "torch"), device, half=half).eval()
    place = next((one.device for one in network.parameters()), torch.device("cpu"))
    own = model.card.preprocessing

    def look(x: Tensor, to: Preprocessing) -> NDArray[np.float32]:
        with torch.no_grad():
            pixels = restore(x, to).to(place)
            if own.resize == "letterbox":  # its border is black
                prepared = normalise(letterbox(pixels, own.height, own.width), own)
            elif own.resize == "letterbox_corner":  # its border is the mean colour, which normalisation makes zero
                prepared = letterbox(normalise(pixels, own), own.height, own.width, anchor="corner")
            else:
                prepared = normalise(resize(pixels, own.height, own.width), own)
            vectors: NDArray[np.float32] = network(prepared).embedding.float().cpu().numpy()
            return vectors

    return look


def _digest(images: Split) -> str:
    """A fingerprint (64 hex digits) of the images' names and sizes in bytes, in order; labels do not count."""
    one = np.ones(len(images), np.int64)
    return source_of(Split(images.paths, one, one)).fingerprint()  # type: ignore[union-attr] # a split is no iterator


def _view_name(model: Model, views: Views, view: int, images: str) -> str:
    """A file name for the embeddings of one fixed view, by everything that they depend on."""
    size: dict[str, Any] = {"height": views.to.height, "width": views.to.width, "resize": views.to.resize}
    if views.to.interpolation != "linear-area":
        size["interpolation"] = views.to.interpolation
    drawn = {"seed": views.seed, "view": view, "how": asdict(views.how)} if view else {}
    facts = {"images": images, "half": views.half, **size, **drawn}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    return f"{model.card.fingerprint}-view-{digest}"


def _unit(parts: Sequence[NDArray[np.float32]]) -> Tensor:
    """(B, D) embeddings of each teacher as one (B, T) of unit length."""
    alike = [one / np.linalg.norm(one, axis=1, keepdims=True).clip(1e-12) for one in parts]
    return torch.from_numpy(np.concatenate(alike, 1) / np.float32(len(parts) ** 0.5))


def _keep(vectors: NDArray[np.float32], path: Path | None) -> None:
    if path is not None:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, vectors)


def _whole(path: Path, count: int) -> NDArray[np.float32] | None:
    """The vectors of ``count`` images in a file; None where it is not there, or not whole."""
    try:
        vectors: NDArray[np.float32] = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count else None
