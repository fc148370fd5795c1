"""Galleries copied from one place to another, on each engine and between them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from postgres_server import PostgresServer
from resight import DataError, Gallery, ModelError
from resight.cli.main import main
from resight.gallery import copying
from resight.gallery.record import Filter, Policy, Record
from resight.gallery.store import Rows
from seen import card, embeddings

NewUri = Callable[[], str]
Everything = list[tuple[Record, bytes, "bytes | None"]]


def filled(uri: str, count: int = 50) -> Gallery:
    gallery = Gallery.open(uri, card(), policy=Policy(keep_days=3), actor="porter")
    random = np.random.default_rng(0)
    pictures = [
        cv2.imencode(".png", random.integers(0, 255, (16, 8, 3)).astype(np.uint8))[1].tobytes() for _ in range(9)
    ]
    gallery.add(
        embeddings(count),
        cameras=["north", ""] * (count // 2),
        times=[None if at % 5 == 0 else 1e9 + at / 3 for at in range(count)],
        identities=["Ann", None, "Zoë"] * (count // 3) + [None] * (count % 3),
        sources=[f"a {at}.jpg" for at in range(count)],
        boxes=[None if at % 2 else (-1, 0, at + 1, 9) for at in range(count)],
        basis="consent",
        thumbnails=[pictures[at % 9] if at % 3 else None for at in range(count)],
    )
    return gallery


def everything(gallery: Gallery) -> Everything:
    records = gallery.records(limit=1000)
    vectors = gallery.vectors([record.id for record in records])
    return [(one, vector.tobytes(), gallery.thumbnail(one.id)) for one, vector in zip(records, vectors, strict=True)]


@pytest.fixture
def other(postgres: PostgresServer, tmp_path: Path, gallery_uri: str) -> str:
    """Where the copy goes: to the other engine."""
    return str(tmp_path / "copy.db") if "://" in gallery_uri else postgres.uri()


def test_a_copy_holds_the_same_and_goes_on_where_it_stopped(
    gallery_uri: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PART", 16)
    told: list[tuple[str, int, int]] = []

    def stop(what: str, done: int, total: int) -> None:
        told.append((what, done, total))
        if done == 32:
            raise KeyboardInterrupt

    with filled(gallery_uri) as source:
        with pytest.raises(KeyboardInterrupt), copying.open_target(source, other) as target:
            copying.copy(source, target, stop)
        assert told == [("copying", 16, 50), ("copying", 32, 50)]
        with copying.open_target(source, other) as target:
            assert len(target) == 32
            done = copying.copy(source, target)
            assert (done.uri, done.records, done.new) == (target.uri, 50, 18)
            assert everything(target) == everything(source)
            assert target.identities() == source.identities()
            assert target.policy == source.policy
            assert (target.log()[-1].action, target.log()[-1].details["digest"]) == ("copy", done.digest)
            again = copying.copy(source, target)
            assert (again.new, again.digest) == (0, done.digest)
        assert done.digest != hashlib.sha256().hexdigest()
    with Gallery.open(other) as target:  # and it is a gallery like any other
        hits = target.search(embeddings(50).vectors[7], 3, Filter(cameras=("",)))
        assert hits[0].record.source == "a 7.jpg"
        target.verify_log()


def test_what_differs_is_told(new_uri: NewUri) -> None:
    with filled(new_uri(), 20) as source, copying.open_target(source, new_uri()) as target:
        before = copying.copy(source, target).digest
        first, second = source.records(limit=2)
        target.erase(ids=[first.id])
        assert copying.copy(source, target, add_erased=True).digest == before  # what was missing comes again
        target.enrol("Somebody", [record.id for record in target.records(Filter(unknown=True))])
        with pytest.raises(DataError, match=r"differs between.*copy again"):
            copying.copy(source, target, add_erased=True)
        other = replace(second, id="f" * 32)
        target.erase(ids=[record.id for record in target.records()])
        target.store.add(Rows([other], source.vectors([second.id]), [None]), "me")
        with pytest.raises(DataError, match=f"holds the record {'f' * 32}, which"):
            copying.copy(source, target, add_erased=True)
        target.erase(ids=[record.id for record in target.records()])
        target.store.add(Rows([first], source.vectors([second.id]), [None]), "me")
        with pytest.raises(DataError, match=f"vector or thumbnail of record {first.id} differs"):
            copying.copy(source, target, add_erased=True)


def test_where_a_copy_cannot_go(new_uri: NewUri) -> None:
    one, two = new_uri(), new_uri()
    with filled(one, 6) as source:
        with pytest.raises(DataError, match="onto itself"):
            copying.open_target(source, one)
        Gallery.open(two, card(fingerprint="other"), policy=source.policy).close()
        with pytest.raises(ModelError, match=r"made-up"):
            copying.open_target(source, two)


def test_the_command(new_uri: NewUri, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = new_uri(), new_uri()
    filled(one, 6).close()
    monkeypatch.setattr("sys.argv", ["resight", "gallery", "copy", one, two, "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["records"], told["new"]) == (6, 6)
    with Gallery.open(two) as target:
        assert len(target) == 6
        assert told["uri"] == target.uri
