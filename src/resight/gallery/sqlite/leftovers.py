"""Files of vectors that a gallery left at another name or place: they hold what may have to be erased.

Only what carries the gallery's own number is taken away, and only where no gallery of that number is left.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from resight.errors import DataError, ResightError
from resight.gallery.vectors.cache_files import owner, paths

_TRIES, _PAUSE = 5, 0.05


def refuse_second_name(path: Path) -> None:
    """Refuse a file with several names (hard links): each would have a log and vectors of its own.

    Raises:
        DataError: it has.
    """
    for _ in range(_TRIES):
        found = path.stat()
        drafts = [file for file in path.parent.glob(f".{path.name}.*") if _same(file, found)]  # it is being made
        if found.st_nlink - len(drafts) < 2:
            return
        time.sleep(_PAUSE)
    raise DataError(
        f"{path} has {found.st_nlink} names (hard links), and what is erased would stay beside the others: keep one of "
        "them, and make copies with resight gallery backup."
    )


def clear(path: Path, uuid: str, home: str) -> None:
    """Remove vectors and indexes of this gallery that were left at its last place, or beside it under another name.

    Raises:
        ResightError: one cannot be removed.
    """
    others = {Path(home)} if home else set()
    others |= {file.with_name(file.name.removesuffix(".columns")) for file in path.parent.glob("*.columns")}
    for other in others - {path}:
        if owner(other) != uuid or _number(other) == uuid:
            continue
        for file in (*paths(other), *indexes(other)):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise ResightError(
                    f"{file} holds vectors of the gallery {path} and cannot be removed ({error.strerror}): remove it."
                ) from None


def _same(file: Path, as_what: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.stat(), as_what)
    except OSError:
        return False


def indexes(database: Path) -> Iterator[Path]:
    """The files of approximate indexes beside a database: one at most, but for the time of building another."""
    start = f"{database.name}.index-"
    return (file for file in database.parent.iterdir() if file.name.startswith(start))


def _number(database: Path) -> str:
    """The number of the gallery in a file; "" where there is none."""
    if not database.is_file():
        return ""
    try:
        db = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)
        try:
            row = db.execute("SELECT value FROM meta WHERE key = 'uuid'").fetchone()
        finally:
            db.close()
    except sqlite3.Error:
        return ""
    return str(row[0]) if row else ""
