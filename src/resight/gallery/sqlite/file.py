"""The file of a gallery: its path, how it is made, and what it is bound to."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from resight.errors import DataError, ResightError
from resight.files import sync_folder
from resight.gallery.record import Policy
from resight.gallery.sqlite.erased import make_key
from resight.gallery.sqlite.events import note
from resight.gallery.sqlite.schema import FORMAT, HOME, MARK, TABLES, connect, page_size
from resight.gallery.store import About
from resight.models.card import parse_card
from resight.paths import expanded


def path_of(uri: str) -> Path:
    """``"seen"``, ``"seen.db"`` and ``"sqlite:///seen.db"`` as the path of the file itself, without links."""
    if uri.startswith("sqlite://"):
        if not uri.startswith("sqlite:///") or len(uri) == len("sqlite:///"):
            raise DataError(f"{uri} names no file: write sqlite:///PATH, or sqlite:////PATH from the root.")
        path = Path(uri.removeprefix("sqlite:///"))
    else:
        path = Path(expanded(uri))
    if path.suffix not in (".db", ".sqlite"):
        path = path.with_name(f"{path.name}.db") if path.name else path
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise DataError(f"{path} is a folder: name the file of a gallery.")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise ResightError(f"{path} cannot be opened ({error.strerror}): check the path and the rights.") from None
    return Path(os.path.realpath(path))


def create(path: Path, about: About, actor: str) -> None:
    """Make the file under another name first, so that there is never a part of it."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = connect(draft, "make", page_size(4 * about.card.dim))
        try:
            db.executescript(f"BEGIN; {TABLES} PRAGMA application_id = {MARK}; PRAGMA user_version = {FORMAT};")
            db.execute("INSERT INTO state VALUES (1, 1, 0)")
            db.execute("INSERT INTO meta VALUES ('uuid', ?)", (uuid.uuid4().hex,))
            db.execute("INSERT INTO meta VALUES (?, ?)", (HOME, str(path)))
            make_key(db)
            keep(db, about)
            note(db, actor, "create", {"model": about.card.fingerprint, "dim": about.card.dim})
            db.execute("COMMIT")
        finally:
            db.close()
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another program was first, and its file stays
        except OSError:  # a file system without links
            draft.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ResightError(
            f"{path} cannot be made ({error.strerror or error}): free some space or choose another place."
        ) from None
    finally:
        for end in ("", "-wal", "-shm"):
            Path(f"{draft}{end}").unlink(missing_ok=True)


def check_format(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is no gallery, or one of a format that is not known here."""
    (mark,), (version,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    if mark != MARK:
        raise DataError(f"{path} is a database, but no gallery: check the path.")
    if version != FORMAT:
        raise DataError(
            f"{path} is a gallery of format {version}, but {FORMAT} is known here: install a newer resight."
        )


def about_in(meta: Mapping[str, str], path: Path) -> About:
    """The contents of the table ``meta``."""
    return About(parse_card(meta["card"], f"the card in {path}"), meta["model"], Policy(**json.loads(meta["policy"])))


def lacking(path: Path) -> str:
    """What is the matter with a file that was copied or renamed without its log."""
    return (
        f"{path} was copied or renamed without {path.name}-wal, which holds what was written last by a program that "
        "was killed or still runs: give a renamed file its old name, close what has it open, and rename it then; copy "
        "both files again; or make backups with resight gallery backup; what this file holds by itself "
        f"can be read with read_only=True and taken out with resight gallery copy {path} NEW. If it was neither but "
        "last closed by resight 0.1.0 or by another program that opens SQLite's files, which leave the same mark, "
        "nothing is missing and that copy is whole."
    )


def keep(db: sqlite3.Connection, about: About) -> None:
    """Write it there."""
    known = {"card": about.card.model_dump_json(), "model": about.model, "policy": json.dumps(asdict(about.policy))}
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", known.items())
