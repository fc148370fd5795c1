"""Parts of a long work: the vectors of some thousand images each, kept in a folder until all are there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.embedding.compute import Progress, shifted
from resight.embedding.embedder import Embedder
from resight.embedding.source import Source
from resight.errors import DataError
from resight.files import atomic_path
from resight.images.stream import BadImage, Item, read


@dataclass(frozen=True, eq=False)
class Part:
    """The vectors (n, D) of the images at ``kept`` (n,), and the images that failed."""

    vectors: NDArray[np.float32]
    kept: NDArray[np.int64]
    failed: list[BadImage]

    @staticmethod
    def path(folder: Path, start: int) -> Path:
        """Where the part that begins with the ``start``-th image is kept."""
        return folder / f"{start:012d}.npz"

    def pack(self) -> bytes:
        """As the bytes of a file."""
        failed = json.dumps([asdict(bad) for bad in self.failed])
        file = io.BytesIO()
        np.savez(file, vectors=self.vectors, kept=self.kept, failed=failed)
        return file.getvalue()

    @staticmethod
    def unpack(packed: bytes) -> Part:
        """What :meth:`pack` packed."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as found:
            failed = [BadImage(**bad) for bad in json.loads(str(found["failed"]))]
            return Part(found["vectors"], found["kept"], failed)

    def write(self, folder: Path, start: int) -> None:
        """Keep it in the folder of parts, whole or not at all."""
        with atomic_path(self.path(folder, start)) as temporary:
            temporary.write_bytes(self.pack())

    @staticmethod
    def read(folder: Path, start: int) -> Part:
        """The part that begins with the ``start``-th image.

        Raises:
            DataError: its file is damaged.
        """
        path = Part.path(folder, start)
        try:
            return Part.unpack(path.read_bytes())
        except Exception as error:
            raise DataError(f"{path} is damaged ({error}): delete it and run the command again.") from None


def missing(folder: Path, total: int, part: int) -> list[int]:
    """Where the parts that are not there yet begin."""
    return [start for start in range(0, total, part) if not Part.path(folder, start).exists()]


def fill(folder: Path, embedder: Embedder, source: Source, *, part: int, skip: bool, progress: Progress | None) -> None:
    """Write the parts that are missing."""
    total, at = len(source), -1
    items: Iterator[Item] = iter(())
    for start in missing(folder, total, part):
        if at != start:
            items = source.items(start)  # and otherwise go on: a video is read once
        at = min(start + part, total)
        shown = shifted(progress, start, total)
        embed_part(embedder, islice(items, at - start), skip=skip, progress=shown).write(folder, start)


def embed_part(
    embedder: Embedder, items: Iterable[Item], *, skip: bool = True, progress: Progress | None = None
) -> Part:
    """The vectors of some images; without ``skip`` the first that cannot be embedded is an error."""
    failed: list[BadImage] = []
    kept = [np.empty(0, np.int64)]
    found = []

    def left_out(bad: BadImage) -> None:
        if not skip:
            raise DataError(bad.reason)
        failed.append(bad)

    batches = read(items, embedder.model.card.preprocessing, batch_size=embedder.batch_size)
    for batch, vectors in embedder.run(batches, None, on_error=left_out, progress=progress):
        if len(vectors):
            kept.append(batch.positions)
            found.append(vectors)
    vectors = np.concatenate(found) if found else np.empty((0, 0), np.float32)
    return Part(vectors, np.concatenate(kept), failed)
