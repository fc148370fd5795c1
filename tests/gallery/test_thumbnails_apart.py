"""Thumbnails of a gallery in PostgreSQL that lie in a folder or a bucket, of a server in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from postgres_server import PostgresServer
from resight import DataError, Gallery
from resight.errors import ResightError
from resight.gallery.copying import copy, open_target
from resight.gallery.record import Damaged, Policy
from seen import card, embeddings

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'resight[postgres]'")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"file://{tmp_path}/small"


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, folder: str) -> Iterator[str]:
    """Where thumbnails are put."""
    if request.param == "folder":
        yield folder
        return
    moto = pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[s3]'")
    with moto.mock_aws():
        bucket().create(CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield "s3://seen/small"


@cache  # a client takes long to make
def bucket() -> Any:
    import boto3

    return boto3.session.Session(region_name="eu-west-1").resource("s3").Bucket("seen")


def contents(place: str) -> dict[str, bytes]:
    """All that is there, by path."""
    path = urlsplit(place).path
    if place.startswith("file"):
        return {str(one.relative_to(path)): one.read_bytes() for one in Path(path).rglob("*") if one.is_file()}
    return {one.key.partition("/")[2]: one.get()["Body"].read() for one in bucket().objects.all()}


def put(place: str, name: str, content: bytes) -> None:
    if place.startswith("file"):
        path = Path(urlsplit(place).path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    else:
        bucket().put_object(Key=f"small/{name}", Body=content)


def pictures(count: int, seed: int = 0) -> list[bytes]:
    noise = np.random.default_rng(seed).integers(0, 255, (count, 16, 8, 3)).astype(np.uint8)
    return [cv2.imencode(".png", one)[1].tobytes() for one in noise]


def test_thumbnails_are_there_and_follow_their_records(postgres: PostgresServer, place: str, tmp_path: Path) -> None:
    uri = postgres.uri()
    with Gallery.open(f"{uri}&thumbnails={place}/", card()) as gallery:
        ids = gallery.add(embeddings(6), identities=["Ann"] * 3 + [None] * 3, thumbnails=[*pictures(5), None]).ids
        assert "thumbnails" not in gallery.uri
        assert gallery.add(embeddings(6), thumbnails=[*pictures(5), None]).new == 0  # whose pictures are not kept twice
    name = uri.partition("gallery=")[2]
    with postgres.connect() as db:
        assert db.execute(f"SELECT count(*), count(content) FROM {name}.thumbnails").fetchone() == (5, 0)
    with Gallery.open(uri, read_only=True) as gallery:  # which knows the place
        small = [gallery.thumbnail(id) for id in ids]
        assert [one is None for one in small] == [False] * 5 + [True]
        assert sorted(contents(place).values()) == sorted(one for one in small if one)
        assert gallery.stats().bytes["thumbnails"] >= sum(map(len, contents(place).values()))
        assert gallery.check().problems == ()
        with open_target(gallery, tmp_path / "copy") as file:
            digest = copy(gallery, file).digest
            with open_target(file, f"{postgres.uri()}&thumbnails={place}") as back:  # beside the first one's
                assert copy(file, back).digest == digest
                assert len(contents(place)) == 10
                assert back.erase(ids=ids) == 6
        assert [gallery.thumbnail(id) for id in ids] == small
    with Gallery.open(uri) as gallery:
        gallery.erase(identity="Ann")
        assert sorted(contents(place).values()) == sorted(one for one in small[3:] if one)
        assert gallery.get(ids[3:])


def test_a_purge_sweeps_what_is_nobodys(postgres: PostgresServer, place: str) -> None:
    with Gallery.open(f"{postgres.uri()}&thumbnails={place}", card()) as gallery:
        gallery.add(embeddings(3), thumbnails=pictures(3))
        kept = contents(place)
        own = next(iter(kept)).partition("/")[0]
        others = {f"{own}/notes.txt": b"mine", f"{'0' * 32}/ab/{'ab' * 16}.jpg": b"of another gallery"}
        for name, content in {**others, f"{own}/ab/{'ab' * 16}.jpg": b"of a program that died"}.items():
            put(place, name, content)
        left = gallery.purge()
        assert contents(place) == kept | others
        assert any("bucket seen" in sentence for sentence in left) == place.startswith("s3")


def test_a_missing_thumbnail_is_named(postgres: PostgresServer, place: str) -> None:
    with Gallery.open(f"{postgres.uri()}&thumbnails={place}", card()) as gallery:
        first, second = sorted(gallery.add(embeddings(2), thumbnails=pictures(2)).ids)
        picture = gallery.thumbnail(second)
        (lost,) = (name for name, content in contents(place).items() if content != picture)
        if place.startswith("file"):
            Path(urlsplit(place).path, lost).unlink()
        else:
            bucket().Object(f"small/{lost}").delete()
        with pytest.raises(Damaged, match=rf"{first} is not in {place}/.*restore"):
            gallery.thumbnail(first)
        (problem,) = gallery.check().problems
        assert "lacks 1 thumbnails" in problem and first in problem
        assert gallery.thumbnail(second) == picture
        assert gallery.erase(ids=[first]) == 1
        assert gallery.check().problems == ()


def test_a_program_that_dies_leaves_no_row_without_its_picture_and_no_erased_one(
    postgres: PostgresServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resight.gallery.postgres.connections import Action
    from resight.gallery.postgres.folder import Folder

    uri = postgres.uri()
    with Gallery.open(f"{uri}&thumbnails={folder}", card()) as gallery:
        ids = gallery.add(embeddings(3), thumbnails=pictures(3)).ids
        kept = contents(folder)
        died(monkeypatch, Action, "note", lambda: gallery.add(embeddings(2, seed=1), thumbnails=pictures(2, seed=1)))
        assert (len(gallery), len(contents(folder))) == (3, 5)
        gallery.purge()
        assert contents(folder) == kept
        died(monkeypatch, Folder, "remove", lambda: gallery.erase(ids=ids[:2]))
        assert (len(gallery), len(contents(folder))) == (1, 3)
        assert "2 erased records" in gallery.check().problems[0]
        Gallery.open(uri, read_only=True).close()
        assert len(contents(folder)) == 3
        Gallery.open(uri).close()
        assert list(contents(folder).values()) == [gallery.thumbnail(ids[2])]
        assert gallery.check().problems == ()


def died(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, work: Callable[[], object]) -> None:
    """Work in a process that ends where it would call a method."""
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(owner, name, lambda *_: os._exit(7))
        try:
            work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_purge_waits_for_programs_that_are_adding(
    postgres: PostgresServer, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resight.gallery.postgres.folder import Folder

    uri = postgres.uri()
    with Gallery.open(f"{uri}&thumbnails={folder}", card()) as gallery, Gallery.open(uri) as other:
        written, go_on, write = threading.Event(), threading.Event(), Folder.put

        def slowly(self: Folder, contents: dict[str, bytes]) -> None:
            write(self, contents)
            written.set()
            assert go_on.wait(30)

        monkeypatch.setattr(Folder, "put", slowly)
        adding = threading.Thread(target=lambda: gallery.add(embeddings(2), thumbnails=pictures(2)))
        purging = threading.Thread(target=other.purge)
        adding.start()
        assert written.wait(30)
        purging.start()
        purging.join(0.3)
        assert purging.is_alive()
        go_on.set()
        adding.join(30)
        purging.join(30)
        assert len(contents(folder)) == 2
        assert gallery.check().problems == ()


def test_two_programs_add_the_same_at_once(postgres: PostgresServer, folder: str) -> None:
    uri = postgres.uri()
    with Gallery.open(f"{uri}&thumbnails={folder}", card()) as gallery:
        several, small = embeddings(40), pictures(40)
        threads = [threading.Thread(target=lambda: gallery.add(several, thumbnails=small)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(gallery) == len(contents(folder)) == 40
        assert gallery.check().problems == ()


def test_a_place_that_is_away(postgres: PostgresServer, folder: str, tmp_path: Path) -> None:
    uri = postgres.uri()
    with Gallery.open(f"{uri}&thumbnails={folder}", card()) as gallery:
        ids = gallery.add(embeddings(2), thumbnails=pictures(2)).ids
        (tmp_path / "small").rename(tmp_path / "away")
        with pytest.raises(ResightError, match="check that the folder is mounted"):
            gallery.add(embeddings(2, seed=1), thumbnails=pictures(2))
        with pytest.raises(ResightError, match="mount it here"):
            gallery.thumbnail(ids[0])
        with pytest.raises(ResightError, match=r"records are erased, but 1 or more.*gallery purge"):
            gallery.erase(ids=ids[:1])
        assert len(gallery) == 1
        assert not (tmp_path / "small").exists(), "written to the disk below the drive"
        Gallery.open(uri).close()  # which goes without
        (tmp_path / "away").rename(tmp_path / "small")
        gallery.purge()
        assert list(contents(folder).values()) == [gallery.thumbnail(ids[1])]


def test_a_role_that_may_erase_removes_pictures(postgres: PostgresServer, folder: str) -> None:
    uri = postgres.uri()
    with postgres.connect() as db:
        db.execute("DROP ROLE IF EXISTS eraser")
        db.execute("CREATE ROLE eraser LOGIN")
    with Gallery.open(f"{uri}&thumbnails={folder}", card()) as gallery:
        gallery.store.grant("eraser", "erase", "owner")
        with Gallery.open(uri.replace("postgres@", "eraser@")) as theirs:
            ids = theirs.add(embeddings(3), thumbnails=pictures(3)).ids
            assert theirs.erase(ids=ids[:2]) == 2
        assert list(contents(folder).values()) == [gallery.thumbnail(ids[2])]


def test_what_is_no_place(postgres: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong, why in (
        ("small", "is no place"),
        ("file://small", "is no place"),
        ("s3://", "is no place"),
        ("s3://me:s3cret@seen/small", "is no place"),
        (f"file://{tmp_path}/file", "check that the folder"),
        ("file:///a&thumbnails=file:///b", "several times"),
    ):
        uri = postgres.uri()
        with pytest.raises(ResightError, match=why) as told:
            Gallery.open(f"{uri}&thumbnails={wrong}", card())
        assert "s3cret" not in str(told.value)
        with pytest.raises(DataError, match="no gallery at"):
            Gallery.open(uri)
    Gallery.open(uri, card(), policy=Policy(keep_days=1)).close()
    with pytest.raises(DataError, match="in the database, not in file:///a"):
        Gallery.open(f"{uri}&thumbnails=file:///a")
