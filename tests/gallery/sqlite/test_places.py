"""Links, other names, copies, read-only places: what a gallery's files go through, and what is left in none of them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resight import DataError, Embeddings, Gallery
from resight.gallery import record
from resight.gallery.record import Damaged, Filter, Policy
from seen import card, embeddings, vectors

DIM = 64
SECRET = vectors(5, DIM)


def holding(folder: Path, secret: bytes) -> list[str]:
    """The names of the files that hold some bytes."""
    return [file.name for file in sorted(folder.rglob("*")) if file.is_file() and secret in file.read_bytes()]


def filled(uri: Path) -> list[str]:
    with Gallery.open(uri, card(DIM, "euclidean")) as gallery:
        return list(gallery.add(Embeddings(SECRET), cameras="door", identities="Ann").ids)


def erased_everywhere(gallery: Gallery, id: str, folder: Path) -> None:
    assert gallery.search(SECRET[3], 1)[0].distance == 0
    assert gallery.erase(ids=[id]) == 1
    assert gallery.check().problems == ()
    assert holding(folder, SECRET[3].tobytes()) == []
    assert holding(folder, SECRET[2].tobytes())


def test_erased_after_it_was_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "app").mkdir()
    ids = filled(tmp_path / "disk" / "seen")
    (tmp_path / "app" / "seen.db").symlink_to(tmp_path / "disk" / "seen.db")
    with Gallery.open(tmp_path / "app" / "seen") as gallery:
        assert gallery.search(SECRET[3], 1)[0].distance == 0
        assert gallery.uri == f"sqlite:///{tmp_path}/disk/seen.db"
    with Gallery.open(tmp_path / "disk" / "seen") as gallery:
        erased_everywhere(gallery, ids[3], tmp_path)


@pytest.mark.parametrize("to", ["other.db", "elsewhere/seen.db"])
def test_erased_after_it_was_renamed(to: str, tmp_path: Path) -> None:
    ids = filled(tmp_path / "seen")
    with Gallery.open(tmp_path / "seen") as gallery:
        gallery.index()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "seen.db").rename(tmp_path / to)
    with Gallery.open(tmp_path / to) as gallery:
        erased_everywhere(gallery, ids[3], tmp_path)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("seen.db")] == []


def test_a_copy_leaves_the_files_of_the_other_alone(tmp_path: Path) -> None:
    filled(tmp_path / "seen")
    shutil.copy(tmp_path / "seen.db", tmp_path / "copy.db")
    with Gallery.open(tmp_path / "copy") as gallery:
        assert gallery.erase(identity="Ann") == 5
    assert (tmp_path / "seen.db.vectors").exists()
    with Gallery.open(tmp_path / "seen") as gallery:
        assert len(gallery) == 5


def test_a_second_name_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "seen")
    os.link(tmp_path / "seen.db", tmp_path / "other.db")
    with pytest.raises(DataError, match="2 names"):
        Gallery.open(tmp_path / "other")
    with Gallery.open(tmp_path / "other", read_only=True) as gallery:
        assert len(gallery) == 5


@pytest.mark.parametrize("action", ["rename", "merge", "split"])
def test_an_old_name_is_in_no_file(action: str, tmp_path: Path) -> None:
    name = "Somebody Whose Name Is Not Kept"
    with Gallery.open(tmp_path / "seen", card(DIM)) as gallery:
        ids = gallery.add(Embeddings(SECRET)).ids
        gallery.enrol(name, ids[:2])
        gallery.enrol("Bea", ids[2:3])
        assert holding(tmp_path, name.encode())
        if action == "rename":
            gallery.rename(name, "Cy")
        elif action == "merge":
            gallery.merge("Bea", [name])
        else:
            gallery.split(name, ids[:2])
        assert holding(tmp_path, name.encode()) == []


KILLED = """
import sys, time
from resight import Embeddings, Gallery
from seen import card, vectors
gallery = Gallery.open(sys.argv[1], card(64))
gallery.add(Embeddings(vectors(50, 64)), cameras="door")
print("done", flush=True)
time.sleep(60)
"""


def kill_a_writer(uri: Path) -> None:
    tests = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    script = [sys.executable, "-c", KILLED, str(uri)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.send_signal(signal.SIGKILL)


def test_a_copy_without_its_log_is_found_out(tmp_path: Path) -> None:
    kill_a_writer(tmp_path / "seen")
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "seen.db", tmp_path / "copy" / "seen.db")
    with pytest.raises(Damaged, match=r"without seen\.db-wal"):
        Gallery.open(tmp_path / "copy" / "seen")
    with Gallery.open(tmp_path / "copy" / "seen", read_only=True) as gallery:
        assert len(gallery) < 50
        (problem,) = gallery.check().problems
        assert "without seen.db-wal" in problem
    assert [file.name for file in (tmp_path / "copy").iterdir()] == ["seen.db"]
    with Gallery.open(tmp_path / "seen") as gallery:
        assert len(gallery) == 50
        assert gallery.check().problems == ()
    shutil.copy(tmp_path / "seen.db", tmp_path / "copy" / "seen.db")  # after a clean end it is all that there is
    with Gallery.open(tmp_path / "copy" / "seen") as gallery:
        assert len(gallery) == 50


def test_several_programs_close_and_the_file_is_whole(tmp_path: Path) -> None:
    one = Gallery.open(tmp_path / "seen", card(DIM))
    other = Gallery.open(tmp_path / "seen")
    reader = Gallery.open(tmp_path / "seen", read_only=True)
    one.add(Embeddings(SECRET))
    assert len(other) == len(reader) == 5
    reader.close()
    one.close()
    assert len(other) == 5
    other.close()
    assert not list(tmp_path.glob("seen.db-*"))
    shutil.copy(tmp_path / "seen.db", tmp_path / "copy.db")
    with Gallery.open(tmp_path / "copy") as gallery:
        assert len(gallery) == 5


def test_a_backup_is_everything_as_of_now(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card(DIM)) as gallery:
        ids = gallery.add(Embeddings(SECRET), cameras="door", identities=["Ann", None, "Bob", None, None]).ids
        assert gallery.backup(tmp_path / "backup") == tmp_path / "backup.db"
        gallery.erase(ids=ids[:1])
        with pytest.raises(DataError, match="already"):
            gallery.backup(tmp_path / "backup.db")
    assert {file.name for file in tmp_path.glob("backup*")} == {"backup.db"}
    with Gallery.open(tmp_path / "backup", read_only=True) as backup:
        assert len(backup) == 5
        assert [person.name for person in backup.identities()] == ["Ann", "Bob"]
        np.testing.assert_array_equal(backup.vectors(ids), SECRET)
        assert backup.check().problems == ()
    with Gallery.open(tmp_path / "backup") as backup:
        assert backup.search(SECRET[0], 1)[0].record.id == ids[0]
    assert (tmp_path / "seen.db.vectors").exists()


def test_what_a_killed_backup_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card(DIM)) as gallery:
        ids = gallery.add(Embeddings(SECRET), cameras="door").ids
    killed = (
        "import os, pathlib, sys, resight\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "resight.Gallery.open(sys.argv[1], read_only=True).backup(sys.argv[2])"
    )
    backups = tmp_path / "backups"
    done = subprocess.run([sys.executable, "-c", killed, str(tmp_path / "seen"), str(backups / "monday")], check=False)
    assert done.returncode == -signal.SIGKILL and len(holding(backups, SECRET.tobytes()[:256])) == 1
    with Gallery.open(tmp_path / "seen") as gallery:
        gallery.erase(ids=ids)
        gallery.backup(backups / "tuesday")
    assert not holding(tmp_path, SECRET.tobytes()[:256])
    assert [file.name for file in backups.iterdir()] == ["tuesday.db"]


def test_a_backup_leaves_the_one_that_another_program_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def after_another(source: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        gallery.backup(tmp_path / "backups" / "second")
        return source.replace(target)

    with Gallery.open(tmp_path / "seen", card(DIM)) as gallery:
        gallery.add(Embeddings(SECRET), cameras="door")
        monkeypatch.setattr(Path, "replace", after_another)
        gallery.backup(tmp_path / "backups" / "first")
    assert sorted(file.name for file in (tmp_path / "backups").iterdir()) == ["first.db", "second.db"]
    for name in ("first", "second"):
        with Gallery.open(tmp_path / "backups" / name, read_only=True) as backup:
            assert len(backup) == 5


def test_a_reader_in_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "rw").mkdir()
    (tmp_path / "ro").mkdir()
    mount = ["mount", "--bind", str(tmp_path / "rw"), str(tmp_path / "ro")]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path / "ro"], check=True)
        some = vectors(400, DIM)
        with Gallery.open(tmp_path / "rw" / "seen", card(DIM)) as gallery:
            ids = gallery.add(Embeddings(some[:200])).ids
        with Gallery.open(tmp_path / "ro" / "seen", read_only=True) as reader:
            assert reader.search(some[5], 1)[0].record.id == ids[5]
            with Gallery.open(tmp_path / "rw" / "seen") as writer:
                new = writer.add(Embeddings(some[200:]), identities="Ann").ids
                writer.erase(ids=ids[:100])
                assert len(reader) == 300
                assert reader.search(some[250], 1)[0].record.id == new[50]
                assert reader.search(some[5], 1)[0].record.id != ids[5]
                assert [person.records for person in reader.identities()] == [200]
            with Gallery.open(tmp_path / "rw" / "seen") as writer:
                writer.erase(identity="Ann")
                assert len(reader) == 100
            assert reader.check().problems == ()
    finally:
        subprocess.run(["umount", tmp_path / "ro"], check=True)


def test_a_gallery_of_the_first_version_at_rest(tmp_path: Path) -> None:
    """It has SQLite's mark of a log, and no home; and times from the beginning of a film stand there as of 1970."""
    day, uri = 86400.0, tmp_path / "seen"
    with Gallery.open(uri, card(DIM), policy=Policy(keep_days=30)) as gallery:
        ids = gallery.add(Embeddings(SECRET), times=[2.0, 4.0, 1.8e9, None, 3.0], cameras="door").ids
    with sqlite3.connect(f"{uri}.db") as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("DELETE FROM meta WHERE key = 'home'")
    db.close()
    with Gallery.open(uri, read_only=True) as gallery:
        assert len(gallery) == 5
    with Gallery.open(uri) as gallery:
        assert [record.time for record in gallery.get(ids)] == [None, None, 1.8e9, None, None]
        assert gallery.expire() == 0
        assert gallery.erase(before=1e9) == 0
        first = gallery.get(ids)[0]
        assert first.expires == pytest.approx(first.added + 30 * day)
        assert gallery.count(Filter(before=1e9)) == 0
        assert gallery.log()[-1].action == "times"
        gallery.verify_log()


def test_logins_that_the_first_version_kept_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri, address = tmp_path / "seen", "rtsp://admin:s3cret@door/1"
    with monkeypatch.context() as before:
        for module in ("adding.labels", "record"):
            before.setattr(f"resight.gallery.{module}.without_secrets", lambda text: text)
        record.camera_name.cache_clear()
        with Gallery.open(uri, card(DIM)) as gallery:
            cameras = [address, "rtsp://door/1", "yard", f"{address}2", "yard"]
            sources = [f"{address}#frame={at}" for at in range(4)] + ["film.mp4#frame=1"]
            ids = gallery.add(Embeddings(SECRET), cameras=cameras, sources=sources).ids
    record.camera_name.cache_clear()
    with sqlite3.connect(f"{uri}.db") as db:
        db.execute("DELETE FROM meta WHERE key = 'home'")
    db.close()
    assert holding(tmp_path, b"s3cret") == ["seen.db"]
    with Gallery.open(uri) as gallery:
        assert holding(tmp_path, b"s3cret") == []
        found = gallery.get(ids)
        assert [one.camera for one in found] == ["rtsp://door/1", "rtsp://door/1", "yard", "rtsp://door/12", "yard"]
        assert [one.source for one in found] == [*(f"rtsp://door/1#frame={at}" for at in range(4)), "film.mp4#frame=1"]
        assert gallery.count(Filter(cameras=("rtsp://door/1",))) == 2
        assert len(gallery.search(SECRET[0], 5, Filter(cameras=("rtsp://door/1",)))) == 2
        assert gallery.check().problems == ()
        gallery.verify_log()


FORKS = """
import os, pickle, sys
from resight import Embeddings, Gallery
from seen import card, vectors
some = vectors(9000, 64)
gallery = Gallery.open(sys.argv[1], card(64))
gallery.add(Embeddings(some[:8000]))
one, many = gallery.search(some[5], 3), gallery.search_many(some[:40], 3)
with pickle.loads(pickle.dumps(gallery)) as again:
    assert again.search(some[5], 3) == one
children = []
for child in range(2):
    if not (process := os.fork()):
        assert gallery.search(some[5], 3) == one
        assert gallery.search_many(some[:40], 3) == many
        assert gallery.add(Embeddings(some[8000 + 500 * child : 8500 + 500 * child])).new == 500
        gallery.close()
        os._exit(0)
    children.append(process)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
assert len(gallery) == 9000 and not gallery.check().problems
assert gallery.search(some[8700], 1)[0].distance == 0
"""


def test_forked_processes_and_pickles(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    script = [sys.executable, "-c", FORKS, str(tmp_path / "seen")]
    done = subprocess.run(script, capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 0, done.stderr


def test_a_link_that_leads_nowhere_and_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Gallery.open("~/seen", card()) as gallery:
        gallery.add(embeddings(1))
    assert (tmp_path / "seen.db").exists()
    (tmp_path / "dangling.db").symlink_to(tmp_path / "nowhere.db")
    with pytest.raises(DataError, match=r"There is no gallery .*with resight gallery create, in Python"):
        Gallery.open(tmp_path / "dangling")
