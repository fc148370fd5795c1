"""The cluster engine: writers that die half way, several writers, the bytes on the server's disk, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from milvus_server import FORGETFUL, Collections, milvus_server
from resight import DataError, Embeddings, Gallery
from resight.errors import ResightError
from resight.gallery import content
from resight.gallery.adding.thumbnails import given
from resight.gallery.milvus import near
from resight.gallery.milvus import store as engine
from resight.gallery.record import Damaged, Filter
from seen import card, embeddings, vectors


@pytest.fixture
def uri(milvus: Collections, tmp_path: Path) -> str:
    return milvus.uri(tmp_path / "objects")


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (24, 12, 3)).astype(np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()


def names(gallery: Gallery) -> dict[str, str | None]:
    return {record.id: record.identity for record in gallery.records(limit=1000)}


class Killed(BaseException):
    """The program ends here."""


class Mortal:
    """Passes calls on, until a number of those that change something is used up; then nothing is done any more."""

    CHANGES = ("create", "write", "remove", "insert", "upsert", "delete", "drop_collection", "create_collection")

    def __init__(self, inner: Any, left: list[int]) -> None:
        self._inner, self._left = inner, left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **options: Any) -> Any:
            self._left[0] -= name in self.CHANGES
            if self._left[0] < 0:
                raise Killed
            return found(*args, **options)

        return call


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Gallery]:
    """Opens a gallery in a program that is killed before its change number ``left``."""

    def opened(uri: str, left: int) -> Gallery:
        budget = [10**9]
        with monkeypatch.context() as patch:
            for name in ("open_objects", "connect"):
                real = getattr(engine, name)
                patch.setattr(engine, name, lambda place, real=real: Mortal(real(place), budget))
            gallery = Gallery.open(uri)
        budget[0] = left
        return gallery

    return opened


def test_an_action_is_done_or_not_wherever_a_writer_dies(uri: str, dying: Callable[[str, int], Gallery]) -> None:
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(8), identities=["Ann"] * 3 + ["Bob"] * 3 + [None] * 2).ids
        start = names(gallery)
    new = embeddings(3, seed=1)

    def add(gallery: Gallery) -> object:
        return gallery.add(new, identities=["Ann", "Cy", None], thumbnails=[picture(at) for at in range(3)])

    added = dict(zip(add_ids(new), ("Ann", "Cy", None), strict=True))
    after_add = start | added
    after_enrol = after_add | dict.fromkeys(ids[6:], "Dee")
    after_merge = {id: "Ann" if name == "Bob" else name for id, name in after_enrol.items()}
    after_split = after_merge | {ids[0]: None}
    after_rename = {id: "Eve" if name == "Cy" else name for id, name in after_split.items()}
    after_erase = {id: name for id, name in after_rename.items() if name != "Ann"}
    steps: list[tuple[str, Callable[[Gallery], object], dict[str, str | None]]] = [
        ("add", add, after_add),
        ("enrol", lambda one: one.enrol("Dee", ids[6:]), after_enrol),
        ("merge", lambda one: one.merge("Ann", ["Bob"]), after_merge),
        ("split", lambda one: one.split("Ann", ids[:1]), after_split),
        ("rename", lambda one: one.rename("Cy", "Eve"), after_rename),
        ("erase", lambda one: one.erase(identity="Ann"), after_erase),
    ]
    state, deaths = start, 0
    for action, act, then in steps:
        left = 0
        while state != then:
            gallery = dying(uri, left)
            try:
                act(gallery)
            except Killed:
                deaths += 1
            with Gallery.open(uri) as seen:
                assert names(seen) in (state, then)
                state = names(seen)
                events = seen.log()
                done = [event.action for event in events if event.details.get("records") != 0]
                assert done.count(action) == (
                    2 if action == "add" and state == then else state == then or action == "add"
                )
                assert seen.check().problems == ()
                seen.verify_log()
            left += 1
        assert left > 1, "nobody died in this action"
    assert deaths > 15
    assert list((Path(uri.partition("objects=")[2]) / "turns").iterdir()) == []


def add_ids(several: Embeddings) -> list[str]:
    return [content.record_id(content.of_vector(one), "", None, None) for one in several.vectors]


def test_a_killed_program_leaves_what_it_acknowledged(uri: str) -> None:
    Gallery.open(uri, card()).close()
    script = (
        "import sys; from resight import Gallery; from seen import embeddings\n"
        "gallery = Gallery.open(sys.argv[1])\n"
        "for seed in range(10_000): print(' '.join(gallery.add(embeddings(4, seed=seed)).ids), flush=True)\n"
    )
    command = [sys.executable, "-c", script, uri]
    tests = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": tests}) as program:
        assert program.stdout is not None
        told = [program.stdout.readline().split() for _ in range(3)]
        program.kill()
        told += [line.split() for line in program.stdout.read().splitlines()]
    begun = time.monotonic()
    with Gallery.open(uri) as gallery:
        assert time.monotonic() - begun < 30, "it waited for a writer that is dead"
        gallery.get([id for ids in told for id in ids])
        assert len(gallery) % 4 == 0, "half of an action is there"
        assert len(gallery) - 4 * len(told) in (0, 4)
        gallery.verify_log()


def test_two_programs_write_in_turns(uri: str) -> None:
    with Gallery.open(uri, card(), actor="one") as one, Gallery.open(uri, actor="two") as two:
        ids = one.add(embeddings(4), identities="Ann").ids
        two.rename("Ann", "Bob")
        one.add(embeddings(4), identities="Cy")  # stands there already
        assert {person.name for person in one.identities()} == {"Bob"}
        assert two.erase(ids=ids[:2]) == 2
        assert [hit.record.id for hit in one.search(vectors(4)[0])] == [
            hit.record.id for hit in two.search(vectors(4)[0])
        ]
        assert len(one) == 2
        one.enrol("Dee", one.add(embeddings(2, seed=1)).ids)
        assert [(event.actor, event.action) for event in two.log()] == [
            ("one", "create"), ("one", "add"), ("two", "rename"), ("two", "erase"), ("one", "add"), ("one", "enrol"),
        ]  # fmt: skip
        two.verify_log()


def test_a_turn_is_waited_for_and_taken_over(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.gallery.milvus import journal

    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(3)).ids
        store = gallery.store
        assert isinstance(store, engine.MilvusStore)
        head = store._journal.head()
        assert head is not None
        monkeypatch.setattr(journal, "_place", lambda: "another machine")
        turn = store._journal.take(head, journal.Intent("erase", "far away", {"records": 1}, 0, False, erased=[ids[0]]))
        assert turn is not None
        monkeypatch.undo()
        assert store._journal.take(head, turn.intent) is None  # one turn, one owner
        monkeypatch.setattr(journal, "LEASE", 0.3)
        gallery.enrol("Ann", ids[1:])
        assert [(event.actor, event.action) for event in gallery.log()[2:]] == [
            ("far away", "erase"), (gallery.actor, "enrol"),
        ]  # fmt: skip
        assert names(gallery) == dict.fromkeys(ids[1:], "Ann")
        late = journal.Turn(store._objects, 9, 0, turn.intent)
        assert late.create() and journal.Turn(store._objects, 9, 1, turn.intent).create()
        with pytest.raises(ResightError, match="took over action 9"):
            late.beat()


def test_equal_neighbours_beyond_what_the_server_gives(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "MOST", 20)
    with Gallery.open(uri, card()) as gallery:
        same = np.repeat(vectors(1), 60, axis=0)
        ids = gallery.add(Embeddings(same), times=[float(at) for at in range(60)]).ids
        other = gallery.add(embeddings(5, seed=3), times=100.0).ids
        assert [hit.record.id for hit in gallery.search(same[0], 9)] == sorted(ids)[:9]
        early = [hit.record.id for hit in gallery.search(same[0], 9, Filter(before=30.0))]
        assert early == sorted(ids[:30])[:9]
        assert {hit.record.id for hit in gallery.search(same[0], 9, Filter(after=99.0))} == set(other)


HOSTILE = [
    '" or id != "',
    "' or 1 == 1 or '",
    "\\",
    '\\"',
    '"] or identity in ["',
    "%",
    "x{y}",
    "日本 \U0001f600",
    "a\u2028b",
]


def test_names_are_only_names(uri: str) -> None:
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(len(HOSTILE)), identities=HOSTILE, cameras=HOSTILE).ids
        for name, id in zip(HOSTILE, ids, strict=True):
            for where in (Filter(identities=(name,)), Filter(cameras=(name,))):
                assert [record.id for record in gallery.records(where)] == [id]
            assert len(gallery.records(Filter(exclude_cameras=(name,)))) == len(ids) - 1
            assert [record.id for record in gallery.timeline(name)] == [id]
        assert gallery.records(Filter(identities=('a" or true',))) == []
        assert len(gallery.records(Filter(exclude_cameras=('a" or true',)))) == len(ids)
        gallery.rename(HOSTILE[0], '"); drop')
        assert gallery.erase(identity=HOSTILE[4]) == 1
        assert len(gallery) == len(ids) - 1


def test_what_is_erased_leaves_the_servers_disk(
    milvus: Collections, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert request.config.cache is not None
    programs = request.config.cache.mkdir("milvus")  # there, since another server runs already
    with milvus_server(tmp_path / "server", programs, FORGETFUL) as address:
        uri = f"milvus://{address}/gallery?objects={tmp_path / 'objects'}"
        erase_and_look(uri, tmp_path / "server")


def erase_and_look(uri: str, server: Path) -> None:
    several = embeddings(40, seed=8)
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(
            several, identities=["Ann Unforgotten", None] * 20, thumbnails=[picture(at) for at in range(40)]
        ).ids
        assert gallery.erase(identity="Ann Unforgotten") == 20
        gone = [several.vectors[at].tobytes() for at in range(0, 40, 2)]
        small = [given(picture(at), 256, "it") for at in range(0, 40, 2)]
        objects = Path(uri.partition("objects=")[2])
        kept = b"".join(path.read_bytes() for path in objects.rglob("*") if path.is_file())
        assert not any(one in kept for one in [*small, b"Unforgotten", *(id.encode() for id in ids)])
        assert given(picture(1), 256, "it") in kept
        until = time.monotonic() + 90
        while (left := [one for one in gone if one in stored(server)]) or not written(several, server):
            assert time.monotonic() < until, f"{len(left)} erased vectors are on the disk after compaction"
            time.sleep(0.3)
            more = gallery.add(
                embeddings(1), times=time.time()
            ).ids  # without new writes the server looks once a minute
            gallery.erase(ids=more)
        assert sorted(names(gallery)) == sorted(ids[1::2])


def written(several: Embeddings, folder: Path) -> bool:
    """Whether those that are kept are on the disk, so that the others would be found there."""
    found = stored(folder)
    return all(vector.tobytes() in found for vector in several.vectors[1::2])


def stored(folder: Path) -> bytes:
    """The segments of the server, without the log of messages, whose bytes go with its retention time."""
    files: Iterator[Path] = (
        path for part in ("insert_log", "delta_log", "index_files") for path in (folder / "data" / part).rglob("*")
    )
    found = []
    for path in files:
        try:
            found.append(path.read_bytes() if path.is_file() else b"")
        except FileNotFoundError:
            continue
    return b"".join(found)


def test_what_is_refused(milvus: Collections, tmp_path: Path) -> None:
    place = milvus.uri(tmp_path / "objects").partition("?")[0]
    address = place.rpartition("/")[0]
    for uri, said in (
        (place, "add \\?objects="),
        (f"{place}?objects=", "add \\?objects="),
        (f"{place}?objects=x&secret=1", "only objects and tls"),
        (f"{place.replace('//', '//me:word@')}?objects=x", "RESIGHT_MILVUS_TOKEN"),
        (f"{address}/a-b?objects=x", "names no collection"),
        (f"{address}?objects=x", "names no collection"),
        ("milvus://:1/a?objects=x", "names no collection"),
        (f"{place}?objects={tmp_path / 'nothing'}", "no gallery in"),
    ):
        with pytest.raises(DataError, match=said) as told:
            Gallery.open(uri)
        assert "word" not in str(told.value) or "://me" in uri
    with Gallery.open(f"{place}?objects={tmp_path / 'objects'}", card()) as gallery:
        gallery.add(embeddings(1))
        with pytest.raises(DataError, match="pass 32 hex digits"):
            gallery.records(after_id='" or true')
        with pytest.raises(DataError, match="longer than 65535"):
            gallery.add(embeddings(1, seed=1), sources=["x" * 70_000])
        assert len(gallery) == 1
    with pytest.raises(DataError, match="is not theirs"):
        Gallery.open(f"{place}?objects={tmp_path / 'others'}", card())
    with pytest.raises(DataError, match="belongs to the collection"):
        Gallery.open(f"{address}/another?objects={tmp_path / 'objects'}")
    about = tmp_path / "objects" / "gallery.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"policy": 3}))
    with pytest.raises(Damaged, match="damaged"):
        Gallery.open(f"{place}?objects={tmp_path / 'objects'}")


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymilvus")
    from resight.gallery.milvus import table

    monkeypatch.setattr(table, "PATIENCE", 0.5)
    with pytest.raises(ResightError, match=r"Milvus at 127\.0\.0\.1:9 .*check the server"):
        Gallery.open(f"milvus://127.0.0.1:9/a?objects={tmp_path}", card())
