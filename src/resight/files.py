"""Files: reading through folders and zip archives alike, and writing so that nothing is left half-written.

A path may lead through a zip archive as if it were a folder: ``Market.zip/Market/query/0001_c1s1_1_00.jpg``.
"""

from __future__ import annotations

import os
import threading
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from resight.errors import DataError, ResightError

# Of what resight.images.decode reads; the last three need the extra "heif".
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
    ".avif", ".avifs", ".heic", ".heif", ".hif",
})  # fmt: skip


def is_image_name(path: str) -> bool:
    """Whether the file's name ends like an image's (case does not matter)."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def split_archive(path: str) -> tuple[str, str]:
    """``("m.zip", "query/1.jpg")`` for a path through a zip archive, ``(path, "")`` for an ordinary one."""
    at = path.lower().find(".zip")
    while at >= 0:
        end = at + 4
        if (end == len(path) or path[end] == "/") and os.path.isfile(path[:end]):
            return path[:end], path[end + 1 :]
        at = path.lower().find(".zip", end)
    return path, ""


class _Archive:
    """One open zip, read by any number of threads; reopened when the process forks or the file changes."""

    def __init__(self, path: str) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(
                f"{path} is not a readable zip archive ({error}): download it again or unpack it and pass the folder."
            ) from None
        self.lock = threading.Lock()


@lru_cache(maxsize=8)
def _open_archive(path: str, mtime_ns: int, pid: int) -> _Archive:
    return _Archive(path)


def _archive(path: str) -> _Archive:
    return _open_archive(path, os.stat(path).st_mtime_ns, os.getpid())


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, which may stand inside a zip archive.

    Raises:
        DataError: the file is missing, unreadable or damaged in its archive.
    """
    name = os.fspath(path)
    archive, member = split_archive(name)
    try:
        if not member:
            with open(name, "rb") as file:
                return file.read()
        opened = _archive(archive)
        with opened.lock:
            return opened.zip.read(member)
    except KeyError:
        raise DataError(f"{archive} has no file {member}: check the name or download the archive again.") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
    ) as error:  # RuntimeError: encrypted, or unknown method
        raise DataError(f"{name} is damaged in its archive ({error}): download the archive again.") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror or error}): check the path and its rights.") from None


def list_files(root: str | os.PathLike[str]) -> list[tuple[str, int]]:
    """Every file below a folder or inside a zip, as sorted ``(path, size in bytes)``; hidden ones are left out.

    Raises:
        DataError: there is nothing at ``root``, or it is neither a folder nor a zip archive.
    """
    name = os.fspath(root).rstrip("/") or "/"
    archive, member = split_archive(name)
    if archive != name or (name.lower().endswith(".zip") and os.path.isfile(name)):
        prefix = f"{member}/" if member else ""
        found = [
            (f"{archive}/{info.filename}", info.file_size)
            for info in _archive(archive).zip.infolist()
            if not info.is_dir() and info.filename.startswith(prefix)
        ]
        if member and not found:
            raise DataError(f"{archive} has no folder {member}: check the name.")
    elif os.path.isdir(name):
        found = []
        for folder, _, files in os.walk(name, followlinks=True):
            for file in files:
                path = os.path.join(folder, file)
                try:
                    found.append((path, os.stat(path).st_size))
                except OSError:  # a dangling link: keep it, so that whoever reads it can say so
                    found.append((path, 0))
    elif os.path.exists(name):
        raise DataError(f"{name} is a file, but a folder or a zip archive of images is needed.")
    else:
        raise DataError(f"{name} does not exist: check the path.")
    start = len(name) + 1
    return sorted(
        (path, size)
        for path, size in found
        if not any(part.startswith(".") or part == "__MACOSX" for part in path[start:].split("/"))
    )


def _cannot_write(path: Path, error: OSError) -> ResightError:
    return ResightError(
        f"{path} cannot be written ({error.strerror or error}): free some space or choose another place; "
        "what was there before is unchanged."
    )


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed onto it when the block ends well and removed when it does not.

    Raises:
        ResightError: the disk is full or the place cannot be written; the old file is untouched.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less the umask, as any new file
    except OSError as error:
        raise _cannot_write(target, error) from None
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(target, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole text file, or leave the old one as it was (see :func:`atomic_path`)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk, so that a renamed one is there after a loss of power."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
