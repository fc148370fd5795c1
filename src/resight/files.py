"""Files: reading through folders and zip archives alike, and writing so that nothing is left half-written.

A path may lead through a zip archive as if it were a folder: ``Market.zip/Market/query/0001_c1s1_1_00.jpg``.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import secrets
import shutil
import stat
import tempfile
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from resight.beginnings import is_binary
from resight.errors import DataError, ResightError
from resight.paths import expanded

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".avifs"),
        *(".heic", ".heif", ".hif"),  # with the extra "heif"
    }
)
"""What an image file's name ends with: the formats that :mod:`resight.images.decode` reads."""
VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".ts", ".mpg", ".mpeg", ".wmv"))
SYSTEM_FOLDERS = frozenset(
    {
        *("__MACOSX", "@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", "$RECYCLE.BIN"),
        *("System Volume Information", "lost+found"),
    }
)
"""Folders that systems and network drives put among the images: thumbnails, copies, deleted files."""


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
    """One open zip, read by any number of threads; reopened when the process forks or the file changes.

    Attributes:
        members: its files by name, with ``/`` between folders and neither ``./`` nor ``../`` before it, whatever
            program packed it. Of several with one name it is the last, the one that unpacking leaves.
        repeated: the names that more than one file has.
    """

    def __init__(self, path: str) -> None:
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(
                f"{path} is not a readable zip archive ({error}): download it again or unpack it and pass the folder."
            ) from None
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.repeated: list[str] = []
        for info in self.zip.infolist():
            parts = info.filename.replace("\\", "/").split("/")
            if parts[-1]:
                name = "/".join(part for part in parts if part not in ("", ".", ".."))
                if name in self.members:
                    self.repeated.append(name)
                self.members[name] = info
        self.lock = threading.Lock()


@lru_cache(maxsize=8)
def _open_archive(path: str, mtime_ns: int, pid: int) -> _Archive:
    return _Archive(path)


def _archive(path: str) -> _Archive:
    return _open_archive(path, os.stat(path).st_mtime_ns, os.getpid())


def repeated_members(root: str | os.PathLike[str]) -> list[str]:
    """The paths of a zip archive under which it holds more than one file, sorted; none in a folder."""
    archive = split_archive(os.fspath(root).rstrip("/"))[0]
    is_zip = archive.lower().endswith(".zip") and os.path.isfile(archive)
    return sorted({f"{archive}/{name}" for name in _archive(archive).repeated}) if is_zip else []


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file, which may stand inside a zip archive.

    Raises:
        DataError: the file is missing, unreadable, no regular file (a pipe would be waited for), or damaged or
            encrypted in its archive.
    """
    name = os.fspath(path)
    archive, member = split_archive(name)
    try:
        if not member:
            with open(_open_regular(name), "rb") as file:
                return file.read()
        opened = _archive(archive)
        with opened.lock:
            return opened.zip.read(opened.members[member])
    except KeyError:
        raise DataError(f"{archive} has no file {member}: check the name or download the archive again.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{name} is damaged in its archive ({error}): download the archive again.") from None
    except RuntimeError as error:  # encrypted, or packed by a method that Python does not know
        why = "it is encrypted" if "encrypted" in str(error) else error
        raise DataError(
            f"{name} cannot be read from its archive ({why}): unpack the archive and pass the folder."
        ) from None
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror or error}): check the path and its rights.") from None


def _open_regular(name: str) -> int:
    """Open a file without waiting; refuse a pipe, a socket or a device."""
    handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    kind = "named pipe" if stat.S_ISFIFO(mode) else "device"
    raise DataError(f"{name} is a {kind}, not a file: take it out of the folder.")


def list_files(root: str | os.PathLike[str]) -> list[tuple[str, int]]:
    """Every file below a folder or inside a zip, as sorted ``(path, size in bytes)``.

    Hidden files and folders are left out, and :data:`SYSTEM_FOLDERS`. A link to a folder is followed where it leads
    out of the folder; what it leads back to is listed once, under its own name.

    Raises:
        DataError: there is nothing at ``root``, it is neither a folder nor a zip archive, or a folder below it cannot
            be read.
    """
    name = os.fspath(root).rstrip("/") or "/"
    archive, member = split_archive(name)
    if archive != name or (name.lower().endswith(".zip") and os.path.isfile(name)):
        start = f"{member}/" if member else ""
        found = [
            (f"{archive}/{inside}", info.file_size)
            for inside, info in _archive(archive).members.items()
            if inside.startswith(start) and not any(map(_is_hidden, inside[len(start) :].split("/")))
        ]
        if member and not found:
            raise DataError(f"{archive} has no folder {member}: check the name.")
    elif os.path.isdir(name):
        found = list(_walk(name))
    elif os.path.exists(name):
        if os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:
            raise DataError(f"{name} is a video: a folder or a zip archive of images is needed, or resight watch.")
        kind = "" if is_image_name(name) else " that is not read as an image"
        raise DataError(f"{name} is a file{kind}, but a folder or a zip archive of images is needed.")
    else:
        raise DataError(f"{name} does not exist: check the path.")
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM_FOLDERS


def _walk(root: str) -> Iterator[tuple[str, int]]:
    """The files below a folder, each with its size; a dangling link has 0, so that its reader can complain."""
    todo: list[tuple[str, tuple[str, ...]]] = [
        (root, (os.path.realpath(root),))
    ]  # a folder, and the real folders whose links led to it
    while todo:
        folder, areas = todo.pop()
        try:
            with os.scandir(folder) as listed:
                entries = list(listed)
        except OSError as error:
            raise DataError(f"{folder} cannot be read ({error.strerror or error}): check its rights.") from None
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            try:
                known = entry.stat()
            except OSError:
                yield entry.path, 0
                continue
            if not stat.S_ISDIR(known.st_mode):
                yield entry.path, known.st_size
            elif not entry.is_symlink():
                todo.append((entry.path, areas))
            else:
                real = os.path.realpath(entry.path)
                if not any(_holds(area, real) or _holds(real, area) for area in areas):
                    todo.append((entry.path, (*areas, real)))


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def list_images(root: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """The paths of the images and of the other files that :func:`list_files` finds; see :func:`left_out`."""
    images: list[str] = []
    others: list[str] = []
    for path, _ in list_files(root):
        (images if is_image_name(path) else others).append(path)
    return images, others


def left_out(others: Sequence[str]) -> str:
    """A sentence on the files that were not read as images, with the number of each kind; "" where there are none."""
    if not others:
        return ""
    kinds = Counter(os.path.splitext(path)[1].lower() or "no ending" for path in others).most_common(4)
    each = ", ".join(f"{number:,} {kind}" for kind, number in kinds)
    noun = "file that is not a readable image was" if len(others) == 1 else "files that are not readable images were"
    return f"{len(others):,} {noun} left out ({each}; first {others[0]})."


def same_file_keys(paths: Iterable[str]) -> list[str]:
    """A text for each path that is equal for two spellings of one file: relative, absolute, through any link.

    A path where no file is has its absolute spelling.
    """
    keys: list[str] = []
    for path in paths:
        archive, member = split_archive(path)
        try:
            found = os.stat(archive)
            keys.append(f"{found.st_dev}:{found.st_ino}/{member}")
        except (OSError, ValueError):
            keys.append(os.path.abspath(path))
    return keys


def _cannot_write(path: Path, error: OSError) -> ResightError:
    return ResightError(
        f"{path} cannot be written ({error.strerror or error}): free some space or choose another place; "
        "what was there before is unchanged."
    )


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed onto it when the block ends well and removed when it does not.

    A link stays, and the file it leads to is written. The file has the rights that ``open`` would give it, or those
    of the file before. What is no regular file (a pipe, ``/dev/null``, ``/dev/stdout``) gets the bytes at the end.

    Raises:
        ResightError: the disk is full or the place cannot be written; the old file is untouched.
    """
    given = Path(path)
    temporary: Path | None = None
    try:
        target, old = _target(given)
        keeps = old is None or (stat.S_ISREG(old.st_mode) and not _is_open_already(given))
        folder = target.parent if keeps else Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".resight.{secrets.token_hex(8)}"
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if keeps else 0o600))
        rights = stat.S_IMODE((temporary if old is None else target).stat().st_mode)
    except OSError as error:
        raise _cannot_write(given, error) from None
    try:
        yield temporary
        if not keeps:
            _pour(temporary, target)
            return
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if old is not None:
            with suppress(OSError):  # only root may give files away
                os.chown(temporary, old.st_uid, old.st_gid)
        temporary.chmod(rights)  # some writers put a file of their own in its place
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(given, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _target(path: Path) -> tuple[Path, os.stat_result | None]:
    """Where to write for ``path``, and what is there: None where nothing is."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return Path(os.path.realpath(path)), None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if stat.S_ISBLK(found.st_mode):
        raise OSError(errno.EINVAL, "it is a disk")
    keeps_name = stat.S_ISREG(found.st_mode) and not _is_open_already(path)
    return (Path(os.path.realpath(path)) if keeps_name else path), found


def _is_open_already(path: Path) -> bool:
    """Whether the path names what a process has open, such as its standard output."""
    name = os.path.abspath(path)
    return name in ("/dev/stdout", "/dev/stderr") or name.startswith(("/dev/fd/", "/proc/"))


def _pour(source: Path, target: Path) -> None:
    """Write the bytes of ``source`` to the end of a pipe or a device; a pipe that no program reads is an error."""
    try:
        handle = os.open(target, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise OSError(error.errno, "no program reads it") if error.errno == errno.ENXIO else error from None
    os.set_blocking(handle, True)
    with source.open("rb") as file, open(handle, "wb") as sink:
        shutil.copyfileobj(file, sink)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder beside ``path``, renamed to it when the block ends well and removed when it does not.

    Nothing, or an empty folder, may stand at ``path``.

    Raises:
        ResightError: the disk is full, the place cannot be written, or something is there.
    """
    target = Path(path).absolute()
    temporary = target.parent / f".resight.{secrets.token_hex(8)}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(target)
    except OSError as error:
        raise ResightError(
            f"{path} cannot be written ({error.strerror or error}): free some space or choose another place."
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a whole UTF-8 text file, or leave the old one as it was (see :func:`atomic_path`).

    File names that are not UTF-8 are written as the bytes they are.

    Raises:
        ResightError: as :func:`atomic_path`, and where a picture, a database or anything else than text is there.
    """
    if is_binary(path) and not _is_open_already(Path(path)):
        raise ResightError(f"{path} is there and is no text, so it is kept: choose another name.")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_csv(path: str | os.PathLike[str], header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a whole CSV file with a header, as :func:`write_text` writes text."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files on the disk, so that a renamed one is there after a loss of power."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def cache_root() -> Path:
    """Where files are kept that can be made or fetched again: ``$RESIGHT_CACHE``, else ``resight`` in the user's cache.

    It need not exist, and may not be writable; for a user without a home nothing can be kept.
    """
    home = expanded("~")
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.devnull if home == "~" else home) / ".cache"
    return Path(os.environ.get("RESIGHT_CACHE") or Path(base) / "resight")
