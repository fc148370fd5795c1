"""A split's images as one array of pixels: decoded once, kept on disk, mapped into memory."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.files import atomic_path, cache_root, split_archive
from resight.images.decode import Pixels, decode, fit
from resight.images.stream import WORKERS, Batch
from resight.models.card import Preprocessing
from resight.pools import Pool
from resight.records import Split

Progress = Callable[[int, int], None]  # (done, total)


class Images:
    """The images of a split, resized as a model's preprocessing says; ``read(indices)`` gives (B, H, W, 3) uint8 RGB.

    With ``folder`` the pixels are decoded once into a file there, which later runs reuse as long as the images are
    the same (path, size, time) and which is mapped, not loaded. Without it, or when the file would fill more than
    half of the free space or cannot be written, every read decodes again, in threads.

    Raises:
        DataError: an image that is missing or not whole; the message names it.
    """

    def __init__(
        self,
        split: Split,
        to: Preprocessing,
        *,
        folder: str | Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.paths = split.paths
        self._to = to
        self._pixels: NDArray[np.uint8] | None = None
        self._pool = Pool(WORKERS, "resight-images")
        needed = len(split) * to.height * to.width * 3
        if folder is not None and len(split):
            path = Path(folder) / f"{self._key()}.pixels"
            if not self._is_whole(path, needed) and self._fits(path.parent, needed):
                try:
                    self._fill(path, progress)
                except DataError:
                    raise
                except ResightError:  # a place that cannot be written
                    pass
            if self._is_whole(path, needed):
                self._pixels = np.memmap(path, np.uint8, "r", shape=(len(split), to.height, to.width, 3))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def cached(self) -> bool:
        """Whether pixels come from the mapped file rather than from decoding."""
        return self._pixels is not None

    def read(self, indices: NDArray[np.int64]) -> Pixels:
        """(B,) indices to (B, H, W, 3) uint8 RGB."""
        if self._pixels is not None:
            return self._pixels[indices]
        out = np.empty((len(indices), self._to.height, self._to.width, 3), np.uint8)
        list(self._pool.map(lambda at: self._decode_into(out, at, int(indices[at])), range(len(indices))))
        return out

    def batches(self, size: int) -> Iterator[Batch]:
        """All images in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            which = np.arange(start, min(start + size, len(self)))
            yield Batch(self.read(which), which, tuple(self.paths[which].tolist()))

    def _decode_into(self, out: Pixels, at: int, index: int) -> None:
        to, pixels = self._to, decode(str(self.paths[index]))
        out[at] = fit(pixels, to.height, to.width, how=to.resize, interpolation=to.interpolation)

    def _key(self) -> str:
        to = self._to
        by = "" if to.interpolation == "linear-area" else f" {to.interpolation}"
        digest = hashlib.sha256(f"2 {to.height} {to.width} {to.resize}{by}".encode())
        archives: dict[str, str] = {}
        for path in self.paths:
            archive, member = split_archive(str(path))
            if not member or archive not in archives:
                try:
                    stat = os.stat(archive)
                except OSError:
                    raise DataError(f"{archive} does not exist or cannot be read: check the path.") from None
                archives[archive] = f"{os.path.abspath(archive)} {stat.st_size} {stat.st_mtime_ns}"
            digest.update(f"{archives[archive]} {member}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:32]

    @staticmethod
    def _is_whole(path: Path, needed: int) -> bool:
        return path.exists() and path.stat().st_size == needed

    @staticmethod
    def _fits(folder: Path, needed: int) -> bool:
        existing = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
        return needed < shutil.disk_usage(existing).free // 2

    def _fill(self, path: Path, progress: Progress | None) -> None:
        total, step = len(self.paths), 512
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            for start in range(0, total, step):
                file.write(self.read(np.arange(start, min(start + step, total))).data)
                if progress:
                    progress(min(start + step, total), total)


def cache_folder() -> Path:
    """Where decoded pixels are kept: ``$RESIGHT_CACHE``, else ``resight`` in the user's cache folder."""
    return cache_root() / "pixels"


def engines_folder() -> Path:
    """Where converted models and what was measured of engines are kept, beside the pixels.

    Where nothing can be written there, it is a folder of this process, which is removed when it ends.
    """
    kept = cache_folder().parent / "engines"
    existing = next(place for place in (kept, *kept.absolute().parents) if place.exists())
    return kept if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK) else Path(_temporary())


@cache
def _temporary() -> str:
    folder = tempfile.mkdtemp(prefix="resight-engines-")
    process = os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # and no forked one
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
