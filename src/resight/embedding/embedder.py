"""Images in, embeddings out: the same call for splits, folders, files, pixels, videos and whatever yields images."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resight.embedding.compute import Progress, outputs
from resight.embedding.engines import network_for
from resight.embedding.source import Pictures, Source, source_of
from resight.engines import CHOICES, in_words
from resight.errors import DataError, ModelError, RecipeError
from resight.images.batches import prefetch
from resight.images.cache import Images
from resight.images.decode import Pixels
from resight.images.pictures import Colour, checked_colour
from resight.images.stream import BadImage, Batch, OnError, read
from resight.images.video import Video
from resight.models.card import IMAGENET_ONLY, named
from resight.models.model import Model
from resight.models.runtimes import making_ready, settle_torch
from resight.records import Embeddings, Split

OWN_CAMERAS = {"name": "cameras", "value": "each image's own", "source": "given"}


class Embedder:
    """A model prepared to embed images.

    Any number of threads may use one at the same time, and get the numbers that one thread gets. It may be pickled and
    copied, and used in a forked process, where torch computes with one thread.

    Args:
        model: what :func:`resight.load` gives.
        engine: ``torch``, ``onnx`` or ``openvino``, or ``auto`` for the best one installed.
        batch_size: images per forward pass.
        flip: average each embedding with that of the mirrored image.
        half: compute in 16 bits, bfloat16 on the CPU and float16 on a GPU: about twice as fast where the processor
            can, and no longer equal between engines; :mod:`resight.embedding.engines` says what it costs.
        device: ``cpu``, ``cuda``, ...; the GPU if there is one, when None.
        cache: a folder to keep decoded pixels of splits and lists of files in, or None to decode each time.
        cameras: embed each image with the row of its own camera, for a model with a camera table (TransReID's side
            information): cameras 1, 2, ... of the data are its rows 0, 1, ..., as in the published tests. Such
            embeddings have a fingerprint of their own. Without it the model needs no knowledge of cameras.
    """

    def __init__(
        self,
        model: Model,
        engine: str = "auto",
        batch_size: int = 64,
        *,
        flip: bool = False,
        half: bool = False,
        device: str | None = None,
        cache: str | Path | None = None,
        cameras: bool = False,
    ) -> None:
        if not isinstance(model, Model):
            raise ModelError(
                f"Embedder takes what resight.load gives, not a {type(model).__name__}: pass resight.load('person') or "
                "your own model, loaded likewise."
            )
        if engine not in CHOICES:
            raise RecipeError(f"engine {engine!r} is not known: choose {in_words()}.")
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise RecipeError(f"batch_size is {batch_size!r}: it must be a whole number of at least 1.")
        if model.card.trained_on == IMAGENET_ONLY:
            warnings.warn(
                f"{model.card.architecture} has seen nothing but ImageNet: it is no re-ID model until it is trained "
                "on identities.",
                stacklevel=2,
            )
        self.model, self.cameras = _with_cameras(model, engine) if cameras else model, cameras
        self.engine, self.batch_size, self.flip, self.half, self.cache = engine, batch_size, flip, half, cache
        self._made: nn.Module | None = None
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        except (RuntimeError, TypeError):
            raise RecipeError(f"device {device!r} is not one of torch: choose 'cpu', 'cuda' or 'cuda:1'.") from None
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise RecipeError(f"device {device!r} was asked for, but there is no GPU here: use device='cpu'.")

    @property
    def settings(self) -> dict[str, Any]:
        """What was passed besides model and cache: with them another one embeds alike."""
        return {
            "engine": self.engine,
            "batch_size": self.batch_size,
            "flip": self.flip,
            "half": self.half,
            "device": str(self.device),
            **({"cameras": True} if self.cameras else {}),
        }

    def __call__(
        self,
        images: Pictures,
        *,
        colour: Colour = "RGB",
        quality: bool = False,
        on_error: OnError | None = None,
        progress: Progress | None = None,
    ) -> Embeddings:
        """Embed images and keep their order.

        Args:
            images: a :class:`Split`; a folder or zip of images; a :class:`~resight.images.video.Video`; one image; or a
                list, array (N, H, W, 3), tensor (N, 3, H, W) or iterator of them. What one image may be:
                :func:`~resight.images.pictures.pixels_of`. An iterator is read as it goes.
            colour: the order of arrays and tensors; files know their own.
            quality: add the column ``quality``, see :mod:`resight.images.quality`.
            on_error: called with each image that cannot be embedded, which is then left out; without it the first such
                image is an error.
            progress: called with (images done, images in all); of an iterator, both are the images done.

        Raises:
            DataError: nothing to embed, or an image that cannot be read; the message names it.
        """
        return join(list(self.stream(images, colour=colour, quality=quality, on_error=on_error, progress=progress)))

    def stream(
        self,
        images: Pictures,
        *,
        colour: Colour = "RGB",
        quality: bool = False,
        on_error: OnError | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Embeddings]:
        """As calling it, but batch by batch: neither images nor embeddings pile up, however many there are."""
        checked_colour(colour)
        source = source_of(images)
        first: BadImage | None = None

        def left_out(bad: BadImage) -> None:
            nonlocal first
            first = first or bad
            if on_error is None:
                raise DataError(bad.reason)
            on_error(bad)

        to, found, count = self.model.card.preprocessing, 0, 0
        if self.cache and isinstance(source, Source) and source.files and len(source) > 1 and not (quality or on_error):
            zeros = np.zeros(len(source), np.int64)
            pixels = Images(Split(source.paths, zeros, zeros), to, folder=self.cache)
            batches = pixels.batches(self.batch_size)
        else:
            items = source.items(0) if isinstance(source, Source) else source
            order: Colour = "RGB" if isinstance(images, Video) else colour
            batches = read(items, to, batch_size=self.batch_size, colour=order, judge=quality)
        total, card = len(source) if isinstance(source, Source) else None, self.model.card
        known = source.cameras if isinstance(source, Source) and self.cameras else None
        for batch, vectors in self.run(batches, total, on_error=left_out, progress=progress, cameras=known):
            count += len(batch.positions) + len(batch.bad)
            found += len(vectors)
            if not len(vectors):
                continue
            if isinstance(source, Source):
                some = source.embeddings(vectors, batch.positions, card.fingerprint, card.metric)
            else:
                names = np.array(batch.names)
                some = Embeddings(vectors, paths=names, fingerprint=card.fingerprint, metric=card.metric)
            if batch.quality is not None:
                some = replace(some, columns={**some.columns, "quality": batch.quality})
            yield some
        if first is not None and not found:
            raise DataError(f"None of {count:,} images can be embedded; of the first: {first.reason}")
        if not count:
            raise DataError("the iterator yields no images: nothing to embed.")

    def vectors(self, pixels: Pixels) -> NDArray[np.float32]:
        """The vectors (B, D) of RGB pictures (B, H, W, 3) that have the model's size already, computed as one batch."""
        names = tuple(f"image {at}" for at in range(len(pixels)))
        batch = Batch(pixels, np.arange(len(pixels)), names)
        ((_, found),) = self.run([batch], len(pixels), on_error=lambda _: None)
        return found

    def run(
        self,
        batches: Iterable[Batch],
        total: int | None,
        *,
        on_error: OnError,
        progress: Progress | None = None,
        cameras: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
        """Batches of pixels with their vectors (B, D); more than one are read ahead while the network computes.

        ``cameras`` (N,) are those of the images at the batches' positions, where the network takes them.
        """
        if self.cameras and cameras is None:
            raise DataError("cameras=True needs the camera of each image: pass a split, such as data.query.")
        done = 0
        ahead = batches if total is not None and total <= self.batch_size else prefetch(batches)
        for batch, vectors in outputs(
            self._network, ahead, self.model.card.preprocessing, flip=self.flip, cameras=cameras
        ):
            for bad in batch.bad:
                on_error(bad)
            done += len(batch.positions) + len(batch.bad)
            if progress:
                progress(done, done if total is None else total)
            yield batch, vectors

    @property
    def _network(self) -> nn.Module:
        """The network on its engine, built when it is first needed."""
        if self._made is None:
            settle_torch()
            with making_ready:
                if self._made is None and self.cameras:  # the network itself: what engines make takes pixels alone
                    self._made = copy.deepcopy(self.model.network).to(self.device).eval()
                elif self._made is None:
                    self._made = network_for(
                        self.model, self.engine, batch_size=self.batch_size, half=self.half, device=self.device
                    )
        return self._made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_made": None}  # made anew where it is unpickled or copied


def _with_cameras(model: Model, engine: str) -> Model:
    """The same model, whose card is that of embeddings with cameras.

    Raises:
        ModelError: it has no camera table.
        RecipeError: another engine than torch was asked for.
    """
    if not model.card.arguments.get("cameras"):
        raise ModelError(f"This {model.card.architecture} has no camera table: leave cameras out.")
    if engine not in ("auto", "torch"):
        raise RecipeError(f"engine {engine!r} computes from images alone: with cameras=True use engine='torch'.")
    card = model.card
    if OWN_CAMERAS in card.unsaid:
        return model
    others = tuple(one for one in card.unsaid if one["name"] != OWN_CAMERAS["name"])
    change: dict[str, Any] = {"unsaid": (*others, OWN_CAMERAS), "threshold": None, "decision": None}
    change["fingerprint"] = named(card.fingerprint, OWN_CAMERAS["value"], {})
    return replace(model, card=card.model_copy(update=change))


def join(parts: list[Embeddings]) -> Embeddings:
    """One or more embeddings of the same model and with the same columns, one after the other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    identities, cameras, paths = (
        None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])
        for name in ("identities", "cameras", "paths")
    )
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns}
    vectors = np.concatenate([part.vectors for part in parts])
    return Embeddings(vectors, identities, cameras, paths, columns, first.fingerprint, first.metric)
