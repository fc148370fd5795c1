"""Small files at a URI: a folder, or a bucket through fsspec. What stands beside a Milvus collection.

An object is written whole or not at all, and :meth:`create` lets only one of several writers have a name, which is what
the log and the turns of writers rest on (:mod:`resight.gallery.milvus.journal`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from resight.errors import DataError, ResightError
from resight.files import sync_folder

_TOGETHER = 500  # objects that are asked for in one call


class Objects(Protocol):
    """Named bytes. Names are relative paths with ``/``; any thread may call."""

    @property
    def uri(self) -> str:
        """What opens these objects again, wherever the program runs."""

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """The objects, None where there is none."""

    def exists(self, name: str) -> bool:
        """Whether an object is there."""

    def create(self, name: str, data: bytes) -> bool:
        """Write an object that is not there yet; False, and nothing is changed, where it is there."""

    def write(self, name: str, data: bytes) -> None:
        """Write an object, over the one that is there."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there do not matter."""

    def names(self, folder: str) -> list[str]:
        """The names of all objects below a folder, sorted."""


def open_objects(uri: str) -> Objects:
    """The objects at ``"folder"``, ``"file:///folder"``, or whatever fsspec opens, such as ``"s3://bucket/folder"``.

    Raises:
        DataError: nothing here opens such a URI.
    """
    if "://" not in uri or uri.startswith("file://"):
        return Folder(uri.removeprefix("file://"))
    return Bucket(uri)


class Folder:
    """Objects as files; what was written is on the disk when the call returns."""

    def __init__(self, path: str) -> None:
        self._root = Path(path).absolute()
        self.uri = str(self._root)

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """See :meth:`Objects.read`."""
        found: list[bytes | None] = []
        with self._told():
            for name in names:
                try:
                    found.append((self._root / name).read_bytes())
                except (FileNotFoundError, NotADirectoryError):
                    found.append(None)
        return found

    def exists(self, name: str) -> bool:
        """See :meth:`Objects.exists`."""
        return (self._root / name).exists()

    def create(self, name: str, data: bytes) -> bool:
        """See :meth:`Objects.create`."""
        with self._told(), self._draft(name, data) as (draft, target):
            try:
                os.link(draft, target)
            except FileExistsError:
                return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """See :meth:`Objects.write`."""
        with self._told(), self._draft(name, data) as (draft, target):
            draft.replace(target)

    def remove(self, names: Iterable[str]) -> None:
        """See :meth:`Objects.remove`."""
        with self._told():
            folders = set()
            for name in names:
                path = self._root / name
                with suppress(FileNotFoundError):
                    path.unlink()
                    folders.add(path.parent)
            for folder in folders:
                sync_folder(folder)

    def names(self, folder: str) -> list[str]:
        """See :meth:`Objects.names`."""
        found = []
        for path, _, files in os.walk(self._root / folder):
            at = Path(path).relative_to(self._root)
            found += [(at / file).as_posix() for file in files if not file.startswith(".")]
        return sorted(found)

    @contextmanager
    def _draft(self, name: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """The bytes in a file of another name beside the one they are for, which is on the disk after the block."""
        target = self._root / name
        made = [folder for folder in target.parents if folder.is_relative_to(self._root.parent) and not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=".", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield Path(draft), target
        finally:
            Path(draft).unlink(missing_ok=True)
        for folder in (target.parent, *(folder.parent for folder in made)):
            sync_folder(folder)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResightError(
                f"{error.filename or self._root} cannot be used ({error.strerror or error}): check space and rights."
            ) from None


class Bucket:
    """Objects in whatever fsspec opens. The store must know conditional writes, as S3 and MinIO do."""

    def __init__(self, uri: str) -> None:
        import fsspec

        try:
            self._fs, self._root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise DataError(f"{uri} cannot be opened ({error}): check it, or pip install what it needs.") from None
        self.uri = uri.rstrip("/")

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """See :meth:`Objects.read`."""
        found: list[bytes | None] = []
        with self._told():
            for start in range(0, len(names), _TOGETHER):
                paths = [self._path(name) for name in names[start : start + _TOGETHER]]
                got = self._fs.cat(paths, on_error="return") if len(paths) > 1 else {paths[0]: self._one(paths[0])}
                for path in paths:
                    one = got[path]
                    if isinstance(one, Exception) and not isinstance(one, FileNotFoundError):
                        raise one
                    found.append(one if isinstance(one, bytes) else None)
        return found

    def exists(self, name: str) -> bool:
        """See :meth:`Objects.exists`."""
        with self._told():
            return bool(self._fs.exists(self._path(name)))

    def create(self, name: str, data: bytes) -> bool:
        """See :meth:`Objects.create`."""
        with self._told():
            try:
                self._fs.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
            return True

    def write(self, name: str, data: bytes) -> None:
        """See :meth:`Objects.write`."""
        with self._told():
            self._fs.pipe_file(self._path(name), data)

    def remove(self, names: Iterable[str]) -> None:
        """See :meth:`Objects.remove`."""
        paths = [self._path(name) for name in names]
        with self._told():
            for start in range(0, len(paths), _TOGETHER):
                some = paths[start : start + _TOGETHER]
                try:
                    self._fs.rm(some)
                except FileNotFoundError:
                    for path in some:
                        with suppress(FileNotFoundError):
                            self._fs.rm_file(path)

    def names(self, folder: str) -> list[str]:
        """See :meth:`Objects.names`."""
        start = len(self._root.rstrip("/")) + 1
        with self._told():
            return sorted(path[start:] for path in self._fs.find(self._path(folder)))

    def check(self) -> None:
        """Try whether the store lets only one writer have a name.

        Raises:
            DataError: it does not.
        """
        name = f"probe/{uuid4().hex}"
        try:
            if not (self.create(name, b"1") and not self.create(name, b"2") and self.read([name]) == [b"1"]):
                raise DataError(f"{self.uri} writes over what is there: use a store with conditional writes.")
        finally:
            self.remove([name])

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _one(self, path: str) -> Any:
        try:
            return self._fs.cat_file(path)
        except FileNotFoundError as error:
            return error

    @contextmanager
    def _told(self) -> Iterator[None]:
        """One sentence for whatever the store's own library says: each has exceptions of its own."""
        try:
            yield
        except ResightError:
            raise
        except Exception as error:
            message = str(error) or type(error).__name__
            raise ResightError(f"{self.uri} does not work ({message}): check address and keys.") from None
