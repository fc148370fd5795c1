"""What people answered about pairs of tracks, kept in a file beside the gallery: same, different, or unsure.

Answers become constraints of links (:mod:`resight.watch.review`) and pairs for ``resight calibrate --pairs``.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from resight.errors import DataError, ResightError
from resight.files import write_csv
from resight.gallery.gallery import Gallery
from resight.gallery.record import Missing
from resight.watch.link import Answers

SAME, DIFFERENT, UNSURE = "same", "different", "unsure"
KINDS = (SAME, DIFFERENT, UNSURE)
WAIT = 30.0  # seconds for another program that writes

TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    first TEXT NOT NULL, second TEXT NOT NULL, answer TEXT NOT NULL, time REAL NOT NULL, actor TEXT NOT NULL,
    PRIMARY KEY (first, second)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Answer:
    """One answer about the records ``first`` < ``second``: "same", "different" or "unsure"."""

    first: str
    second: str
    answer: str
    time: float
    actor: str


class AnswerFile:
    """The answers of a gallery; any thread and any program may use the file at once.

    Args:
        gallery: whose tracks the answers are about.
        path: of the file; beside the gallery's if not given.

    Raises:
        DataError: the gallery is not in a file, and no path is given.
    """

    def __init__(self, gallery: Gallery, path: Path | None = None) -> None:
        where = gallery.uri.partition("sqlite:///")[2]
        if path is None and not where:
            raise DataError(f"{gallery.uri} is no file, beside which answers could be kept: name one.")
        self.gallery = gallery
        self.path = path or Path(where).with_suffix(".answers.db")

    def put(self, one: str, other: str, answer: str, actor: str = "") -> None:
        """Keep an answer about two records; a later one about the same two replaces it.

        Raises:
            DataError: another answer, one record twice, or (Missing) a record that is not there.
            ResightError: the file cannot be written.
        """
        if answer not in KINDS:
            raise DataError(f"The answer {answer!r} is none: choose one of {', '.join(KINDS)}.")
        if one == other:
            raise DataError("The answer is about one record twice: name two.")
        self.gallery.get([one, other])
        first, second = sorted((one, other))
        with self._open(make=True) as db:
            row = (first, second, answer, time.time(), actor or self.gallery.actor)
            db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def all(self) -> list[Answer]:
        """The answers about records that are in the gallery, the oldest first; those about others are deleted."""
        if not self.path.exists():
            return []
        with self._open() as db:
            found = [Answer(*row) for row in db.execute("SELECT * FROM answers ORDER BY time")]
            there = {id: self._is_there(id) for one in found for id in (one.first, one.second)}
            gone = [(id,) for id, known in there.items() if not known]
            db.executemany("DELETE FROM answers WHERE first = ?1 OR second = ?1", gone)
        return [one for one in found if there[one.first] and there[one.second]]

    def between(self, ids: Sequence[str]) -> Answers:
        """The answers about these records, by their places."""
        place = {id: at for at, id in enumerate(ids)}
        kinds: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS}
        for one in self.all():
            if one.first in place and one.second in place:
                kinds[one.answer].append((place[one.first], place[one.second]))
        return Answers(tuple(kinds[SAME]), tuple(kinds[DIFFERENT]))

    def export(self, folder: Path) -> int:
        """Thumbnails and ``pairs.csv`` (columns a, b, same) for ``resight calibrate --pairs``; how many pairs.

        Raises:
            DataError: no pair with an answer and two thumbnails, or a folder that is there already.
        """
        if folder.exists():
            raise DataError(f"{folder} exists already and is never written over: choose a new folder.")
        rows: list[tuple[str, str, int]] = []
        pictures: dict[str, bytes] = {}
        for one in self.all():
            first, second = (self.gallery.thumbnail(id) for id in (one.first, one.second))
            if one.answer == UNSURE or first is None or second is None:
                continue
            pictures |= {one.first: first, one.second: second}
            rows.append((f"{one.first}.jpg", f"{one.second}.jpg", int(one.answer == SAME)))
        if not rows:
            raise DataError("There is no answered pair with two thumbnails: answer some in the page's Watch section.")
        folder.mkdir(parents=True)
        for id, picture in pictures.items():
            (folder / f"{id}.jpg").write_bytes(picture)
        write_csv(folder / "pairs.csv", ("a", "b", "same"), rows)
        return len(rows)

    def _is_there(self, id: str) -> bool:
        try:
            return bool(self.gallery.get([id]))
        except Missing:
            return False

    @contextmanager
    def _open(self, make: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT)) as db, db:
                db.execute("PRAGMA secure_delete = ON")
                if make:
                    db.execute(TABLE)
                yield db
        except sqlite3.Error as error:
            raise ResightError(
                f"The answers {self.path} cannot be used ({error}): check its rights and the free space."
            ) from None
