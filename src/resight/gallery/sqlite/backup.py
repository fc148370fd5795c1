"""A backup of a gallery: one file, written under another name first."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from resight.errors import DataError, ResightError
from resight.files import sync_folder
from resight.gallery.sqlite.connections import Connections
from resight.gallery.sqlite.schema import in_words
from resight.locks import held

_DRAFTS = ".resight-backup."


def back_up(connections: Connections, path: Path) -> Path:
    """Copy a gallery by SQLite's own backup, check the copy, and give its path.

    Raises:
        DataError: there is something at ``path``.
        ResightError: it cannot be written, or the copy is damaged.
    """
    if path.exists():
        raise DataError(f"{path} is there already: name a file that is not there, such as one with the date.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear(path.parent)
        with _draft(path.parent) as draft, in_words(path):
            copy = sqlite3.connect(draft, isolation_level=None)
            try:
                with connections.reading() as db:
                    db.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
                (message,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            finally:
                copy.close()
            if message != "ok":
                raise ResightError(f"The copy of {connections.path} is damaged ({message}): check the gallery.")
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise ResightError(
            f"{path} cannot be written ({error.strerror or error}): free some space or choose another place."
        ) from None
    return path


def _clear(folder: Path) -> None:
    """Remove what killed programs left of their backups, for it may hold what is erased meanwhile."""
    for left in folder.glob(f"{_DRAFTS}*"):
        with suppress(OSError), held(_opened(left)) as mine:
            if mine:  # else another program writes it, or nothing tells whether one does
                shutil.rmtree(left)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A new file in a folder of its own, which is locked before it has the name that :func:`_clear` looks for."""
    made = Path(tempfile.mkdtemp(prefix=".resight.", dir=folder))
    named = folder / f"{_DRAFTS}{uuid.uuid4().hex}"
    with ExitStack() as at_end:
        at_end.callback(shutil.rmtree, named, ignore_errors=True)
        at_end.callback(shutil.rmtree, made, ignore_errors=True)
        with suppress(OSError):  # without a lock, nothing there is taken for left by a killed program
            at_end.enter_context(held(_opened(made)))
        made.rename(named)
        os.close(os.open(named / "draft", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield named / "draft"


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
