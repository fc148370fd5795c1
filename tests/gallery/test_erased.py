"""What was erased is refused when it comes back, unless that is asked for; only keyed digests are kept of it."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from postgres_server import PostgresServer
from resight import DataError, Embeddings, Gallery
from resight.gallery import copying, erased
from seen import card, embeddings, vectors


def test_a_mark_is_a_keyed_digest() -> None:
    key = bytes(range(16))
    told = hmac.new(key, b"file" + hashlib.sha256(b"picture").digest(), hashlib.sha256).digest()[:16]
    assert erased.mark(key, b"file" + hashlib.sha256(b"picture").digest()) == told
    assert erased.marks([key, key[::-1]], b"content", "ab") == (
        erased.mark(key, b"content"),
        erased.mark_of_id(key, "ab"),
        erased.mark(key[::-1], b"content"),
        erased.mark_of_id(key[::-1], "ab"),
    )


def test_what_was_erased_is_refused_unless_asked(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(6), identities=["Ann", "Ann", None, None, None, None]).ids
        assert gallery.erase(identity="Ann") == 2
        again = gallery.add(embeddings(6), cameras="another")  # the same vectors elsewhere are the same content
        assert (again.new, again.known, again.refused) == (4, 0, (0, 1))
        assert len(again.ids) == 4 and len(gallery) == 8 and not set(ids[:2]) & {one.id for one in gallery.records()}
        first = Embeddings(vectors(6)[:2])
        all_refused = gallery.add(first)
        assert (all_refused.ids, all_refused.refused) == ((), (0, 1))
        back = gallery.add(first, add_erased=True)
        assert (back.new, back.ids, back.refused) == (2, ids[:2], ())
        assert gallery.add(first, cameras="a third").new == 2  # its mark is gone
        gallery.verify_log()


def test_expired_records_may_come_back(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        gallery.add(embeddings(3), expires=5.0)
        assert gallery.expire() == 3
        assert gallery.add(embeddings(3)).new == 3


def test_embeddings_of_a_source_are_known_by_it_and_by_camera_time_and_box(gallery_uri: str) -> None:
    def of(count: int) -> Embeddings:
        return Embeddings(vectors(count), paths=np.array(["a film"] * count, np.str_))

    with Gallery.open(gallery_uri, card()) as gallery:
        boxes = [(at, 0, at + 5, 9) for at in range(3)]
        ids = gallery.add(of(3), boxes=boxes).ids
        gallery.erase(ids=ids[:1])
        found = gallery.add(of(3), boxes=boxes)
        assert (found.refused, found.new, found.known) == ((0,), 0, 2)
        assert gallery.add(of(3), boxes=boxes, cameras="another").new == 3


def test_only_the_digest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    with Gallery.open(path, card()) as gallery:
        one = embeddings(1)
        (id,) = gallery.add(one, identities="Ann").ids
        gallery.erase(ids=[id])
        (key,) = gallery.store.erased.keys()
        assert gallery.store.erased.page(b"", 9) == [
            erased.mark(key, b"vector" + hashlib.sha256(one.vectors[0].astype("<f4").tobytes()).digest())
        ]
    assert one.vectors[0].tobytes() not in path.read_bytes()


def test_a_copy_refuses_the_same_also_after_another_copy_into_it(
    gallery_uri: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    other = str(tmp_path / "copy.db") if "://" in gallery_uri else postgres.uri()
    with Gallery.open(gallery_uri, card()) as source:
        source.add(embeddings(4))
        source.erase(ids=source.add(Embeddings(vectors(4)[:1])).ids)
        with copying.open_target(source, other) as target:
            copying.copy(source, target)
            copying.copy(source, target)
            assert len(target.store.erased.keys()) == 2
            assert target.add(embeddings(4)).refused == (0,)
            target.erase(ids=[one.id for one in target.records()])  # marked by the source's key
            assert target.add(embeddings(4), cameras="elsewhere").refused == (0, 1, 2, 3)
        assert source.add(embeddings(4)).refused == (0,)


def test_a_copy_brings_nobody_back_who_was_erased_from_its_target(
    gallery_uri: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    other = str(tmp_path / "copy.db") if "://" in gallery_uri else postgres.uri()
    with Gallery.open(gallery_uri, card()) as source:
        ids = source.add(embeddings(4)).ids
        with copying.open_target(source, other) as target:
            copying.copy(source, target)
            target.erase(ids=ids[:2])
            again = source.add(embeddings(4), cameras="another").ids
            for _ in range(2):  # the pictures of the two under any camera
                with pytest.raises(DataError, match=r"^4 of the records were erased from .*, and would be back: erase"):
                    copying.copy(source, target)
            assert {one.id for one in target.records()} == set(ids[2:])
            source.erase(ids=again[:2])
            done = copying.copy(source, target, add_erased=True)
            assert (done.new, done.records) == (4, 6)
            assert target.add(embeddings(4), cameras="a third").refused == (0, 1)  # erased from the source


def test_a_file_of_the_first_version_gets_marks_and_is_read_without(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    with Gallery.open(path, card()) as gallery:
        ids = gallery.add(embeddings(3)).ids
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE marks; DROP TABLE erased; DELETE FROM meta WHERE key = 'erased_keys';")
    db.close()
    with Gallery.open(path, read_only=True) as gallery:
        assert gallery.store.erased.keys() == () and gallery.store.erased.page(b"", 9) == []
        assert gallery.store.erased.of(ids) == [None] * 3
    with Gallery.open(path) as gallery:
        gallery.erase(ids=ids[:2])
        assert gallery.add(embeddings(3)).refused == (0, 1)  # by their ids
        assert gallery.add(embeddings(3), cameras="another").new == 3  # their contents were unknown
