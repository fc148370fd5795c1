"""The embedded engine: its one file, the cache beside it, and what befalls them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from limits import files_no_larger_than
from resight import DataError, Embeddings, Gallery
from resight.errors import ResightError
from resight.gallery import log
from resight.gallery.record import Damaged, Filter
from resight.gallery.sqlite import changes, searching, store
from resight.gallery.vectors import cache_files as caching
from resight.gallery.vectors import scan
from seen import card, embeddings, vectors


def unit(some: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = some.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float32)


def picture(seed: int, side: int = 40) -> bytes:
    import cv2

    noise = np.random.default_rng(seed).integers(0, 255, (side, side // 2, 3)).astype(np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()


def found(gallery: Gallery, count: int = 10_000) -> list[str]:
    return [hit.record.id for hit in gallery.search(vectors(1, gallery.card.dim)[0], count)]


@pytest.mark.parametrize(("uri", "file"), [("seen", "seen.db"), ("seen.db", "seen.db"), ("sqlite:///a/b.db", "a/b.db"),
                                           ("v1.2", "v1.2.db"), ("x.sqlite", "x.sqlite")])  # fmt: skip
def test_where_a_gallery_stands(uri: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Gallery.open(uri, card()) as gallery:
        gallery.add(embeddings(2))
        again = gallery.uri
    assert (tmp_path / file).is_file()
    monkeypatch.chdir("/")
    with Gallery.open(again) as gallery:
        assert len(gallery) == 2
    with Gallery.open(tmp_path / uri.removeprefix("sqlite:///")) as gallery:
        assert len(gallery) == 2


def test_a_path_of_any_letters(tmp_path: Path) -> None:
    path = tmp_path / "a b#c?d%20ü" / "it's; seen.db"
    with Gallery.open(path, card()) as gallery:
        gallery.add(embeddings(2))
        assert len(found(gallery)) == 2
    with Gallery.open(gallery.uri) as again:
        assert len(again) == 2
    with Gallery.open(path, read_only=True) as again:
        assert len(again) == 2


@pytest.mark.parametrize("uri", ["sqlite://seen.db", "sqlite:///", "mysql://a/b", "."])
def test_where_none_can_stand(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".db").mkdir()
    with pytest.raises(DataError):
        Gallery.open(uri, card())


def test_what_is_erased_is_in_no_file(tmp_path: Path) -> None:
    """Many rounds, so that SQLite moves rows about as much as it ever does."""
    random = np.random.default_rng(0)
    names = [f"Person{at:05d}" for at in range(400)]
    with Gallery.open(tmp_path / "seen", card(96)) as gallery:
        there: dict[str, tuple[int, bytes]] = {}
        gone: list[tuple[int, bytes]] = []
        points, step = vectors(2000, 96), 0
        pictures = [picture(seed, side=int(random.integers(6, 90))) for seed in range(50)]
        for turn in range(14):
            which = list(range(step, step + int(random.integers(1, 60))))
            step = which[-1] + 1
            files = [pictures[at % 50] if at % 3 else None for at in which]
            added = gallery.add(
                Embeddings(points[which]),
                thumbnails=files,
                sources=[f"/secret/{at}-{names[at % 400]}.jpg" for at in which],
                identities=[names[at % 400] for at in which],
            )
            there |= {id: (at, gallery.thumbnail(id) or b"") for id, at in zip(added.ids, which, strict=True)}
            if turn == 7:
                gallery.index()
            for _ in range(int(random.integers(0, 3))):
                some = random.choice(sorted(there), min(len(there), int(random.integers(1, 50))), replace=False)
                assert gallery.erase(ids=some.tolist()) == len(some)
                gone += [there.pop(id) for id in some.tolist()]
                assert not set(found(gallery)) & set(some.tolist())
        kept = {small for _, small in there.values()}
        everything = b"\0".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))
        assert len(gone) > 100
        for at, small in gone:
            for data in (points[at].tobytes(), unit(points[at : at + 1]).tobytes()):
                assert data[:40] not in everything
                assert data[-40:] not in everything
            assert f"/{at}-".encode() not in everything
            if small and small not in kept:
                assert small[-100:] not in everything
        alive = {names[at % 400] for at, _ in there.values()}
        for name in {names[at % 400] for at, _ in gone} - alive:
            assert name.encode() not in everything
        for at, _ in there.values():
            assert points[at].tobytes() in everything
        assert gallery.check().problems == ()


def test_erased_places_are_used_again(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card(64)) as gallery:
        size = 0
        for turn in range(6):
            ids = gallery.add(embeddings(80, 64, seed=turn), thumbnails=[picture(at % 9) for at in range(80)]).ids
            gallery.erase(ids=ids)
            size = size or (tmp_path / "seen.db").stat().st_size
        assert (tmp_path / "seen.db").stat().st_size < 1.3 * size
        assert gallery.check().problems == ()


def damaged(path: Path, how: str) -> None:
    """Do something to the cache of a gallery."""
    columns, rows = caching.paths(path)
    if how == "missing":
        columns.unlink()
    elif how == "no rows":
        rows.unlink()
    elif how == "empty":
        columns.write_bytes(b"")
    elif how == "cut":
        os.truncate(rows, 100)
    elif how == "foreign":
        with Gallery.open(path.with_name("other"), card()) as other:
            other.add(embeddings(99, seed=9))
            other.search(vectors(1)[0])
        for mine, its in zip((columns, rows), caching.paths(path.with_name("other.db")), strict=True):
            shutil.copy(its, mine)
    elif how == "noise":
        columns.write_bytes(np.random.default_rng(0).bytes(9000))
    elif how == "another start of the machine, not flushed":
        data = bytearray(columns.read_bytes())
        data[caching.HEADER.size - 37 : caching.HEADER.size] = b"\0" + b"0" * 36
        columns.write_bytes(data)
        rows.write_bytes(bytes(rows.stat().st_size))


@pytest.mark.parametrize("how", ["missing", "no rows", "empty", "cut", "foreign", "noise",
                                 "another start of the machine, not flushed"])  # fmt: skip
def test_a_cache_that_is_of_no_use_is_made_anew(tmp_path: Path, how: str) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        gallery.add(embeddings(50), cameras=["a", "b"] * 25)
        before = found(gallery)
    damaged(tmp_path / "seen.db", how)
    for read_only in (True, False):
        with Gallery.open(tmp_path / "seen", read_only=read_only) as gallery:
            assert found(gallery) == before
            assert len(gallery.search(vectors(1)[0], 99, Filter(cameras=("a",)))) == 25
    with Gallery.open(tmp_path / "seen") as gallery:
        assert gallery.check().problems == ()


def test_a_cache_that_lies_is_found_out(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        gallery.add(embeddings(50))
        before = found(gallery)
    rows = caching.paths(tmp_path / "seen.db")[1]
    data = bytearray(rows.read_bytes())
    data[7 * 32 : 8 * 32] = bytes(32)
    rows.write_bytes(data)
    with Gallery.open(tmp_path / "seen") as gallery:
        (problem,) = gallery.check().problems
        assert "1 rows" in problem
        assert gallery.check().problems == ()
        assert found(gallery) == before


def test_a_cache_that_has_what_the_database_has_not(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        ids = gallery.add(embeddings(20)).ids
        gallery.erase(ids=ids[3:5])
    columns = caching.paths(tmp_path / "seen.db")[0]
    data = bytearray(columns.read_bytes())
    data[4096 + 3 * 16 : 4096 + 4 * 16] = data[4096:4112]
    columns.write_bytes(data)
    with Gallery.open(tmp_path / "seen") as gallery:
        assert set(found(gallery)) == {*ids[:3], *ids[5:]}
        assert gallery.check().problems == ()


def test_a_cache_of_a_past_that_is_no_more(tmp_path: Path) -> None:
    """The database comes from a backup and goes on from there, beside the cache of what was later."""
    path = tmp_path / "seen.db"
    with Gallery.open(path, card()) as gallery:
        first = gallery.add(embeddings(20)).ids
    shutil.copy(path, tmp_path / "backup")
    with Gallery.open(path) as gallery:
        gallery.erase(ids=first[:5])
        gallery.add(embeddings(30, seed=1))
        found(gallery)
    shutil.copy(tmp_path / "backup", path)
    with Gallery.open(path) as gallery:
        assert set(found(gallery)) == set(first)
    shutil.copy(tmp_path / "backup", path)
    for end in ("columns", "vectors"):
        shutil.move(f"{path}.{end}", tmp_path / end)
    with Gallery.open(path) as gallery:  # as many changes as then, but others
        gallery.erase(ids=first[5:9])
        more = gallery.add(embeddings(30, seed=2)).ids
    for end in ("columns", "vectors"):
        Path(f"{path}.{end}").unlink()
        shutil.move(tmp_path / end, f"{path}.{end}")
    for read_only in (True, False):
        with Gallery.open(path, read_only=read_only) as gallery:
            assert set(found(gallery)) == {*first[:5], *first[9:], *more}


def test_files_taken_away_from_under_a_gallery(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        ids = gallery.add(embeddings(20)).ids
        for file in caching.paths(tmp_path / "seen.db"):
            file.unlink()
        assert set(found(gallery)) == set(ids)
        gallery.erase(ids=ids[:1])
        assert unit(vectors(20))[1].tobytes() in caching.paths(tmp_path / "seen.db")[1].read_bytes()


def test_a_search_sees_one_state_whatever_others_do_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the cache and the look at the database, another program does all it can."""
    path, scanning, meanwhile = tmp_path / "seen", scan.scan, []

    def scan_then_others(*arguments: object) -> scan.Nearest:
        result = scanning(*arguments)  # type: ignore[arg-type]
        while meanwhile:
            meanwhile.pop()()
        return result

    with Gallery.open(path, card()) as gallery, Gallery.open(path) as other:
        ids = list(gallery.add(embeddings(60), identities=[f"p{at % 6}" for at in range(60)], cameras="a").ids)
        query = vectors(1)[0]
        monkeypatch.setattr(searching, "scan", scan_then_others)
        people = Filter(identities=("p1", "p2", "p3"))
        for where, do in (
            (Filter(), lambda near: other.erase(ids=near)),
            (people, lambda near: (other.erase(ids=near), other.add(embeddings(9, seed=1), cameras="a"))),
            (Filter(cameras=("a",)), lambda _: other.add(Embeddings(query[None] * 2), times=1.0, cameras="a")),
            (Filter(identities=("p1",)), lambda near: other.split("p1", near[:2], "r1")),
            (Filter(unknown=True), lambda _: other.split("p1", [other.timeline("p1")[0].id])),
            (people, lambda _: other.rename("p2", "q2")),
            (Filter(identities=("p3",)), lambda _: other.merge("p3", ["p4"])),
            (Filter(exclude_cameras=("b",)), lambda _: other.erase(ids=ids[:40])),
        ):
            before = other.search(query, 20, where)
            meanwhile.append(lambda do=do, near=[hit.record.id for hit in before[:5]]: do(near))
            hits = gallery.search(query, 20, where)
            assert not meanwhile
            assert hits == other.search(query, 20, where) != before
        assert gallery.check().problems == ()


def test_more_changes_than_a_search_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the scan found is erased before it is looked up: the scan must be made again, for more."""
    scanning, asked = scan.scan, []

    def scan_then_erase(queries, rows, k, metric, mask):  # type: ignore[no-untyped-def]
        asked.append(k)
        result = scanning(queries, rows, k, metric, mask)
        if len(asked) == 1:
            other.erase(ids=[ids[row] for row in result.rows[0]])
        return result

    with Gallery.open(tmp_path / "seen", card()) as gallery, Gallery.open(tmp_path / "seen") as other:
        ids = gallery.add(embeddings(300)).ids
        monkeypatch.setattr(searching, "scan", scan_then_erase)
        hits = gallery.search(vectors(1)[0], 3, Filter(unknown=True))
        assert asked[1] > asked[0]
        assert hits == other.search(vectors(1)[0], 3)
        assert len(gallery) == 300 - asked[0]


def test_an_index_is_used_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def indexes() -> list[Path]:
        return [path for path in tmp_path.iterdir() if ".index-" in path.name]

    query, asked = vectors(1, 16)[0], []
    scanning = scan.scan
    with Gallery.open(tmp_path / "seen", card(16)) as gallery, Gallery.open(tmp_path / "seen") as other:
        gallery.add(embeddings(500, 16))
        expected = gallery.search(query)
        monkeypatch.setattr(searching, "scan", lambda *given: (asked.append(1), scanning(*given))[1])
        gallery.index()
        asked.clear()
        assert gallery.search(query, approximate=True) == other.search(query, approximate=True) == expected
        assert not asked
        first = indexes()
        other.index()  # takes the place of the first
        assert len(indexes()) == 1 != first
        more = gallery.add(Embeddings(query[None] * 2), cameras="new").ids
        for one in (gallery, other):
            assert {hit.record.id for hit in one.search(query, 2, approximate=True)} == {*more, expected[0].record.id}
        indexes()[0].write_bytes(b"no index")
        with Gallery.open(tmp_path / "seen") as third:
            assert third.search(query, 9, approximate=True) == gallery.search(query, 9)
        assert asked


def test_the_shortlist_is_safe_against_rounding() -> None:
    """Vectors that float32 cannot order: the slack covers how wrong the order of rough distances is."""
    random = np.random.default_rng(0)
    for dim in (3, 128, 700):
        for metric, size in (("cosine", 1.0), ("euclidean", 1.0), ("euclidean", 30.0)):
            middle = random.normal(size=dim)
            rows = (size * (middle + 1e-4 * random.normal(size=(500, dim)))).astype(np.float32)
            queries = (size * (middle + 1e-4 * random.normal(size=(30, dim)))).astype(np.float32)
            if metric == "cosine":
                rows, queries = unit(rows), unit(queries)
            longest = float((rows.astype(np.float64) ** 2).sum(axis=1).max())
            for some in (queries, queries[:1]):
                near = scan.scan(some, rows, 500, metric, None)
                slack = scan.slack(some, longest, metric)
                for query, rough, found_rows, limit in zip(some, near.rough, near.rows, slack, strict=True):
                    wide = rows[found_rows].astype(np.float64)
                    q = query.astype(np.float64)
                    exact = -(wide @ q) if metric == "cosine" else ((wide - q) ** 2).sum(axis=1)
                    errors = rough - exact
                    assert errors.max() - errors.min() <= limit


def test_masks_and_many_queries_agree_with_a_plain_scan() -> None:
    random = np.random.default_rng(0)
    rows, queries = random.normal(size=(9000, 5)).astype(np.float32), random.normal(size=(25, 5)).astype(np.float32)
    mask = random.random(9000) < 0.1
    apart = ((queries[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2)
    for kept in (None, mask, np.zeros(9000, bool)):
        exact = apart if kept is None else np.where(kept, apart, np.inf)
        expected = np.where(np.sort(exact)[:, :7] < np.inf, np.argsort(exact)[:, :7], -1)
        for some in (slice(0, 25), slice(0, 2)):
            near = scan.scan(queries[some], rows, 7, "euclidean", kept)
            np.testing.assert_array_equal(near.rows, expected[some])
            np.testing.assert_allclose(near.rough, np.sort(exact)[some, :7], rtol=1e-4, atol=1e-4)


def test_a_search_without_faiss_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        monkeypatch.setitem(sys.modules, "faiss", None)
        gallery.add(embeddings(3))
        with pytest.raises(DataError, match=r"pip install 'resight\[gallery\]'"):
            gallery.search(vectors(1)[0])


def test_the_log_cannot_be_changed_unseen(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        gallery.enrol("Ann", gallery.add(embeddings(3)).ids)
        gallery.verify_log()
        db = sqlite3.connect(tmp_path / "seen.db", isolation_level=None)
        for statement in ("UPDATE events SET actor = 'me'", "DELETE FROM events WHERE number = 2"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                db.execute(statement)
        db.execute("DROP TRIGGER events_stay")
        db.execute("UPDATE events SET actor = 'me' WHERE number = 2")
        db.close()
        with pytest.raises(DataError, match="event 2"):
            gallery.verify_log()
        assert any("event 2" in problem for problem in gallery.check().problems)


@pytest.mark.parametrize("change", ["number", "time", "actor", "action", "details", "digest"])
def test_every_part_of_an_event_is_in_the_chain(change: str) -> None:
    first = log.event(None, 1.0, "a", "create", {"n": 1})
    second = log.event(first, 2.0, "b", "add", {"records": 3})
    assert log.verify([first, second]) == second
    other = {"number": 3, "time": 2.5, "actor": "c", "action": "erase", "details": {"records": 4}, "digest": "0" * 64}
    with pytest.raises(DataError, match="broken"):
        log.verify([first, type(second)(**{**vars(second), change: other[change]})])
    with pytest.raises(DataError, match="broken"):
        log.verify([second])


def test_what_is_no_gallery_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(Damaged, match=r"seen\.db"):
        Gallery.open(path)
    path.write_bytes(b"nothing of the kind " * 500)
    with pytest.raises(Damaged, match="damaged or no gallery"):
        Gallery.open(path, card())
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(DataError, match="no gallery"):
        Gallery.open(path, card())
    path.unlink()
    Gallery.open(path, card()).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(DataError, match="newer resight"):
        Gallery.open(path)


def test_a_damaged_database_gives_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    with Gallery.open(path, card(200)) as gallery:
        gallery.add(embeddings(300, 200))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = os.urandom(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    said = []
    for action in (
        lambda gallery: said.extend(gallery.check().problems),
        lambda gallery: gallery.vectors([record.id for record in gallery.records(limit=300)]),
        lambda gallery: gallery.add(embeddings(300, 200, seed=1)),
    ):
        try:
            with Gallery.open(path) as gallery:
                action(gallery)
        except ResightError as error:
            said.append(str(error))
    assert any("damaged" in sentence for sentence in said)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card(512)) as gallery:
        ids = gallery.add(embeddings(100, 512), identities="Ann").ids
        before = found(gallery)
        with files_no_larger_than((tmp_path / "seen.db").stat().st_size + 200_000):
            with pytest.raises(ResightError, match="free some space"):
                gallery.add(embeddings(3000, 512, seed=1))
            assert found(gallery) == before
        assert len(gallery) == 100
        assert gallery.add(embeddings(3000, 512, seed=1)).new == 3000
        assert gallery.get(ids)[0].identity == "Ann"
        assert gallery.check().problems == ()
    with Gallery.open(tmp_path / "small", card(512)) as gallery, files_no_larger_than(2**20):
        added = gallery.add(embeddings(100, 512))  # the record has room, the cache has not
        assert len(found(gallery)) == 100
        gallery.erase(ids=added.ids[:50])
        assert len(found(gallery)) == 50


def test_what_is_erased_on_a_full_disk_is_gone_when_there_is_room(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card(512)) as gallery:
        ids = gallery.add(embeddings(500, 512)).ids
        found(gallery)
    first, bare = [ids[0]], vectors(500, 512)[0].tobytes()
    assert bare in (tmp_path / "seen.db").read_bytes()
    half = (tmp_path / "seen.db").stat().st_size // 2  # the log has room, the file has not
    with Gallery.open(tmp_path / "seen") as gallery, files_no_larger_than(half):
        with pytest.raises(ResightError, match=r"is gone from the gallery, but its bytes are still in .*-wal"):
            gallery.erase(ids=first)
        assert len(gallery) == 499 and first[0] not in found(gallery)
    with Gallery.open(tmp_path / "seen") as gallery:
        assert len(gallery) == 499
        assert not any(bare in path.read_bytes() for path in tmp_path.glob("seen.db*"))


def test_a_database_with_no_room_left(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card(64)) as gallery:
        gallery.add(embeddings(50, 64))
        with gallery.store._connections.alone() as db:  # type: ignore[attr-defined]
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(ResightError, match="free some space"):
            gallery.add(embeddings(500, 64, seed=1))
        assert len(gallery) == len(found(gallery)) == 50
        assert gallery.log()[-1].details == {"records": 50}


FOLDER_THAT_CANNOT_BE_WRITTEN = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from resight import Gallery, ResightError
from resight.gallery.vectors.scan import faiss
from seen import card, embeddings, vectors
faiss()
folder = Path(sys.argv[1])
Gallery.open(folder / "seen", card()).add(embeddings(5))
with Gallery.open(folder / "seen") as gallery:
    gallery.search(vectors(1)[0])
closed = folder / "closed"
closed.mkdir(0o600)
for path in [*folder.iterdir(), folder]:
    path.chmod(0o555 if path == folder else 0o444)
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
before = sorted(path.name for path in folder.iterdir())
with Gallery.open(folder / "seen", read_only=True) as gallery:
    assert len(gallery.search(vectors(1)[0])) == len(gallery) == 5
for name in ("seen", "b", "closed/seen"):
    try:
        Gallery.open(folder / name, card()).add(embeddings(2, seed=1))
    except ResightError as error:
        print(error)
assert sorted(path.name for path in folder.iterdir()) == before
"""


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "it.py").write_text(FOLDER_THAT_CANNOT_BE_WRITTEN)
    with tempfile.TemporaryDirectory() as folder:  # which others may enter, as those of pytest they may not
        Path(folder).chmod(0o755)
        command = [sys.executable, tmp_path / "it.py", folder, Path(__file__).parents[2]]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3
    assert "read_only=True" in said[0]
    assert "cannot be" in said[1]
    assert "closed/seen.db cannot be opened (Permission denied)" in said[2]


@pytest.mark.parametrize("failing", ["pwrite", "fsync"])
def test_a_cache_that_cannot_be_written_keeps_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with Gallery.open(tmp_path / "seen", card(64)) as gallery:
        ids = gallery.add(embeddings(20, 64)).ids
        monkeypatch.setattr(os, failing, fail)
        assert gallery.erase(ids=ids[:5]) == 5
        assert set(found(gallery)) == set(ids[5:])
        monkeypatch.undo()
        everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert not [row for row in vectors(20, 64)[:5] if row.tobytes() in everything]
        assert not [row for row in unit(vectors(20, 64))[:5] if row.tobytes() in everything]
        assert gallery.add(embeddings(5, 64, seed=1)).new == 5
        assert len(found(gallery)) == 20
    with Gallery.open(tmp_path / "seen") as gallery:
        assert len(found(gallery)) == 20
        assert gallery.check().problems == ()


def test_another_program_that_reads_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "seen.db"
    with Gallery.open(path, card(64)) as gallery:
        ids = gallery.add(embeddings(20, 64)).ids
        monkeypatch.setattr(store, "PATIENCE", 0.1)
        with gallery.store._connections.alone() as db:  # type: ignore[attr-defined]
            db.execute("PRAGMA busy_timeout = 50")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        with pytest.raises(ResightError, match="another program reads"):
            gallery.erase(ids=ids[:1])
        assert ids[0] not in found(gallery)
        assert len(gallery) == 19
        reader.close()
        assert gallery.erase(ids=ids[:1]) == 0  # finishes
        assert vectors(20, 64)[0].tobytes() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_a_writer_that_others_wait_for(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    with Gallery.open(path, card()) as gallery:
        gallery.add(embeddings(3))
        with gallery.store._connections.alone() as db:  # type: ignore[attr-defined]
            db.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResightError, match="try again"):
            gallery.add(embeddings(3, seed=1))
        assert len(found(gallery)) == 3  # readers do not wait
        other.close()
        assert gallery.add(embeddings(3, seed=1)).new == 3


def test_many_make_the_same_gallery_at_once(tmp_path: Path) -> None:
    def work(seed: int) -> None:
        with Gallery.open(tmp_path / "deep" / "seen", card()) as gallery:
            gallery.add(embeddings(2, seed=seed))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    with Gallery.open(tmp_path / "deep" / "seen") as gallery:
        assert len(gallery) == len(found(gallery)) == 16
        assert gallery.log()[0].action == "create"
    assert not [path for path in (tmp_path / "deep").iterdir() if path.name.startswith(".")]


def test_a_closed_gallery_says_so(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "seen", card())
    gallery.close()
    gallery.close()
    for action in (lambda: len(gallery), lambda: gallery.add(embeddings(1)), lambda: gallery.search(vectors(1)[0])):
        with pytest.raises(DataError, match="closed"):
            action()


def test_every_row_that_changed_is_looked_up(tmp_path: Path) -> None:
    """A program that only reads takes what is not yet in the files from the database itself."""
    path = tmp_path / "seen.db"
    with Gallery.open(path, card()) as gallery:
        first = gallery.add(embeddings(30)).ids
        found(gallery)
        with Gallery.open(path, read_only=True) as reader:
            assert set(found(reader)) == set(first)
            files = caching.paths(path)
            kept = [file.read_bytes() for file in files]
            gallery.erase(ids=first[:3])
            more = gallery.add(embeddings(12, seed=1)).ids
            for file, data in zip(files, kept, strict=True):  # as if nobody had written there since
                with file.open("r+b") as opened:
                    opened.write(data)
            assert set(found(reader)) == {*first[3:], *more}
            with reader.store._connections.reading() as db:  # type: ignore[attr-defined]
                view = reader.store._searcher.cache.view(changes.source(db, 8), 4096)  # type: ignore[attr-defined]
                assert len(changes.touched(db, view)) == 12


@pytest.mark.long
@pytest.mark.parametrize("kills", [8])
def test_killed_at_any_moment_it_keeps_what_it_acknowledged(tmp_path: Path, kills: int) -> None:
    script = Path(__file__).with_name("kill_and_reopen.py")
    done = subprocess.run([sys.executable, script, tmp_path, str(kills), "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["kills"] == kills
    assert told["acknowledged"] > 0
    assert told["interrupted"] > 0


PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from resight import Embeddings, Gallery
from resight.gallery.vectors.scan import faiss
from seen import card, vectors
uri, points = sys.argv[1], vectors(400, 16)
stop = Path(uri + ".stop")

def write():
    with Gallery.open(uri) as gallery:
        for turn in range(25):
            gallery.add(Embeddings(points[turn * 8 : turn * 8 + 8]), identities=f"person {turn}")
            if turn % 3 == 2:
                gallery.erase(identity=f"person {turn - 1}")

def read(read_only):
    turns = 0
    with Gallery.open(uri, read_only=read_only) as gallery:
        while turns < 5 or not stop.exists():
            hits = gallery.search(points[turns % 200], 400)
            pairs = [(hit.distance, hit.record.id) for hit in hits]
            assert pairs == sorted(pairs)
            there = [hit.record for hit in hits], gallery.records(limit=400)
            for names in [[record.identity for record in records] for records in there]:
                assert all(names.count(name) == 8 for name in names), "half an action"
            turns += 1

faiss()
Gallery.open(uri, card(16)).close()
children = []
for work in (lambda: read(True), lambda: read(False), write):
    children.append(os.fork())
    if not children[-1]:
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
ended = [os.waitpid(children[-1], 0)[1]]
stop.touch()
sys.exit(any(ended + [os.waitpid(child, 0)[1] for child in children[:-1]]))
"""


def test_two_readers_and_a_writer_at_once(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, tmp_path / "program.py", tmp_path / "seen.db", Path(__file__).parents[2]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with Gallery.open(tmp_path / "seen") as gallery:
        assert len(gallery) == len(found(gallery)) == (25 - 8) * 8
        assert gallery.check().problems == ()


@pytest.mark.parametrize("how", ["renamed", "deleted", "replaced"])
def test_a_file_that_is_gone_while_it_is_open_takes_nothing_more(tmp_path: Path, how: str) -> None:
    """What was added there would be lost with the program; put back, nothing is missing."""
    path, other = tmp_path / "seen.db", tmp_path / "other.db"
    Gallery.open(tmp_path / "third", card()).close()
    with Gallery.open(path, card()) as gallery:
        gallery.add(embeddings(2))
        path.rename(other)
        if how == "replaced":
            (tmp_path / "third.db").rename(path)
        for work in (lambda: gallery.add(embeddings(3, seed=1)), gallery.records):
            with pytest.raises(ResightError, match="was renamed, deleted or replaced while"):
                work()
        if how == "renamed":
            with pytest.raises(Damaged, match=r"was copied or renamed without other\.db-wal.*its old name"):
                Gallery.open(other)
        if how == "deleted":
            other.unlink()
        else:
            other.rename(path)
            assert gallery.add(embeddings(3, seed=1)).new == 3
    if how != "deleted":
        path.rename(other)
        with Gallery.open(other) as again:
            assert len(again) == 5 and again.check().problems == ()
