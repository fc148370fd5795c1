"""The course system's data sets, for ``torch.utils.data.DataLoader``.

Letters: B batch, N gallery images; an image is (3, 128, 128) float32, RGB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from resight.datasets.tables import read_idloss, read_triplets, retrieval
from resight.images.decode import Pixels, decode
from resight.images.transforms import letterbox, normalise
from resight.models.card import Preprocessing

Anchor = Literal["corner", "centre"]

SIZE = 128
UNIT = Preprocessing(height=SIZE, width=SIZE, scale=1.0)  # ImageNet's mean and deviation, for images in [0, 1]


def transform(pixels: Pixels, anchor: Anchor = "corner") -> Tensor:
    """(H, W, 3) uint8 RGB to (3, 128, 128), by the four operations that the course asks for, in its order.

    1. A tensor in [0, 1]. 2. Normalised with ImageNet's mean and standard deviation. 3. Resized, bilinear with
    anti-aliasing, so that the longer side is 128 and the proportions stay (the shorter side is rounded). 4. Padded
    with zeros to 128 x 128; since zero is the mean colour by then, the padding is grey rather than black.

    Args:
        pixels: the image.
        anchor: where it goes: ``"corner"``, padded at the right and the bottom, or ``"centre"``, padded alike on both
            sides. The course does not say where; we use the corner.
    """
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W) in [0, 1]
    x = letterbox(normalise(x, UNIT), SIZE, SIZE, anchor=anchor)
    return x[0].contiguous()


class IDLossDataset(Dataset[tuple[Tensor, int]]):
    """``train_idloss.csv`` or ``val_idloss.csv``: item i is (image, id).

    Args:
        csv: the CSV file; how its paths are found: :mod:`resight.datasets.tables`.
        num_identities: where given, every id must be below it (230 in the course).
        anchor: as for :func:`transform`.

    Raises:
        DataError: a line of the CSV that cannot be used; on reading an item, an image that is not whole.
    """

    def __init__(self, csv: str | Path, *, num_identities: int | None = None, anchor: Anchor = "corner") -> None:
        self.paths, self.ids = read_idloss(csv, num_identities)
        self.anchor = anchor

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return transform(decode(str(self.paths[index])), self.anchor), int(self.ids[index])


class RandomTripletDataset(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """``train_random_triplet.csv``: item i is (anchor, positive, negative), three images.

    See :func:`resight.datasets.tables.read_triplets`.

    Args:
        csv: the CSV file.
        anchor: as for :func:`transform`.

    Raises:
        DataError: as for :class:`IDLossDataset`.
    """

    def __init__(self, csv: str | Path, *, anchor: Anchor = "corner") -> None:
        self.paths = read_triplets(csv)  # (T, 3)
        self.anchor = anchor

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        first, positive, negative = (transform(decode(path), self.anchor) for path in self.paths[index].tolist())
        return first, positive, negative


class RetrievalDataset(Dataset[tuple[Tensor, int]]):
    """``val/gt.csv`` or ``test/pred.csv``: item i is (query image, index of its ground-truth gallery image).

    The index is the row of :meth:`get_gallery_imgs`, which is the image's number where numbers count from 0 without a
    gap, as in the course. It is -1 where the CSV has no answers. Load it with ``shuffle=False``.

    Args:
        csv: the CSV file; the gallery is the folder ``gallery`` beside it, with images named by number.
        anchor: as for :func:`transform`.

    Raises:
        DataError: as for :class:`IDLossDataset`, or a gallery that cannot be used.
    """

    def __init__(self, csv: str | Path, *, anchor: Anchor = "corner") -> None:
        found = retrieval(csv)
        self.queries, self.gallery, self.answers = found.queries, found.gallery, found.answers
        self.anchor = anchor

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return transform(decode(str(self.queries[index])), self.anchor), int(self.answers[index])

    def get_gallery_imgs(self) -> Tensor:
        """All gallery images, (N, 3, 128, 128), in the order of their numbers."""
        return torch.stack([transform(decode(path), self.anchor) for path in self.gallery.tolist()])
