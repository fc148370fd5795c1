"""Pictures as files of a folder that every program finds at the same path."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from resight.errors import ResightError, first_line
from resight.files import sync_folder

_TOGETHER = 16  # files whose way to the disk is waited for at the same time


class Folder:
    """See :class:`resight.gallery.postgres.objects.Objects`; names are paths below the folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """Make the folder; :meth:`put` never does, for where a drive is not mounted it would fill the disk below."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Write files, on the disk when this returns."""
        try:
            parents = {(self._path / name).parent for name in contents}
            for folder in parents:
                folder.mkdir(exist_ok=True)
            with ThreadPoolExecutor(_TOGETHER) as pool:
                list(pool.map(self._write, contents.items()))
            for folder in (*parents, self._path):
                sync_folder(folder)
        except OSError as error:
            raise self._failed(error) from None

    def get(self, names: Sequence[str]) -> dict[str, bytes]:
        """The files that are there."""
        found = {}
        for name in names:
            try:
                found[name] = (self._path / name).read_bytes()
            except FileNotFoundError:
                if not self._path.is_dir():
                    raise ResightError(
                        f"There is no folder {self._path}, where this gallery keeps its thumbnails: mount it here at "
                        "the same path as elsewhere."
                    ) from None
            except OSError as error:
                raise self._failed(error) from None
        return found

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, from the disk when this returns."""
        try:
            self._path.stat()  # a drive that is not mounted is no folder without the files
            for name in names:
                (self._path / name).unlink(missing_ok=True)
            for folder in {(self._path / name).parent for name in names}:
                if folder.is_dir():
                    sync_folder(folder)
        except OSError as error:
            raise self._failed(error) from None

    def names(self) -> Iterator[list[str]]:
        """The names of all files, some at a time."""
        try:
            for folder in sorted(self._path.iterdir()):
                if folder.is_dir():
                    yield [f"{folder.name}/{path.name}" for path in folder.iterdir()]
        except OSError as error:
            raise self._failed(error) from None

    def remains(self) -> str:
        """Where else the bytes of removed files may be: what is said of the disks holds for these."""
        return ""

    def _write(self, one: tuple[str, bytes]) -> None:
        name, content = one
        with (self._path / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _failed(self, error: OSError) -> ResightError:
        return ResightError(
            f"The thumbnails in {self._path} cannot be read or written ({error.strerror or first_line(error)}): check "
            "that the folder is mounted here, its rights and its free space."
        )
