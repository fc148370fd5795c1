"""The log of writes beside the file: however a program ends, the gallery opens, and nothing acknowledged is gone."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from resight import Gallery
from resight.gallery.record import Damaged
from resight.gallery.sqlite import write_ahead
from seen import card, embeddings

ENDS = {
    "forgotten": "",
    "raised": "raise RuntimeError('a mistake')",
    "collected": "del gallery; gc.collect(); assert not os.path.exists(path + '-wal')",
    "cycle": "gallery.itself = gallery; del gallery; gc.collect(); assert not os.path.exists(path + '-wal')",
    "threads": """
def work():
    while True:
        gallery.records()
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
""",
    "writers": """
def work():
    while True:
        gallery.add(embeddings(1, seed=time.time_ns() % 1000))
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
""",
    "forked": """
gallery.records()
if not os.fork():
    gallery.records()
    sys.exit()  # it ends as a program does, and its parent goes on
os.wait()
gallery.add(embeddings(2, seed=1))
""",
}
AS_IT_OPENS = """
class Killed(sqlite3.Connection):
    def execute(self, statement, *rest):
        found = super().execute(statement, *rest)
        if "journal_mode = WAL" in statement:
            found.fetchall()
            os.kill(os.getpid(), signal.SIGKILL)
        return found
plain = sqlite3.connect
gallery.close()
sqlite3.connect = lambda *inputs, **options: plain(*inputs, **options | {"factory": Killed})
Gallery.open(path)
"""
AS_IT_CLOSES = """
def kill():
    while os.path.exists(path + "-wal"):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill).start()
gallery.close()
"""


Run = Callable[[Path, str], int]


def is_between(path: Path) -> bool:
    """Whether the file has SQLite's mark of a log, and no log."""
    return path.read_bytes()[18:20] == b"\2\2" and not Path(f"{path}-wal").exists()


@pytest.mark.parametrize("how", ENDS)
def test_a_gallery_that_nobody_closed_opens_again(tmp_path: Path, run: Run, how: str) -> None:
    path = tmp_path / "seen.db"
    assert run(path, ENDS[how]) == (how == "raised")
    with Gallery.open(path) as gallery:
        assert len(gallery) == 7 if how == "forked" else len(gallery) >= 5
        assert gallery.check().problems == ()
    assert path.read_bytes()[18:20] == b"\1\1"
    assert {file.name for file in tmp_path.iterdir()} == {"seen.db", "seen.db.vectors", "seen.db.columns"}


def test_killed_as_it_opens(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "seen.db"
    assert run(path, AS_IT_OPENS) == -signal.SIGKILL
    assert is_between(path)
    with Gallery.open(path, read_only=True) as gallery:
        assert len(gallery) == 5 and gallery.check().problems == ()
    with Gallery.open(path) as gallery:
        assert len(gallery) == 5 and gallery.check().problems == ()
    assert not is_between(path)
    assert not list(tmp_path.glob("*-changing"))


def test_killed_as_it_closes(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "seen.db"
    for _ in range(50):
        assert run(path, AS_IT_CLOSES) == -signal.SIGKILL
        if is_between(path):
            break
        Gallery.open(path).close()
    else:
        pytest.skip("no program was killed in that moment")
    with Gallery.open(path) as gallery:
        assert len(gallery) == 5 and gallery.check().problems == ()
    assert not list(tmp_path.glob("*-changing"))


def test_closed_while_the_last_other_program_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves after the attempt to end the log, so that SQLite takes the log away and not its mark."""
    path = tmp_path / "seen.db"
    writer = Gallery.open(path, card())
    writer.add(embeddings(5))
    reader, close = Gallery.open(path, read_only=True), write_ahead._close
    assert len(reader) == 5

    def close_late(db: sqlite3.Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            db.execute("PRAGMA busy_timeout = 0").execute("PRAGMA journal_mode = DELETE")
        reader.close()
        db.close()
        monkeypatch.setattr(write_ahead, "_close", close)
        assert is_between(path) and list(tmp_path.glob("*-changing"))

    monkeypatch.setattr(write_ahead, "_close", close_late)
    writer.close()
    assert path.read_bytes()[18:20] == b"\1\1" and not list(tmp_path.glob("*-changing"))
    with Gallery.open(path) as gallery:
        assert len(gallery) == 5


def test_the_sign_of_a_killed_program_hides_no_copy_without_its_log(tmp_path: Path, run: Run) -> None:
    """It is not copied along, and does not outlast the next program that opens the gallery for writing."""
    path = tmp_path / "seen.db"
    assert run(path, AS_IT_OPENS) == -signal.SIGKILL
    assert list(tmp_path.glob("*-changing"))
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    with pytest.raises(Damaged, match=r"without copy\.db-wal"):
        Gallery.open(tmp_path / "copy.db")
    assert run(path, "gallery.add(embeddings(3, seed=1)); os.kill(os.getpid(), signal.SIGKILL)") == -signal.SIGKILL
    assert Path(f"{path}-wal").stat().st_size
    Path(f"{path}-wal").rename(tmp_path / "log")
    with pytest.raises(Damaged, match=r"without seen\.db-wal"):
        Gallery.open(path)
    (tmp_path / "log").rename(f"{path}-wal")
    with Gallery.open(path) as gallery:
        assert len(gallery) == 8 and gallery.check().problems == ()


def test_a_program_that_holds_the_folder_does_not_stop_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock of the folder that nobody gives back costs a few seconds."""
    monkeypatch.setattr(write_ahead, "TURN", 0.2)
    Gallery.open(tmp_path / "seen", card()).close()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with Gallery.open(tmp_path / "seen") as gallery:
            gallery.add(embeddings(2))
    finally:
        os.close(folder)
    with Gallery.open(tmp_path / "seen") as gallery:
        assert len(gallery) == 2
