"""Objects at a URI, in a folder and in a bucket of an S3 server, and the log and turns that rest on them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limits import files_no_larger_than
from milvus_server import Collections
from resight import DataError, Gallery
from resight.errors import ResightError
from resight.gallery import log
from resight.gallery.milvus.journal import Head, Intent, Journal, Turn
from resight.gallery.milvus.objects import Bucket, Folder, Objects, open_objects
from resight.gallery.record import Damaged
from seen import card, embeddings


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URI of an empty bucket of an S3 server in this process."""
    pytest.importorskip("s3fs", reason="s3fs is not installed, so nothing here speaks to S3")
    server = pytest.importorskip("moto.server", reason="moto is not installed, so there is no S3 server to test with")
    import fsspec

    running = server.ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("seen")
        yield "s3://seen"
    running.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return open_objects(str(tmp_path / "made" / "here"))
    if request.param == "memory":
        return open_objects(f"memory://{tmp_path.name}")
    return open_objects(f"{request.getfixturevalue('s3')}/{tmp_path.name}")


def test_objects_are_written_read_and_removed(objects: Objects) -> None:
    assert objects.names("a") == []
    assert objects.read(["a/1"]) == [None]
    assert not objects.exists("a/1")
    objects.write("a/1", b"one")
    objects.write("a/b/2", b"")
    objects.write("a/1", b"uno")
    assert objects.create("c/3", b"three")
    assert not objects.create("c/3", b"four")
    assert objects.read(["c/3", "nothing", "a/1", "a/b/2"]) == [b"three", None, b"uno", b""]
    assert objects.names("a") == ["a/1", "a/b/2"]
    assert objects.exists("a/b/2")
    objects.remove(["a/1", "nothing", "a/b/2"])
    assert objects.names("a") == []
    assert objects.read(["a/1", "c/3"]) == [None, b"three"]
    again = open_objects(objects.uri)
    assert again.read(["c/3"]) == [b"three"]


def test_only_one_writer_has_a_name(objects: Objects) -> None:
    if isinstance(objects, Bucket) and objects.uri.startswith("memory"):
        pytest.skip("the memory of one process is no store for several writers")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda at: objects.create("the/name", str(at).encode() * 1000), range(24)))
    assert won.count(True) == 1
    assert objects.read(["the/name"]) == [str(won.index(True)).encode() * 1000]


def test_a_store_that_writes_over_what_is_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(f"memory://{tmp_path.name}")
    bucket.check()
    monkeypatch.setattr(
        bucket._fs, "pipe_file", lambda path, data, mode="": type(bucket._fs).pipe_file(bucket._fs, path, data)
    )
    with pytest.raises(DataError, match="conditional writes"):
        bucket.check()
    with pytest.raises(DataError, match=r"nonsense://x cannot be opened"):
        open_objects("nonsense://x")


def test_a_full_disk_leaves_no_half_object(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("a", b"old")
    with files_no_larger_than(4096):
        for act in (folder.write, folder.create):
            with pytest.raises(ResightError, match="check space and rights"):
                act("a" if act == folder.write else "b", b"x" * 100_000)
    assert folder.read(["a", "b"]) == [b"old", None]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_log_grows_by_one_event_for_each_turn(objects: Objects) -> None:
    journal = Journal(objects)
    assert journal.head() is None
    journal.begin("me", {"made": True})
    journal.begin("you", {"made": False})  # there already
    done: list[str] = []

    def finish(turn: Turn) -> dict[str, int]:
        done.append(turn.intent.action)
        return turn.intent.details

    for at in range(5):
        head = journal.settle(finish)
        turn = journal.take(head, Intent(f"act {at}", "me", {"at": at}, people=at, indexed=at > 2))
        assert turn is not None
        assert Journal(objects).take(head, turn.intent) is None
        if at == 3:
            turn.leave()  # half way: the next one finds it
        else:
            journal.done(head, turn, turn.intent.details)
    assert done == ["act 3"]
    found = Journal(objects)
    head = found.settle(finish)
    assert (head.event.number, head.people, head.indexed) == (6, 4, True)
    events = found.events(0, 100)
    assert [event.action for event in events] == ["create", *(f"act {at}" for at in range(5))]
    assert found.events(2, 3) == events[2:5]
    log.verify(events)
    assert objects.names("turns") == []
    stale = found.take(Head(events[2]), Intent("late", "me", {}, 0, False))  # that turn is long over
    assert stale is None
    assert objects.names("turns") == []
    assert list(found.missing()) == []
    objects.remove(["events/000000000003"])
    assert list(found.missing()) == [3]
    with pytest.raises(Damaged, match="event 3 of the log is missing"):
        Journal(objects).events(0, 100)


def test_a_gallery_beside_a_bucket(milvus: Collections, s3: str, tmp_path: Path) -> None:
    uri = milvus.uri(f"{s3}/{tmp_path.name}")
    import cv2
    import numpy as np

    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (24, 12, 3)).astype(np.uint8))[1].tobytes()
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(3), identities="Ann", thumbnails=[picture, None, picture]).ids
        assert [gallery.thumbnail(id) is None for id in ids] == [False, True, False]
        assert gallery.erase(ids=ids[:1]) == 1
        gallery.verify_log()
        assert gallery.check().problems == ()
        assert gallery.stats().bytes["thumbnails"] == len(gallery.thumbnail(ids[2]) or b"") > 0
    with Gallery.open(uri) as gallery:
        assert len(gallery) == 2
        assert [event.action for event in gallery.log()] == ["create", "add", "erase"]
