"""Answers about pairs of records: kept on each engine, erased with a record, copied with a gallery."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from postgres_server import PostgresServer
from reference.pairs import people
from resight import DataError, Embeddings, Gallery
from resight.cli.main import main
from resight.gallery import answers, copying
from resight.gallery.deciding.asking import NEEDED, Asking
from resight.gallery.record import Answer
from resight.retrieval.ranking.distance import pairwise
from seen import card, embeddings

NewUri = Callable[[], str]


def told(gallery: Gallery) -> list[tuple[set[str], str, str]]:
    return [({one.first, one.second}, one.answer, one.actor) for one in answers.of(gallery)]


def test_an_answer_replaces_the_one_before_and_goes_with_a_record(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card(), actor="Ann") as gallery:
        a, b, c, d = gallery.add(embeddings(4), identities=["Cy", None, None, None]).ids
        assert answers.of(gallery) == []
        answers.put(gallery, a, b, "same")
        answers.put(gallery, c, b, "same")
        answers.put(gallery, d, c, "unsure")
    with Gallery.open(gallery_uri, actor="Bea") as gallery:
        answers.put(gallery, b, a, "different")
        assert told(gallery) == [({b, c}, "same", "Ann"), ({c, d}, "unsure", "Ann"), ({a, b}, "different", "Bea")]
        assert all(one.first < one.second for one in answers.of(gallery))
        events = [(event.actor, event.details) for event in gallery.log() if event.action == "answer"]
        assert events == [("Ann", {"same": 1}), ("Ann", {"same": 1}), ("Ann", {"unsure": 1}), ("Bea", {"different": 1})]
        gallery.verify_log()
        gallery.erase(identity="Cy")
        assert told(gallery) == [({b, c}, "same", "Ann"), ({c, d}, "unsure", "Ann")]
        gallery.erase(ids=[b])
        assert gallery.add(embeddings(6, seed=1)).new == 6  # two of them in the places of those that are gone
        assert told(gallery) == [({c, d}, "unsure", "Ann")]
        assert gallery.check().problems == ()
    with Gallery.open(gallery_uri, read_only=True) as gallery:
        assert len(answers.of(gallery)) == 1
        with pytest.raises(DataError, match="read"):
            answers.put(gallery, a, b, "same")


def test_what_is_no_answer_changes_nothing(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        a, b = gallery.add(embeddings(2)).ids
        last = gallery.log()[-1].number
        for wrong, message in (
            ((a, a, "same"), "one record twice"),
            ((a, b, "maybe"), "choose one of same, different, unsure"),
            ((a, "0" * 32, "same"), f"There is no record {'0' * 32}"),
            (("f" * 32, b, "same"), f"There is no record {'f' * 32}"),
            ((a, "no id", "same"), "There is no record no id"),
        ):
            with pytest.raises(DataError, match=message):
                answers.put(gallery, *wrong)
        good, bad = (Answer(*sorted((a, other)), "same", 1.0, "Ann") for other in (b, "0" * 32))
        with pytest.raises(DataError, match="There is no record"):
            gallery.store.answer([good, bad], "Ann")
        assert answers.of(gallery) == [] and gallery.log()[-1].number == last


def test_a_copy_takes_answers_along(new_uri: NewUri) -> None:
    with Gallery.open(new_uri(), card(), actor="Ann") as source:
        a, b, c = source.add(embeddings(3)).ids
        answers.put(source, a, b, "same")
        answers.put(source, a, c, "different")
        with copying.open_target(source, new_uri()) as target:
            first = copying.copy(source, target)
            assert answers.of(target) == answers.of(source) != []
            assert copying.copy(source, target).digest == first.digest
            answers.put(source, a, b, "different")
            assert copying.copy(source, target).digest != first.digest
            assert answers.of(target) == answers.of(source)
            answers.put(target, b, c, "unsure")
            with pytest.raises(DataError, match="different answers about pairs"):
                copying.copy(source, target)


def test_a_file_of_the_first_version_gets_the_table(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        a, b = gallery.add(embeddings(2)).ids
    with sqlite3.connect(tmp_path / "seen.db") as db:
        db.execute("DROP TABLE answers")
    with Gallery.open(tmp_path / "seen", read_only=True) as gallery:
        assert answers.of(gallery) == []
    with Gallery.open(tmp_path / "seen") as gallery:
        answers.put(gallery, a, b, "same")
        assert len(answers.of(gallery)) == 1
        copied = gallery.backup(tmp_path / "backup.db")
    with Gallery.open(copied) as gallery:
        assert len(answers.of(gallery)) == 1


def test_a_database_of_the_first_format_gets_the_table_and_its_rights(postgres: PostgresServer) -> None:
    uri = postgres.uri()
    with Gallery.open(uri, card()) as gallery:
        a, b = gallery.add(embeddings(2)).ids
        with postgres.connect() as db:
            db.execute("DROP ROLE IF EXISTS reviewer")
            db.execute("CREATE ROLE reviewer LOGIN")
        gallery.store.grant("reviewer", "write", "owner")
    postgres.back_to_first_format(uri)
    with Gallery.open(uri, read_only=True) as gallery:
        assert answers.of(gallery) == []
    with Gallery.open(uri):
        pass
    with Gallery.open(uri.replace("postgres@", "reviewer@"), actor="reviewer") as gallery:
        answers.put(gallery, a, b, "same")
        answers.put(gallery, a, b, "different")
        assert told(gallery) == [({a, b}, "different", "reviewer")]


def test_twenty_answers_calibrate_a_gallery(gallery_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked are pairs with thumbnails, each once; the threshold keeps the promise among all pairs."""
    images = people(np.random.default_rng(1), 14, noise=0.45)
    assert images.identities is not None
    picture = cv2.imencode(".jpg", np.zeros((8, 4, 3), np.uint8))[1].tobytes()
    with Gallery.open(gallery_uri, card(dim=16)) as gallery:
        ids = gallery.add(Embeddings(images.vectors), thumbnails=[None] + [picture] * (len(images) - 1)).ids
        who = dict(zip(ids, images.identities.tolist(), strict=True))
        asked: set[frozenset[str]] = set()
        while (asking := Asking(gallery, 1e-2, 0.8)).given() < NEEDED:
            with pytest.raises(DataError, match=f"answer {NEEDED - asking.given()} more"):
                asking.learn()
            two = asking.question()
            assert two is not None and ids[0] not in two and frozenset(two) not in asked
            asked.add(frozenset(two))
            a, b = two
            answers.put(gallery, a, b, "unsure" if len(asked) == 3 else "same" if who[a] == who[b] else "different")
        assert len(asked) == NEEDED + 1
        learnt = asking.learn()
        assert (learnt.unsure, learnt.before, learnt.false_before) == (1, None, None)
        assert learnt.same + learnt.different == NEEDED
        assert gallery.decision is None, "it is adopted by whoever asked for it"
    square = pairwise(images.vectors, images.vectors, "cosine")
    strangers = square[images.identities[:, None] != images.identities]
    assert 1e-4 <= (strangers <= learnt.decision.threshold).mean() <= 2e-2
    command = ["resight", "gallery", "calibrate", gallery_uri, "--answers"]
    monkeypatch.setattr("sys.argv", [*command, "--false-match-rate", "0.01", "--coverage", "0.8"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    with Gallery.open(gallery_uri) as gallery:
        assert gallery.decision is not None and gallery.decision.threshold == learnt.decision.threshold
        event = gallery.log()[-1]
        assert event.action == "calibrate" and event.details["answers"] == NEEDED
        assert Asking(gallery).learn().before == learnt.decision.threshold
    monkeypatch.setattr("sys.argv", [*command, "--model", "person"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2


def test_too_few_records_to_ask_about(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        gallery.add(embeddings(20))
        with pytest.raises(DataError, match="has 20 records, and calibration by answers needs 82 for"):
            Asking(gallery)
