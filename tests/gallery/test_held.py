"""Searches of a gallery in PostgreSQL from this process's memory: the answers are the database's, whoever writes."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

import cv2
import numpy as np
import pytest

from flat import flat_model
from postgres_server import PostgresServer
from resight import Embedder, Embeddings, Gallery
from resight.errors import ResightError
from resight.gallery import answers
from resight.gallery.moving import erased_from, reembed
from resight.gallery.record import Filter
from resight.gallery.vectors.cache import View
from seen import card, embeddings, vectors

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'resight[postgres]'")

from resight.gallery.postgres import held, slots

CAMERAS, NAMES = ("north", "south", "west", ""), ("Ann", "Bob", "Cy", "Zoë")


@pytest.fixture
def uri(postgres: PostgresServer) -> str:
    return postgres.uri()


def refuse(*_: object) -> None:
    raise AssertionError("this search was the database's")


def in_memory(gallery: Gallery, most: int = 2**20) -> Gallery:
    """The same gallery, which may not search in the database any more."""

    gallery.hold_vectors(most)
    gallery.store._searcher._exactly = refuse  # type: ignore[attr-defined]
    return gallery


def rows_of(gallery: Gallery) -> np.ndarray:
    """The array that a gallery holds in memory."""
    rows: np.ndarray = gallery.store._searcher._held._cache._rows  # type: ignore[attr-defined]
    return rows


def some_filter(random: np.random.Generator) -> Filter:
    def several(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in (*names, "nobody") if random.random() < 0.4) if random.random() < 0.5 else ()

    low, high = sorted(random.uniform(-10, 110, 2).tolist())
    return Filter(
        cameras=several(CAMERAS),
        exclude_cameras=several(CAMERAS),
        after=low if random.random() < 0.3 else None,
        before=high if random.random() < 0.3 else None,
        identities=several(NAMES),
        unknown=[None, None, True, False][random.integers(4)],
    )


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def act(gallery: Gallery, other: Gallery, random: np.random.Generator, number: int) -> None:
    """One action of any kind."""
    ids = [record.id for record in gallery.records(limit=1000)]
    some = [ids[at] for at in random.permutation(len(ids))[: random.integers(1, 5)]]
    unknown = [record.id for record in gallery.records(Filter(unknown=True), limit=3)]
    people = [person.name for person in gallery.identities()]
    count = int(random.integers(1, 12))
    kind = number % 9
    if kind in (0, 1) or len(ids) < 12 or len(people) < 2 or not unknown:
        gallery.add(
            embeddings(count, seed=number),
            cameras=[CAMERAS[at] for at in random.integers(0, 4, count)],
            times=[None if at < 10 else at for at in random.uniform(0, 100, count).tolist()],
            identities=[(*NAMES, None, None)[at] for at in random.integers(0, 6, count)],
        )
    elif kind == 2:
        gallery.erase(ids=some)
    elif kind == 3:
        gallery.enrol(NAMES[number % 4], unknown)
    elif kind == 4:
        gallery.rename(people[0], f"{people[0]}*")
        gallery.rename(people[1], people[0])
    elif kind == 5:
        gallery.merge(people[0], people[1:2])
    elif kind == 6:
        members = [record.id for record in gallery.timeline(people[-1])]
        gallery.split(people[-1], members[:2], None if number % 2 else f"new {number}")
    elif kind == 7:
        answers.put(gallery, ids[0], ids[1], "same")
        gallery.erase(identity=people[0])
    else:
        noise = random.integers(0, 255, (3, 16, 8, 3)).astype(np.uint8)
        other.add(embeddings(3, seed=1000 + number), cameras="of another model", thumbnails=[png(one) for one in noise])

        def embed(pictures: list[np.ndarray]) -> Embeddings:
            return embeddings(len(pictures), seed=number)

        other.erase(ids=list(erased_from(gallery.store, other.store)))  # they do not come back
        assert reembed(other.store, gallery.store, cast(Embedder, embed), "", None).lost == ()


@pytest.mark.parametrize(("metric", "actions"), [("cosine", 27), ("euclidean", 9)])
def test_answers_are_the_databases_whoever_writes(
    postgres: PostgresServer, uri: str, metric: str, actions: int
) -> None:
    random = np.random.default_rng(0)
    most = 0
    with (
        Gallery.open(uri, card(metric=metric)) as writer,
        Gallery.open(postgres.uri(), card(metric=metric)) as other,
        Gallery.open(uri, read_only=True) as plain,
        in_memory(Gallery.open(uri, read_only=True)) as reader,
    ):
        assert reader.search(vectors(1)[0]) == []
        for number in range(actions):
            act(writer, other, random, number)
            most = max(most, len(writer))
            queries, k, where = vectors(int(random.integers(1, 4)), seed=number), int(random.integers(1, 30)), Filter()
            for _ in range(2):
                expected = plain.search_many(queries, k, where)
                assert reader.search_many(queries, k, where) == expected
                where = some_filter(random)
        many = vectors(300, seed=7)
        assert reader.search_many(many, 5, where) == plain.search_many(many, 5, where)
        assert writer.check().problems == ()
        with postgres.connect() as db:
            ((used, last),) = db.execute(
                f"SELECT count(id), max(slot) FROM {uri.partition('gallery=')[2]}.slots"
            ).fetchall()
        assert (used, last) == (len(writer), most), "slots of erased records were not used again"


def test_a_forked_process_and_its_parent_see_each_others_writes(uri: str) -> None:
    with in_memory(Gallery.open(uri, card())) as gallery, Gallery.open(uri) as plain:
        ids = gallery.add(embeddings(30)).ids
        query = vectors(30)[0]
        assert gallery.search(query)[0].record.id == ids[0]
        reader, pipe = os.pipe()
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                gallery.erase(ids=ids[:1])
                gallery.add(embeddings(2, seed=7), cameras="of the child")
                os.write(pipe, json.dumps([hit.record.id for hit in gallery.search(query, 40)]).encode())
            os._exit(0)
        os.close(pipe)
        with os.fdopen(reader, "rb") as told:
            there = json.loads(told.read())
        os.waitpid(child, 0)
        hits = gallery.search(query, 40)
        assert [hit.record.id for hit in hits] == there
        assert (len(hits), ids[0] in there) == (31, False)
        assert hits == plain.search(query, 40)


def test_threads_see_what_was_acknowledged_before_they_asked(uri: str) -> None:
    points = np.eye(14, dtype=np.float32)
    ids, gone, done = [""] * 14, [0], threading.Event()  # those before number gone[0] are erased

    def ask(seed: int) -> int:
        random, asked = np.random.default_rng(seed), 0
        while not done.is_set() or not asked:
            there = [at for at, id in enumerate(ids) if id]
            erased, at = gone[0], there[random.integers(len(there))] if there else 0
            known = ids[at]
            hits = gallery.search(points[at])
            assert not {hit.record.id for hit in hits} & {*ids[:erased]}
            assert not known or at <= gone[0] or (hits[0].record.id, hits[0].distance) == (known, 0.0)
            asked += 1
        return asked

    with Gallery.open(uri, card(14)) as gallery, Gallery.open(uri) as writer:
        gallery.hold_vectors()
        with ThreadPoolExecutor(2) as pool:
            asking = [pool.submit(ask, seed) for seed in range(2)]
            try:
                for at, point in enumerate(points):
                    (ids[at],) = writer.add(Embeddings(point[None])).ids
                    if at > 3:
                        writer.erase(ids=[ids[at - 4]])
                        gone[0] = at - 3
            finally:
                done.set()
            assert all(one.result() for one in asking)
        assert isinstance(gallery.store._searcher._held._cache.peek(), View)  # type: ignore[attr-defined]


def test_a_write_in_the_midst_of_a_search_is_seen(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query, scanning, writes = vectors(30)[0], held.scan, []

    def scan_then_others(*arguments: object) -> object:
        found = scanning(*arguments)  # type: ignore[arg-type]
        if writes:
            writes.pop()()
        return found

    monkeypatch.setattr(held, "scan", scan_then_others)
    with Gallery.open(uri, card()) as gallery, Gallery.open(uri) as writer:
        ids = writer.add(embeddings(30), identities="Ann").ids
        gallery.hold_vectors()
        writes[:] = [lambda: writer.erase(ids=ids[:1]), lambda: writer.rename("Ann", "Bob")]
        hits = gallery.search(query, 30)
        assert not writes
        assert {hit.record.id for hit in hits} == {*ids[1:]}
        assert {hit.record.identity for hit in hits} == {"Bob"}
        writes[:] = [lambda at=at: writer.add(embeddings(1, seed=at)) for at in range(10, 20)]
        assert len(gallery.search(query, 40)) == 29 + 3, "the database did not help one that others never let finish"


def test_what_is_erased_leaves_the_memory(uri: str) -> None:
    def holds(gallery: Gallery, vector: np.ndarray) -> bool:
        return bool((np.abs(rows_of(gallery) - vector / np.linalg.norm(vector)).max(axis=1) < 1e-6).any())

    with in_memory(Gallery.open(uri, card())) as gallery, Gallery.open(uri) as other:
        ids = gallery.add(embeddings(9)).ids
        gallery.search(vectors(1)[0])
        assert all(holds(gallery, one) for one in vectors(9))
        gallery.erase(ids=ids[:1])
        assert not holds(gallery, vectors(9)[0])
        other.erase(ids=ids[1:2])
        gallery.search(vectors(1)[0], where=Filter(cameras=("nowhere",)))
        assert [holds(gallery, one) for one in vectors(9)] == [False] * 2 + [True] * 7


def test_a_gallery_that_is_too_large_is_searched_in_the_database(uri: str) -> None:
    with Gallery.open(uri, card(512)) as writer, Gallery.open(uri) as gallery:
        writer.add(embeddings(100, 512))
        in_memory(gallery, 120 * 512 * 4)
        query = vectors(1, 512)[0]
        assert len(gallery.search(query, 200)) == 100
        writer.add(embeddings(20, 512, seed=1))
        with pytest.raises(AssertionError, match="the database's"):
            gallery.search(query)
        assert rows_of(gallery).base is None and len(rows_of(gallery)) == 0
        del gallery.store._searcher._exactly  # type: ignore[attr-defined]
        assert gallery.search(query, 200) == writer.search(query, 200)
        in_memory(gallery, 2**20)
        assert len(gallery.search(query, 200)) == 120
        with pytest.raises(AssertionError, match="the database's"):
            in_memory(gallery, 0).search(query)


def test_a_service_searches_from_memory(uri: str) -> None:
    pytest.importorskip("fastapi", reason="the service needs FastAPI: pip install 'resight[serve]'")
    from resight.server.service import Search, Service
    from resight.server.settings import Settings

    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 4, 3), dtype=np.uint8)
    how, embedder = Search(1, Filter(), rerank=False, approximate=False), Embedder(flat_model(8, 4), "torch")
    with Gallery.open(uri, embedder) as writer:
        for memory, refused in ((2**20, 0), (0, 5)):
            service = Service(Gallery.open(uri), embedder, Settings(memory=memory))
            service.warm_up()
            service.gallery.store._searcher._exactly = refuse  # type: ignore[attr-defined]
            for picture in pictures:
                (id,) = writer.add([picture]).ids
                try:
                    assert service.search(embedder(picture).vectors[0], how)[0].record.id == id
                except AssertionError as error:
                    assert "the database's" in str(error)
                    refused -= 1
            assert refused == 0
            service.close()


def test_changes_by_other_means(postgres: PostgresServer, uri: str) -> None:
    """Deleted with SQL, hidden by row security, restored from a back-up: the answer is the database's all the same."""
    name = uri.partition("gallery=")[2]
    query = vectors(1)[0]
    with postgres.connect() as db, Gallery.open(uri, card()) as writer:
        db.execute("DROP ROLE IF EXISTS guard")
        db.execute("CREATE ROLE guard LOGIN")
        writer.add(embeddings(20), cameras=["north", "south"] * 10)
        writer.store.grant("guard", "read", "owner")
        with Gallery.open(uri.replace("postgres@", "guard@"), read_only=True) as gallery:
            gallery.hold_vectors()
            near = gallery.search(query, 20)
            assert near == writer.search(query, 20)
            db.execute(f"DELETE FROM {name}.records WHERE id = %s", (near[0].record.id,))
            assert gallery.search(query, 20) == near[1:]
            db.execute(f"ALTER TABLE {name}.records ENABLE ROW LEVEL SECURITY")
            db.execute(f"CREATE POLICY northern ON {name}.records FOR SELECT TO guard USING (camera = 'north')")
            assert gallery.search(query, 20) == [hit for hit in near[1:] if hit.record.camera == "north"]
            db.execute(f"ALTER TABLE {name}.records DISABLE ROW LEVEL SECURITY")
            assert gallery.search(query, 20) == near[1:]
            dump = postgres.folder / "dump of held"
            postgres.run("pg_dump", "-d", postgres.address, "-n", name, "-Fc", "-f", str(dump))
            writer.add(embeddings(1, seed=5))
            assert len(gallery.search(query, 40)) == 20
            db.execute(f"DROP SCHEMA {name} CASCADE")
            postgres.run("pg_restore", "-d", postgres.address, str(dump))
            rows = rows_of(gallery)
            assert gallery.search(query, 40) == near[1:], "the log is shorter than that of the memory"
            assert rows_of(gallery) is rows, "a server that is behind was taken for one of another past"
            with Gallery.open(uri) as again:
                again.add(embeddings(3, seed=6))
                again.add(embeddings(1, seed=7))
            gallery.store._searcher._exactly = refuse  # type: ignore[attr-defined]
            with Gallery.open(uri) as again:
                assert gallery.search(query, 40) == again.search(query, 40)
                assert len(gallery.search(query, 40)) == 23


def test_a_program_without_slots_is_refused_and_a_record_without_one_reported(
    postgres: PostgresServer, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery.open(uri, card()) as gallery:
        ids = gallery.add(embeddings(3), identities="Ann").ids
        with monkeypatch.context() as older:
            for name in ("put", "touch"):
                older.setattr(slots, name, lambda *_: None)
            for action in (
                lambda: gallery.add(embeddings(2, seed=1)),
                lambda: gallery.split("Ann", ids[:1]),
                lambda: gallery.erase(ids=ids),
            ):
                with pytest.raises(ResightError, match="install a newer resight"):
                    action()
        assert len(gallery) == 3
        with postgres.connect() as db:
            db.execute(f"DELETE FROM {uri.partition('gallery=')[2]}.slots WHERE slot = 2")
        (problem,) = gallery.check().problems
        assert "1 record without a slot" in problem
