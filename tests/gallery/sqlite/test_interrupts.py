"""Ctrl-C at the worst moment, closed twice or never: the gallery opens again, and keeps no lock and no open file."""

from __future__ import annotations

import fcntl
import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resight import Gallery
from resight.gallery.sqlite import write_ahead
from resight.gallery.sqlite.schema import connect
from resight.gallery.vectors.cache_files import Files
from seen import card, embeddings

Run = Callable[[Path, str], int]
INTERRUPTED = """
class Interrupted(sqlite3.Connection):
    at = None
    def execute(self, statement, *rest):
        found = super().execute(statement, *rest)
        if statement == self.at:
            Interrupted.at = None
            raise KeyboardInterrupt
        return found
plain = sqlite3.connect
gallery.close()
sqlite3.connect = lambda *inputs, **options: plain(*inputs, **options | {"factory": Interrupted})
"""
AFTER = "assert open(path, 'rb').read(20)[18:] != bytes([2, 2]) or os.path.exists(path + '-wal')"


@pytest.mark.parametrize("statement", ["ROLLBACK", "BEGIN"])
def test_while_it_reads(tmp_path: Path, run: Run, statement: str) -> None:
    script = f"""
gallery = Gallery.open(path)
Interrupted.at = {statement!r}
try:
    gallery.records()
except KeyboardInterrupt:
    gc.collect()
    {AFTER}
gallery.add(embeddings(2, seed=1))
"""
    path = tmp_path / "seen.db"
    assert run(path, INTERRUPTED + script) == 0
    with Gallery.open(path) as gallery:
        assert len(gallery) == 7 and gallery.check().problems == ()


def test_as_it_opens(tmp_path: Path, run: Run) -> None:
    script = f"""
Interrupted.at = "PRAGMA secure_delete = ON"
try:
    Gallery.open(path)
except KeyboardInterrupt:
    pass
gc.collect()
{AFTER}
"""
    path = tmp_path / "seen.db"
    assert run(path, INTERRUPTED + script) == 0
    Gallery.open(path).close()


def test_a_lost_connection_ends_the_log(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    Gallery.open(path, card()).close()
    lost = connect(path, "write")
    assert write_ahead.there_is(path)
    del lost
    gc.collect()
    assert path.read_bytes()[18:20] == b"\1\1" and not write_ahead.there_is(path)


def test_a_connection_that_is_lost_while_another_one_begins_costs_no_time(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    Gallery.open(path, card()).close()
    lost, begun = connect(path, "write"), time.monotonic()
    with write_ahead._one_at_a_time(tmp_path):
        del lost
        gc.collect()
    assert time.monotonic() - begun < write_ahead.TURN / 2
    assert path.read_bytes()[18:20] == b"\1\1"


def test_as_it_locks_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, plain = (Files(tmp_path / "seen.db", "0" * 32, 8, unit=True, writable=True) for _ in range(2)), fcntl.flock
    first, second = files

    def interrupted(file: int, how: int) -> None:
        plain(file, how)
        if how == fcntl.LOCK_EX:
            raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt), first.alone():
        pass
    monkeypatch.setattr(fcntl, "flock", lambda file, how: plain(file, how | fcntl.LOCK_NB))
    with second.alone():
        pass


def test_closed_twice_the_cache_stays(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        gallery.add(embeddings(3))
        gallery.search(embeddings(1))
        gallery.close()
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {"seen.db", "seen.db.columns", "seen.db.vectors"}


def test_forgotten_galleries_hold_no_files(tmp_path: Path) -> None:
    def use() -> None:
        gallery = Gallery.open(tmp_path / "seen", card())
        gallery.add(embeddings(3))
        gallery.search(embeddings(1))

    use()
    gc.collect()
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        use()
    gc.collect()
    assert set(Path("/proc/self/fd").iterdir()) == before
