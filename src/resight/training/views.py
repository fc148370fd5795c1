"""How training images are shown: drawn anew at every step, or as fixed views that a teacher saw as well."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.images.augmentation import Augmentation, draw
from resight.images.cache import Images
from resight.images.decode import Pixels
from resight.images.transforms import augment, prepare
from resight.models.card import Preprocessing
from resight.training import parts

_FIXED, _PARTNERS, _PLAIN, _ORDER = 1, 2, 3, 4  # what else is drawn from the recipe's seed, each for itself


class Seen(NamedTuple):
    """B images and how they are shown.

    Attributes:
        pixels: (B, H, W, 3) uint8, the images; ``others``: (B, K, H, W, 3), those they are mixed with, or None.
        table: (B, COLUMNS) uniform numbers that decide how.
        plain: (B,) bool, which are shown as they are; None where none is.
        view: (B,) int64, which fixed view; None where they are drawn anew.
    """

    pixels: Pixels
    others: Pixels | None
    table: Tensor
    plain: NDArray[np.bool_] | None = None
    view: NDArray[np.int64] | None = None


class Views:
    """The views of N training images; every one depends on nothing but the recipe's seed and its place.

    Args:
        images: the pixels.
        how: the random changes.
        to: the student's preprocessing.
        spec: of the recipe; None draws every view anew.
        seed: the recipe's.
    """

    def __init__(
        self, images: Images, how: Augmentation, to: Preprocessing, spec: parts.Views | None, seed: int
    ) -> None:
        self.images, self.how, self.to, self.spec, self.seed = images, how, to, spec, seed
        self.count, self.half = (spec.count, spec.half) if spec else (0, False)
        N = len(images)
        self._tables = [draw(N, (seed, _FIXED, view)) for view in range(max(1, self.count))]
        self._partners = [self._mixed_with(N, (seed, _PARTNERS, view)) for view in range(max(1, self.count))]
        self._first = np.random.default_rng((seed, _ORDER)).integers(0, max(1, self.count), N)

    def at_step(self, batch: NDArray[np.int64], mine: slice, epoch: int, step: int, frames: int = 1) -> Seen:
        """The images of one process' part of a ``batch``, read from the disk; everything but pixels is drawn.

        The ``frames`` of a clip, next to each other, are changed alike.
        """
        which = batch[mine]
        if self.count:
            return self.fixed(which, (self._first[which] + epoch) % self.count)
        seed, plain = (self.seed, epoch, step), None
        if self.spec is not None:
            plain = (np.random.default_rng((*seed, _PLAIN)).random(len(batch)) < self.spec.plain)[mine]
        others = None
        if self.how.others:
            others = self._read(self._mixed_with(len(batch), (*seed, _PARTNERS))[mine])
        return Seen(
            self.images.read(which), others, draw(len(batch) // frames, seed).repeat_interleave(frames, 0)[mine], plain
        )

    def fixed(self, which: NDArray[np.int64], view: NDArray[np.int64]) -> Seen:
        """The fixed views ``view`` (B,) of the images at ``which`` (B,); view 0 is the plain image."""
        table = torch.stack([self._tables[v][i] for v, i in zip(view.tolist(), which.tolist(), strict=True)])
        others = None
        if self.how.others:
            others = self._read(np.stack([self._partners[v][i] for v, i in zip(view, which, strict=True)]))
        return Seen(self.images.read(which), others, table, view == 0, view)

    def show(self, seen: Seen, device: torch.device) -> Tensor:
        """(B, 3, H, W) float, the network's input."""
        pixels = torch.from_numpy(seen.pixels).to(device, non_blocking=True)
        others = None if seen.others is None else torch.from_numpy(seen.others).to(device, non_blocking=True)
        x = augment(pixels, seen.table, self.how, self.to, others)
        if seen.plain is None or not seen.plain.any():
            return x
        plain = torch.from_numpy(seen.plain).to(device)
        return torch.where(plain[:, None, None, None], prepare(pixels, self.to), x)

    def _mixed_with(self, count: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
        """(count, K) images to mix others with."""
        return np.random.default_rng(seed).integers(0, len(self.images), (count, self.how.others))

    def _read(self, partners: NDArray[np.int64]) -> Pixels:
        """(B, K) indices to (B, K, H, W, 3) pixels."""
        read = self.images.read(partners.ravel())
        return read.reshape(*partners.shape, *read.shape[1:])
