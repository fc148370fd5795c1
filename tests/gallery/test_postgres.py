"""The shared engine: actions cut off, killed programs and servers, rights, and the bytes in the server's files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks import cluster_kills, cluster_load
from postgres_server import PostgresServer
from reference.gallery import distance
from resight import DataError, Embeddings, Gallery
from resight.cli.main import main
from resight.errors import ResightError
from resight.gallery.record import Filter
from seen import card, embeddings, vectors

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'resight[postgres]'")


@pytest.fixture
def uri(postgres: PostgresServer) -> str:
    return postgres.uri()


class Cutter:
    """A socket between client and server that cuts one connection at a COMMIT, see :attr:`cut`."""

    def __init__(self, server: PostgresServer) -> None:
        self.folder = server.folder / "cutter"
        self.cut = ""  # "before" it is passed on, "after" it is done, or "late": it is passed on a moment later
        self._there, self._listening = str(server.folder / ".s.PGSQL.5432"), socket.socket(socket.AF_UNIX)
        self.folder.mkdir()
        self._listening.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, server = self._listening.accept()[0], socket.socket(socket.AF_UNIX)
                server.connect(self._there)
                muted = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, muted), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server, muted), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(2**16):
                if b"COMMIT" in data and self.cut:
                    how, self.cut = self.cut, ""
                    muted.set()
                    if how != "after":
                        client.shutdown(socket.SHUT_RDWR)
                    if how == "late":
                        time.sleep(0.3)
                    if how == "before":
                        break
                server.sendall(data)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(2**16)) and not muted.is_set():
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("how", ["before", "after", "late"])
def test_an_action_whose_end_is_unknown_is_done_once(
    postgres: PostgresServer, uri: str, how: str, tmp_path: Path
) -> None:
    cutter = Cutter(postgres)
    noise = np.random.default_rng(0).integers(0, 255, (3, 16, 8, 3)).astype(np.uint8)
    pictures = [cv2.imencode(".png", one)[1].tobytes() for one in noise]
    theirs = f"{uri.replace(str(postgres.folder), str(cutter.folder))}&thumbnails=file://{tmp_path}/small"
    try:
        with Gallery.open(theirs, card()) as gallery:
            ids = gallery.add(embeddings(4), identities="Ann").ids
            actions: list[tuple[Callable[[], object], object]] = [
                (lambda: gallery.add(embeddings(3, seed=1), thumbnails=pictures).new, 3),
                (lambda: gallery.enrol("Bob", gallery.add(embeddings(2, seed=2)).ids), None),
                (lambda: gallery.merge("Ann", ["Bob"]), 2),
                (lambda: gallery.erase(ids=ids[:2]), 2),
            ]
            for act, result in actions:
                cutter.cut = how
                assert act() == result
                assert cutter.cut == "", "nothing was cut"
        with Gallery.open(uri) as gallery:
            done = ["create", "add", "add", "add", "enrol", "merge", "erase"]
            assert [event.action for event in gallery.log()] == done
            assert (len(gallery), [person.records for person in gallery.identities()]) == (7, [4])
            gallery.verify_log()
            assert gallery.check().problems == ()
            gallery.purge()
            assert len([*(tmp_path / "small").rglob("*.jpg")]) == 3
    finally:
        cutter.close()


@pytest.mark.parametrize("how", ["terminated", "silent"])
def test_a_writer_that_was_overtaken_adds_once(uri: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The server ends a session in the middle of adding, at once or after silence; another writes meanwhile."""
    from resight.gallery.postgres import slots  # which needs psycopg

    real, ended = slots.put, 0

    def put(action: Any, ids: list[str]) -> None:
        nonlocal ended
        real(action, ids)
        if len(ids) == 3 and not ended:
            ended += 1
            ((process,),) = action.rows("SELECT pg_backend_pid()")
            if how == "silent":
                action.rows("SELECT set_config('idle_in_transaction_session_timeout', '50', false)")
                time.sleep(0.3)
            with Gallery.open(uri) as other:
                if how == "terminated":
                    connections = other.store._connections  # type: ignore[attr-defined]
                    connections.write(lambda one: one.rows("SELECT pg_terminate_backend(%s)", (process,)))
                assert other.add(embeddings(2, seed=5)).new == 2

    monkeypatch.setattr(slots, "put", put)
    with Gallery.open(uri, card()) as gallery:
        assert gallery.add(embeddings(3)).new == 3 and ended == 1
        assert len(gallery) == 5 and gallery.check().problems == ()
        assert [event.details["records"] for event in gallery.log() if event.action == "add"] == [2, 3]
        gallery.verify_log()


@pytest.mark.long
def test_killed_writers_and_servers_lose_nothing(postgres: PostgresServer) -> None:
    done = cluster_kills.run(postgres, kills=6, deadline=60.0, seed=1)
    assert done["writer"] and done["server"] and done["actions"]


@pytest.mark.long
def test_two_writers_and_four_readers(postgres: PostgresServer) -> None:
    done = cluster_load.run(postgres, seconds=4.0, restart=1.5)
    assert done["reads"] and done["add"] and done["restarts"]


def test_one_object_in_many_processes(uri: str) -> None:
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(5)).ids
        expected = [hit.record.id for hit in gallery.search(vectors(5)[0])]
        store = pickle.loads(pickle.dumps(gallery.store))
        assert [record.id for record in store.get(ids)] == list(ids)
        store.close()
        reader, pipe = os.pipe()
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                gallery.add(embeddings(1, seed=7))
                os.write(pipe, json.dumps([hit.record.id for hit in gallery.search(vectors(5)[0], 5)]).encode())
            os._exit(0)
        os.close(pipe)
        with os.fdopen(reader, "rb") as told:
            assert set(json.loads(told.read())) <= {*expected, *(record.id for record in gallery.records())}
        os.waitpid(child, 0)
        assert len(gallery) == 6  # and the parent's connections are whole
        gallery.close()
        with pytest.raises(DataError, match="is closed"):
            len(gallery)


def test_events_are_told_as_they_come(uri: str) -> None:
    with Gallery.open(uri, card()) as gallery, Gallery.open(uri, read_only=True) as reader:
        told = reader.follow(after=0)
        assert next(told).action == "create"
        timer = threading.Timer(0.2, lambda: gallery.add(embeddings(1)))
        timer.start()
        assert next(told).action == "add"
        timer.join()
        assert not reader.store.wait(2, 0.0)


def test_roles_have_the_rights_that_they_were_given(postgres: PostgresServer, uri: str, tmp_path: Path) -> None:
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS porter")
        db.execute("CREATE ROLE porter LOGIN")
    theirs = uri.replace("postgres@", "porter@")
    with Gallery.open(uri, card(), actor="owner") as gallery:
        ids = gallery.add(embeddings(4), identities=["Ann", "Ann", "Bob", None]).ids
        gallery.store.grant("porter", "none", "owner")
        with pytest.raises(ResightError, match=r"permission denied.*grant"):
            Gallery.open(theirs)
        actions: dict[str, list[Callable[[Gallery], object]]] = {
            "read": [lambda one: one.search(vectors(1)[0]), lambda one: one.identities(), lambda one: one.verify_log()],
            "write": [
                lambda one: one.add(embeddings(1, seed=1), identities="Cy"),
                lambda one: one.enrol("Ann", ids[3:]),
                lambda one: one.export("Bob", tmp_path / "bob"),
                lambda one: one.merge("Ann", ["Bob"]),
            ],
            "erase": [lambda one: one.erase(ids=ids[:1]), lambda one: one.erase(identity="Ann")],
            "owner": [
                lambda one: one.index(),
                lambda one: one.purge(),  # PostgreSQL would skip the tables, and the bytes stay
                lambda one: one.store.grant("porter", "erase", "porter"),
            ],
        }
        rights = list(actions)
        for right in rights[:3]:
            gallery.store.grant("porter", right, "owner")  # type: ignore[arg-type]
            with Gallery.open(theirs) as one:
                for act in actions[right]:
                    act(one)
                for act in actions[rights[rights.index(right) + 1]]:
                    with pytest.raises(
                        ResightError, match=r"permission denied|must be owner|belongs to the role postgres"
                    ):
                        act(one)
            assert (tmp_path / "bob").exists() == (right != "read"), "data went out without a line in the log"
        again = embeddings(1, seed=9)
        gallery.erase(ids=gallery.add(again).ids)
        gallery.store.grant("porter", "write", "owner")
        with Gallery.open(theirs) as one:
            assert one.add(again).refused == (0,) and one.add(again, add_erased=True).new == 1
        gallery.add(embeddings(6, seed=5), cameras=["north", "south"] * 3)
        name = uri.partition("gallery=")[2]
        with postgres.connect() as db:
            db.execute(f"ALTER TABLE {name}.records ENABLE ROW LEVEL SECURITY")
            db.execute(f"CREATE POLICY northern ON {name}.records FOR SELECT TO porter USING (camera = 'north')")
        with Gallery.open(theirs, read_only=True) as one:
            assert {hit.record.camera for hit in one.search(vectors(1)[0], 100)} == {"north"}
        given = [e.details["right"] for e in gallery.log() if e.action == "grant"]
        assert given == ["none", "read", "write", "erase", "write"]
        assert gallery.check().problems == ()
        with pytest.raises(DataError, match="no role 'nobody_here': make it with CREATE ROLE"):
            gallery.store.grant("nobody_here", "read", "me")
        with pytest.raises(DataError, match="The role postgres owns the gallery"):
            gallery.store.grant("postgres", "none", "me")
        gallery.store.grant("public", "read", "owner")
        with pytest.raises(DataError, match=r"porter has more rights .* from public"):
            gallery.store.grant("porter", "none", "owner")
        gallery.store.grant("porter", "read", "owner")
        gallery.store.grant("public", "none", "owner")
        for change in ("UPDATE events SET actor = 'x'", "DELETE FROM events", "TRUNCATE events"):
            with postgres.connect() as db, pytest.raises(Exception, match="the log only grows"):
                db.execute(change.replace("events", f"{name}.events"))


def test_erased_bytes_are_gone_after_a_purge(postgres: PostgresServer, uri: str) -> None:
    several = embeddings(40, seed=77)  # in no other gallery of this server
    name, source = "Zebedee Ximenes", "/films/very-private.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 32, 3)).astype(np.uint8)
    with Gallery.open(uri, card()) as gallery:
        pictures = [cv2.imencode(".png", one)[1].tobytes() for one in noise]
        ids = gallery.add(several, identities=[name] * 20 + ["Kept Kilroy"] * 20, sources=[source] * 20 + ["kept"] * 20,
                          thumbnails=pictures).ids  # fmt: skip
        gallery.index()
        small = [gallery.thumbnail(id) or b"" for id in ids]
        gone = [vector.tobytes() for vector in several.vectors[:20]] + [one[-80:-20] for one in small[:20]]
        gone += [name.encode(), source.encode()]
        kept = [vector.tobytes() for vector in several.vectors[20:]] + [b"Kept Kilroy"]
        assert gallery.erase(identity=name) == 20
        assert found(postgres, gone), "they are searched for in the wrong place"
        left = gallery.purge()
        assert (found(postgres, gone), len(found(postgres, kept))) == ([], len(kept))
        assert any("Backups" in sentence for sentence in left)
        assert not any(sentence.startswith(("Tables", "Write-ahead log")) for sentence in left)
        assert gallery.log()[-1].action == "purge"
        assert sorted(record.id for record in gallery.records()) == sorted(ids[20:])
        with postgres.connect() as other:
            other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
            assert any(sentence.startswith("Tables: 1 other") for sentence in gallery.purge())


def found(server: PostgresServer, several: list[bytes]) -> list[bytes]:
    """Those that are in any file of the server's folder."""
    with server.connect() as db:
        db.execute("CHECKPOINT")  # what is in memory still
    everything = b"\n".join(path.read_bytes() for path in server.data.rglob("*") if path.is_file())
    return [one for one in several if one in everything]


def test_vectors_of_any_length_and_number(new_postgres: Callable[[], str]) -> None:
    """So short that their squares are 0 in float32, and so many numbers that they lie in TOAST."""
    draw = np.random.default_rng(0)
    for dim, metric in ((8, "cosine"), (8, "euclidean"), (3000, "cosine")):
        several = draw.normal(size=(30, dim)).astype(np.float32)
        several[::3] *= np.float32(1e-30)
        several[1::3] *= np.float32(1e15)
        with Gallery.open(new_postgres(), card(dim, metric)) as gallery:
            ids = gallery.add(Embeddings(several)).ids
            np.testing.assert_array_equal(gallery.vectors(ids), several)
            apart = {id: distance(several[4], one, metric) for id, one in zip(ids, several, strict=True)}
            hits = gallery.search(several[4], 12)
            assert [hit.record.id for hit in hits] == sorted(ids, key=lambda id: (np.float32(apart[id]), id))[:12]
    with Gallery.open(new_postgres(), card(4001)) as gallery, pytest.raises(DataError, match=r"at most 4,000.*4,001"):
        gallery.index()


@pytest.fixture
def new_postgres(postgres: PostgresServer) -> Callable[[], str]:
    return postgres.uri


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_exact_search_never_takes_the_index(postgres: PostgresServer, uri: str, metric: str) -> None:
    random = np.random.default_rng(0)
    several, queries = (random.normal(size=(count, 32)).astype(np.float32) for count in (2000, 60))
    with Gallery.open(uri, card(32, metric)) as gallery:
        ids = gallery.add(Embeddings(several)).ids
        gallery.store.index()
        with postgres.connect() as db:
            db.execute(f"ANALYZE {uri.partition('gallery=')[2]}.records")
        for query, hits in zip(queries, gallery.search_many(queries, 10), strict=True):
            apart = np.linalg.norm(several - query, axis=1)
            if metric == "cosine":
                apart = -(several @ query) / np.linalg.norm(several, axis=1)
            assert {hit.record.id for hit in hits} == {ids[at] for at in np.argsort(apart)[:10]}


def test_filters_do_not_starve_an_approximate_search(uri: str) -> None:
    with Gallery.open(uri, card(16)) as gallery:
        gallery.add(embeddings(3000, dim=16), cameras=["rare" if at % 100 == 0 else "often" for at in range(3000)])
        gallery.store.index()
        assert len(gallery.search(vectors(1, dim=16)[0], 20, Filter(cameras=("rare",)), approximate=True)) == 20


def test_a_dump_restored_is_the_gallery(postgres: PostgresServer, uri: str) -> None:
    name = uri.partition("gallery=")[2]
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(6), identities=["Ann"] * 3 + [None] * 3).ids
        gallery.index()
        expected, events = gallery.search(vectors(1)[0]), gallery.log()
        dump = postgres.folder / "dump"
        postgres.run("pg_dump", "-d", postgres.address, "-n", name, "-Fc", "-f", str(dump))
        gallery.erase(ids=ids)
    with postgres.connect() as db:
        db.execute(f"DROP SCHEMA {name} CASCADE")
    postgres.run("pg_restore", "-d", postgres.address, str(dump))
    with Gallery.open(uri) as gallery:
        assert gallery.search(vectors(1)[0]) == expected
        assert gallery.log() == events
        assert gallery.add(embeddings(2, seed=1), identities="Bob").new == 2
        gallery.verify_log()
        assert gallery.check().problems == ()


@pytest.mark.long
def test_a_replica_answers_and_takes_over(postgres: PostgresServer, uri: str) -> None:
    here = str(postgres.folder)
    with Gallery.open(uri, card()) as gallery:
        gallery.add(embeddings(5))
        replica = PostgresServer(of=postgres)
        try:
            with Gallery.open(uri.replace(here, str(replica.folder)), read_only=True) as reader:
                reader.hold_vectors()
                gallery.add(embeddings(3, seed=1))
                assert reader.store.wait(2, 20.0), "the replica does not follow"
                assert reader.search(vectors(1)[0], 8) == gallery.search(vectors(1)[0], 8)
            either = uri.replace(here, f"{here},{replica.folder}") + "&target_session_attrs=read-write"
            with Gallery.open(either) as both:
                both.add(embeddings(2, seed=2))
                assert gallery.store.wait(3, 0.0)
                postgres.stop()
                replica.run("pg_ctl", "-D", str(replica.data), "promote")
                assert both.add(embeddings(2, seed=3)).new == 2
                assert len(both) == 12
                both.verify_log()
        finally:
            replica.close()
            postgres.start()


def test_tables_of_an_older_format_are_brought_up_to_date(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.gallery.postgres import making

    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(2)).ids
    monkeypatch.setattr(making, "MIGRATIONS", (*making.MIGRATIONS, "CREATE TABLE more (vector vector({dim}));"))
    monkeypatch.setattr(making, "FORMAT", making.FORMAT + 1)
    for _ in range(2):  # once only
        with Gallery.open(uri) as gallery:
            assert len(gallery.get(ids)) == 2
    monkeypatch.undo()
    with pytest.raises(DataError, match=f"format {making.FORMAT + 1}, but {making.FORMAT} is known"):
        Gallery.open(uri)


def test_the_first_format_is_updated_by_its_owner(postgres: PostgresServer, uri: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 8, 3)).astype(np.uint8)
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS guest")
        db.execute("CREATE ROLE guest LOGIN")
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(2), thumbnails=[cv2.imencode(".png", noise)[1].tobytes(), None]).ids
        picture = gallery.thumbnail(ids[0])
        gallery.store.grant("guest", "write", "owner")
    postgres.back_to_first_format(uri)
    theirs = uri.replace("postgres@", "guest@")
    with pytest.raises(DataError, match=r"is of format 1, and .* is needed: have its owner run"):
        Gallery.open(theirs)
    with Gallery.open(theirs, read_only=True) as gallery:  # which reads it as it is
        assert gallery.thumbnail(ids[0]) == picture
        assert gallery.stats().records == 2
        gallery.hold_vectors()  # it has no slots, so that the database searches
        hits = gallery.search(vectors(1)[0])
        assert gallery.check().problems == ()
    with Gallery.open(uri) as gallery:
        gallery.hold_vectors()
        assert gallery.search(vectors(1)[0]) == hits
        assert [gallery.thumbnail(id) for id in ids] == [picture, None]
        assert gallery.check().problems == ()


def test_roles_of_an_older_format_keep_their_rights(postgres: PostgresServer, uri: str) -> None:
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS keeper")
        db.execute("CREATE ROLE keeper LOGIN")
    with Gallery.open(uri, card()) as gallery:
        gallery.store.grant("keeper", "erase", "owner")
    postgres.back_to_first_format(uri)
    with Gallery.open(uri, read_only=True) as gallery:
        assert gallery.store.erased.keys() == () and gallery.store.erased.page(b"", 9) == []
    Gallery.open(uri).close()
    with Gallery.open(uri.replace("postgres@", "keeper@")) as one:
        one.erase(ids=one.add(embeddings(2)).ids)
        assert one.add(embeddings(2)).refused == (0, 1) and one.add(embeddings(2), add_erased=True).new == 2


def test_what_is_refused(postgres: PostgresServer, uri: str) -> None:
    start = postgres.address
    for wrong in (start, f"{start}&gallery=", f"{start}&gallery=Seen", f"{start}&gallery=a;b", f"{uri}&gallery=b"):
        with pytest.raises(DataError, match="names no gallery"):
            Gallery.open(wrong)
    for read_only in (False, True):
        with pytest.raises(DataError, match="no gallery at"):
            Gallery.open(uri, None if not read_only else card(), read_only=read_only)
    with postgres.connect() as db:
        db.execute("CREATE SCHEMA occupied")
    with pytest.raises(DataError, match="schema occupied, which is no gallery"):
        Gallery.open(f"{start}&gallery=occupied", card())
    with Gallery.open(uri, card()) as gallery:
        (id,) = gallery.add(embeddings(1), sources=["caf\udce9.jpg"], basis="b\udce9").ids
        assert gallery.get([id])[0].source == "caf\udce9.jpg"
        with pytest.raises(DataError, match="pass 32 hex digits"):
            gallery.records(after_id="' or true")
        with pytest.raises(DataError, match="pg_dump"):
            gallery.backup("x.db")


def test_a_password_is_in_no_message_and_no_table(postgres: PostgresServer, uri: str) -> None:
    secret = uri.replace("postgres@", "postgres:s3cret@")
    with Gallery.open(secret, card()) as gallery:
        gallery.add(embeddings(1))
        assert "s3cret" not in gallery.uri + repr(gallery.store._connections.place)  # type: ignore[attr-defined]
        with Gallery.open(gallery.uri) as again:
            assert len(again) == 1
    name = uri.partition("gallery=")[2]
    assert "s3cret" not in postgres.run("pg_dump", "-d", postgres.address, "-n", name)
    for wrong in ("postgresql://a:s3cret@127.0.0.1:9/d?gallery=b", "postgresql://a:s3cret@h/d?gallery=b&port=x",
                  "postgresql://a@127.0.0.1:9/d?gallery=b&password=s3cret"):  # fmt: skip
        with pytest.raises(ResightError) as told:
            Gallery.open(wrong)
        assert "s3cret" not in str(told.value)


def test_the_commands(postgres: PostgresServer, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS clerk")
        db.execute("CREATE ROLE clerk LOGIN")
    Gallery.open(uri, card()).close()
    Gallery.open(tmp_path / "seen", card()).close()
    for command, code, said in (
        (["grant", uri, "clerk", "read"], 0, "clerk may now read"),
        (["purge", uri, "--yes"], 0, "Backups"),
        (["log", uri], 0, "purge"),
        (["purge", str(tmp_path / "seen"), "--yes"], 0, "are gone"),
        (["grant", str(tmp_path / "seen"), "clerk", "read"], 2, "no database with roles"),
    ):
        with pytest.raises(SystemExit) as stop, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["resight", "gallery", *command])
            main()
        told = capsys.readouterr()
        assert (stop.value.code, said in told.out + told.err) == (code, True), told
