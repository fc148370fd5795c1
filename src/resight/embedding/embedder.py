"""Images in, embeddings out: the same call for splits, folders, paths and pixels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from resight.embedding.compute import embed
from resight.errors import DataError, RecipeError
from resight.files import is_image_name, list_files
from resight.images.cache import Images
from resight.images.decode import Pixels, fit
from resight.models.card import IMAGENET_ONLY
from resight.models.load import Model
from resight.records import Embeddings, Split

Picture = str | os.PathLike[str] | NDArray[np.uint8] | Image.Image


class Embedder:
    """A model made ready to embed.

    Args:
        model: what :func:`resight.load` gives.
        engine: ``torch``, or ``auto`` for the best one installed (today: torch).
        batch_size: images per forward pass.
        flip: average each embedding with that of the mirrored image.
        device: ``cpu``, ``cuda``, ...; the GPU if there is one, when None.
        cache: a folder to keep decoded pixels of splits in, or None to decode each time.
    """

    def __init__(
        self,
        model: Model,
        engine: Literal["auto", "torch"] = "auto",
        batch_size: int = 64,
        *,
        flip: bool = False,
        device: str | None = None,
        cache: str | Path | None = None,
    ) -> None:
        if engine not in ("auto", "torch"):
            raise RecipeError(f"engine {engine!r} is not available: choose 'auto' or 'torch'.")
        if batch_size < 1:
            raise RecipeError(f"batch_size is {batch_size}: it must be at least 1.")
        if model.card.trained_on == IMAGENET_ONLY:
            warnings.warn(
                f"{model.card.architecture} has seen nothing but ImageNet: it is no re-ID model until it is trained "
                "on identities.",
                stacklevel=2,
            )
        self.model = model
        self.batch_size, self.flip, self.cache = batch_size, flip, cache
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise RecipeError(f"device {device!r} was asked for, but there is no GPU here: use device='cpu'.")

    def __call__(
        self,
        images: Split | Picture | Sequence[Picture],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Embeddings:
        """Embed a :class:`Split`, a folder or zip of images, one image, or a list of them.

        An image is a path, a Pillow image, or an (H, W, 3) uint8 array in RGB order.

        Raises:
            DataError: nothing to embed, or an image that cannot be read; the message names it.
        """
        split, pixels = self._split(images)
        to = self.model.card.preprocessing
        source: Images
        if pixels is not None:
            source = _Loaded(split, np.stack([fit(p, to.height, to.width, how=to.resize) for p in pixels]))
        else:
            source = Images(split, to.height, to.width, how=to.resize, folder=self.cache if len(split) > 1 else None)
        network = self.model.network.to(self.device)
        vectors = embed(network, source, to, batch_size=self.batch_size, flip=self.flip, progress=progress)
        if isinstance(images, Split):
            return Embeddings.of(split, vectors, self.model.card.fingerprint)
        return Embeddings(vectors, paths=split.paths, fingerprint=self.model.card.fingerprint)

    @staticmethod
    def _split(images: Split | Picture | Sequence[Picture]) -> tuple[Split, list[Pixels] | None]:
        if isinstance(images, Split):
            if not len(images):
                raise DataError(f"{images.name} has no images: nothing to embed.")
            return images, None
        if isinstance(images, (str, os.PathLike)):
            name = os.fspath(images)
            found = [name] if is_image_name(name) else [p for p, _ in list_files(name) if is_image_name(p)]
            if not found:
                raise DataError(f"{name} holds no images: nothing to embed.")
            return _anonymous(found), None
        several = [images] if isinstance(images, (np.ndarray, Image.Image)) else list(images)
        if not several:
            raise DataError("the list of images is empty: nothing to embed.")
        paths = [os.fspath(p) for p in several if isinstance(p, (str, os.PathLike))]
        if len(paths) == len(several):
            return _anonymous(paths), None
        if paths:
            raise DataError("the list mixes paths and pixels: pass either paths or pixels.")
        pixels = [_pixels(p, at) for at, p in enumerate(several)]
        return _anonymous([f"image {at}" for at in range(len(pixels))]), pixels


class _Loaded(Images):
    """Images that are in memory already."""

    def __init__(self, split: Split, pixels: Pixels) -> None:
        super().__init__(split, *pixels.shape[1:3])
        self._pixels = pixels


def _anonymous(paths: Sequence[str]) -> Split:
    zeros = np.zeros(len(paths), np.int64)
    return Split(np.array(paths, np.str_), zeros, zeros)


def _pixels(picture: object, at: int) -> Pixels:
    if isinstance(picture, Image.Image):
        return np.array(picture.convert("RGB"))
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        return picture
    what = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
    raise DataError(f"image {at} is {what}: pass a path, a Pillow image or an (H, W, 3) uint8 array in RGB order.")
