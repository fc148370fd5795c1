"""What a gallery does, whatever engine keeps it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

import numpy as np
import pytest

from reference.gallery import PlainGallery
from resight import DataError, Embeddings, Gallery, KReciprocal, ModelError, calibrate
from resight.embedding.files import read
from resight.errors import ResightError
from resight.gallery import answers, recall
from resight.gallery.deciding.applying import adopt
from resight.gallery.record import Conflict, Filter, Hit, Missing, Policy, moment
from resight.gallery.searching import elsewhere
from resight.retrieval.ranking.rank import topk
from seen import card, embeddings, vectors

NewUri = Callable[[], str]
FILTERS = [
    Filter(),
    Filter(cameras=("north", "south")),
    Filter(exclude_cameras=("north",)),
    Filter(after=20.0, before=70.0),
    Filter(identities=("Ann", "Zoë")),
    Filter(unknown=True),
    Filter(unknown=False, cameras=("",), after=3.0),
    Filter(cameras=("nowhere",)),
    Filter(identities=("nobody",)),
    Filter(exclude_cameras=("nowhere",)),
    Filter(exclude_cameras=("north", "")),
]


def filled(uri: str, count: int = 100, metric: str = "cosine") -> tuple[Gallery, PlainGallery]:
    """A gallery and its plain twin: some records without a camera, a time or a name."""
    gallery, plain = Gallery.open(uri, card(metric=metric)), PlainGallery(metric)
    several = embeddings(count)
    places, names = ("north", "south", "west", ""), ("Ann", "Zoë", "Bob", None, None)
    added = gallery.add(
        several,
        cameras=[places[at % 4] for at in range(count)],
        times=[None if at % 7 == 3 else float(at) for at in range(count)],
        identities=[names[at % 5] for at in range(count)],
    )
    assert added.new == count == len(gallery)
    for record, vector in zip(gallery.get(added.ids), several.vectors, strict=True):
        plain.records[record.id] = record, vector
    return gallery, plain


def pairs(hits: list[Hit]) -> list[tuple[float, str]]:
    return [(hit.distance, hit.record.id) for hit in hits]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_search_is_what_a_loop_over_all_records_finds(gallery_uri: str, metric: str) -> None:
    gallery, plain = filled(gallery_uri, metric=metric)
    with gallery:
        queries = vectors(8, seed=5)
        for where in FILTERS:
            together = gallery.search_many(queries, 7, where)
            for query, hits in zip(queries, together, strict=True):
                expected = plain.search(query, 7, where)
                assert [id for _, id in pairs(hits)] == [id for _, id in expected]
                np.testing.assert_allclose([d for d, _ in pairs(hits)], [d for d, _ in expected], rtol=1e-6)
                assert hits == gallery.search(query, 7, where)
            assert gallery.count(where) == len(plain.search(queries[0], 1000, where))
        many = gallery.search_many(vectors(40, seed=6), 3, FILTERS[1])  # so many that matrices are multiplied
        assert [pairs(hits)[0][1] for hits in many] == [
            plain.search(query, 1, FILTERS[1])[0][1] for query in vectors(40, seed=6)
        ]


def test_elsewhere_is_where_another_camera_is_known(gallery_uri: str) -> None:
    gallery, plain = filled(gallery_uri)
    with gallery:
        records = [record for record, _ in plain.records.values()]
        asked = next(record for record in records if record.camera == "north")
        found = gallery.search(gallery.vectors([asked.id])[0], 100, elsewhere(Filter(), asked))
        assert {hit.record.id for hit in found} == {one.id for one in records if one.camera in ("south", "west")}
        nowhere = next(record for record in records if not record.camera)
        with pytest.raises(DataError, match="no camera is known to be another"):
            elsewhere(Filter(), nowhere)


def test_it_agrees_with_topk(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        several, queries = embeddings(300), embeddings(20, seed=1)
        ids = gallery.add(several).ids
        ranking = topk(queries, several, 12, "cosine")
        for hits, indices, distances in zip(
            gallery.search_many(queries, 12), ranking.indices, ranking.distances, strict=True
        ):
            assert [hit.record.id for hit in hits] == [ids[at] for at in indices]
            assert [hit.distance for hit in hits] == distances.tolist()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_float32_cannot_order_is_ordered_all_the_same(gallery_uri: str, metric: str) -> None:
    """Pictures of one second of a video: all alike, so that rough distances are mostly rounding."""
    random = np.random.default_rng(0)
    alike = (10 * random.normal(size=96) + 1e-2 * random.normal(size=(320, 96))).astype(np.float32)
    with Gallery.open(gallery_uri, card(96, metric)) as gallery:
        gallery.add(Embeddings(alike[:300]))
        queries = Embeddings(alike[300:])
        for k in (1, 5):
            ranking = topk(queries, Embeddings(alike[:300]), k, metric)
            for hits, distances in zip(gallery.search_many(queries, k), ranking.distances, strict=True):
                assert [hit.distance for hit in hits] == distances.tolist()
            for query, distances in zip(alike[300:310], ranking.distances, strict=False):
                assert [hit.distance for hit in gallery.search(query, k)] == distances.tolist()


def test_equal_distances_are_ordered_by_id_and_cut_there(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        same = np.repeat(vectors(1), 60, axis=0)
        ids = gallery.add(Embeddings(same), times=[float(at) for at in range(60)]).ids
        assert len(set(ids)) == 60
        assert pairs(gallery.search(same[0], 5)) == [(0.0, id) for id in sorted(ids)[:5]]


def test_adding_twice_is_adding_once(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        several = embeddings(5)
        first = gallery.add(several, cameras="north", times=7.0, identities="Ann")
        again = gallery.add(several, cameras="north", times=7.0, identities="Bob", basis="none")
        assert (first.new, first.known, again.new, again.known) == (5, 0, 0, 5)
        assert first.ids == again.ids
        assert first.different == () and again.different == first.ids  # they keep their names, which is said
        assert gallery.add(several, cameras="north", times=7.0, identities="Ann").different == ()
        assert gallery.add(several, cameras="north", times=7.0, expires=9e9).different == first.ids
        assert {record.identity for record in gallery.get(first.ids)} == {"Ann"}
        elsewhere = gallery.add(several, cameras="south", times=7.0)
        later = gallery.add(several, cameras="north", times=8.0)
        boxed = gallery.add(several, cameras="north", times=7.0, boxes=[(0, 0, 4, 9)] * 5)
        assert elsewhere.new == later.new == boxed.new == 5
        twice = gallery.add(Embeddings(np.repeat(vectors(1, seed=9), 3, axis=0)))
        assert (twice.new, twice.known, len(twice.ids), len(set(twice.ids))) == (1, 2, 3, 1)
        same = gallery.add(Embeddings(np.repeat(vectors(1, seed=8), 3, axis=0)), identities=["Ann", "Ann", "Bob"])
        assert (same.new, same.different) == (1, same.ids[:1])
        assert all(len(id) == 32 and int(id, 16) >= 0 for id in first.ids)


def test_a_missing_name_is_no_person(tmp_path: Path) -> None:
    """However it is written; and a column of pandas counts by position, whatever its index is."""
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["Ann", None, float("nan"), pandas.NA, "Bob"], index=[4, 3, 2, 1, 0])
    times = pandas.Series([1.0, 2.0, 3.0, 4.0, 5.0], index=[9, 8, 7, 6, 5])
    with Gallery.open(tmp_path / "seen", card()) as gallery:
        records = gallery.get(gallery.add(embeddings(5), identities=names, times=times).ids)
        assert [record.identity for record in records] == ["Ann", None, None, None, "Bob"]
        assert [record.time for record in records] == [1, 2, 3, 4, 5]
        for wrong in ("nan", "None", ""):
            with pytest.raises(DataError, match=r"identity of picture 1 is '.*pass None|is empty"):
                gallery.add(embeddings(2), identities=["Ann", wrong])


def test_everything_known_of_a_record_is_kept(gallery_uri: str) -> None:
    before = time.time()
    with Gallery.open(gallery_uri, card()) as gallery:
        (id,) = gallery.add(
            embeddings(1),
            cameras=" Tür 3 ",
            times=1.5e9,
            identities="Zoe\u0308 'O\"Neil' \\%",
            sources=["a/b.mp4#frame=7"],
            boxes=[(-1, 2, 30, 40)],
            basis="consent",
            expires=2e9,
        ).ids
    with Gallery.open(gallery_uri) as gallery:
        (record,) = gallery.get([id])
        assert (record.camera, record.time, record.identity) == ("Tür 3", 1.5e9, "Zoë 'O\"Neil' \\%")
        assert (record.source, record.box) == ("a/b.mp4#frame=7", (-1, 2, 30, 40))
        assert (record.basis, record.expires) == ("consent", 2e9)
        assert before <= record.added <= time.time()
        np.testing.assert_array_equal(gallery.vectors([id]), vectors(1))
        assert gallery.thumbnail(id) is None
        assert gallery.search(vectors(1)[0])[0].record == record
        assert gallery.records(Filter(identities=("Zoë 'O\"Neil' \\%",))) == [record]


def test_names_come_and_go_with_their_records(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(6), cameras=["a", "b"] * 3, times=[5.0, 3.0, None, 1.0, 4.0, 2.0]).ids
        gallery.enrol("Ann", ids[:3])
        gallery.enrol("Ann", ids[2:4])
        gallery.enrol("Bob", ids[4:])
        ann, bob = gallery.identities()
        assert (ann.name, ann.records, ann.cameras, ann.first, ann.last) == ("Ann", 4, ("a", "b"), 1.0, 5.0)
        assert (bob.name, bob.records, bob.first) == ("Bob", 2, 2.0)
        assert [record.id for record in gallery.timeline("Ann")] == [ids[3], ids[1], ids[0], ids[2]]
        gallery.split("Ann", ids[:2], "Cy")
        gallery.split("Ann", ids[2:3])
        assert [record.identity for record in gallery.get(ids)] == ["Cy", "Cy", None, "Ann", "Bob", "Bob"]
        assert gallery.merge("Bob", ["Ann", "Cy"]) == 3
        gallery.rename("Bob", "Dee")
        assert [(person.name, person.records) for person in gallery.identities()] == [("Dee", 5)]
        gallery.enrol("Bob", ids[2:3])  # the name is free again
        gallery.split("Bob", ids[2:3])
        assert [person.name for person in gallery.identities()] == ["Dee"]
        assert gallery.timeline("Bob") == []
        assert [hit.record.identity for hit in gallery.search(vectors(6)[3], 1)] == ["Dee"]


def test_what_is_refused_changes_nothing(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(4), identities=["Ann", "Ann", "Bob", None]).ids
        there, events = gallery.records(), gallery.log()
        gone = "0" * 32
        for kind, said, action in (
            (Conflict, "the name 'Bob'", lambda: gallery.enrol("Ann", [ids[3], ids[2]])),
            (Missing, gone, lambda: gallery.enrol("Ann", [ids[3], gone])),
            (Missing, "called 'Cy'", lambda: gallery.merge("Ann", ["Bob", "Cy"])),
            (Missing, "called 'Cy'", lambda: gallery.merge("Cy", ["Bob"])),
            (DataError, "with itself", lambda: gallery.merge("Ann", ["Ann"])),
            (Conflict, "the name 'Bob'", lambda: gallery.split("Ann", [ids[0], ids[2]])),
            (Conflict, "has no name", lambda: gallery.split("Ann", [ids[3]])),
            (Conflict, "'Bob' is already in use", lambda: gallery.split("Ann", [ids[0]], "Bob")),
            (Conflict, "'Bob' is already in use", lambda: gallery.rename("Ann", "Bob")),
            (Missing, "called 'Cy'", lambda: gallery.rename("Cy", "Dee")),
            (Missing, "called 'Cy'", lambda: gallery.rename("Cy", "Cy")),
            (Missing, "called 'Cy'", lambda: gallery.erase(identity="Cy")),
            (DataError, "exactly one", lambda: gallery.erase()),
            (DataError, "exactly one", lambda: gallery.erase(identity="Ann", ids=ids)),
            (DataError, "at least one", lambda: gallery.enrol("Ann", [])),
            (DataError, "pass a list", lambda: gallery.merge("Ann", "Bob")),
            (DataError, "pass a list", lambda: gallery.erase(ids=ids[0])),
            (DataError, "empty", lambda: gallery.enrol("  ", ids)),
            (DataError, "control", lambda: gallery.enrol("A\x00", ids)),
            (DataError, "201 characters", lambda: gallery.enrol("x" * 201, ids)),
            (Missing, gone, lambda: gallery.get([ids[0], gone])),
            (Missing, gone, lambda: gallery.vectors([gone])),
            (Missing, gone, lambda: gallery.thumbnail(gone)),
            (Missing, "no id", lambda: gallery.get(["no id"])),
            (DataError, "0 neighbours", lambda: gallery.search(vectors(1)[0], 0)),
            (DataError, "2.0 neighbours", lambda: gallery.search(vectors(1)[0], 2.0)),  # type: ignore[arg-type]
            (DataError, "where is a dict", lambda: gallery.search(vectors(1)[0], 1, {"cameras": "a"})),  # type: ignore[arg-type]
            (DataError, "where is a str", lambda: gallery.count("north")),  # type: ignore[arg-type]
            (DataError, "2 queries", lambda: gallery.search(Embeddings(vectors(2)))),
            (DataError, "cameras for 2", lambda: gallery.add(embeddings(2), cameras=["a"] * 3)),
            (DataError, "control", lambda: gallery.add(embeddings(2), cameras="a\nb")),
            (DataError, "time of picture 1", lambda: gallery.add(embeddings(2, seed=3), times=[1.0, float("nan")])),
            (DataError, "box of picture 0", lambda: gallery.add(embeddings(1, seed=3), boxes=[(4, 0, 4, 9)])),
            (DataError, "length zero", lambda: gallery.add(Embeddings(np.zeros((1, 8), np.float32)))),
            (DataError, "dimensions", lambda: gallery.search(vectors(1, dim=9)[0])),
            (DataError, "is the text", lambda: gallery.records(Filter(cameras="north"))),  # type: ignore[arg-type]
            (DataError, "ids holds a Record", lambda: gallery.erase(ids=gallery.records())),  # type: ignore[arg-type]
            (DataError, "before is '2026': pass sec", lambda: gallery.erase(before="2026")),  # type: ignore[arg-type]
        ):
            with pytest.raises(kind, match=said):
                action()
        assert gallery.records() == there
        assert gallery.log() == events
        assert gallery.erase(ids=[gone]) == 0


def test_erasing_by_identity_ids_and_time(gallery_uri: str) -> None:
    gallery, plain = filled(gallery_uri)
    with gallery:
        query = vectors(1, seed=5)[0]
        ann = plain.of("Ann")
        assert gallery.erase(identity="Ann") == plain.erase(ann) == 20
        old = [id for id, (record, _) in plain.records.items() if record.time is not None and record.time < 30]
        assert gallery.erase(before=30.0) == plain.erase(old) == len(old)
        some = list(plain.records)[:9]
        assert gallery.erase(ids=[*some, some[0], ann[0]]) == plain.erase(some) == 9
        assert len(gallery) == len(plain.records)
        assert {person.name for person in gallery.identities()} == plain.names()
        for id in [*ann, *old, *some]:
            with pytest.raises(Missing):
                gallery.get([id])
        assert [id for _, id in pairs(gallery.search(query, 1000))] == [
            id for _, id in plain.search(query, 1000, Filter())
        ]
        assert [(e.action, e.details["records"]) for e in gallery.log()[-3:]] == [
            ("erase", 20),
            ("erase", len(old)),
            ("erase", 9),
        ]
        again = gallery.add(embeddings(100), cameras="new", add_erased=True)
        assert again.new == 100
        assert gallery.check().problems == ()


def test_records_expire_by_their_own_date_or_the_policy(new_uri: NewUri) -> None:
    with Gallery.open(new_uri(), card(), policy=Policy(keep_days=2)) as gallery:
        now = time.time()
        added, again = (gallery.add(embeddings(3), times=[now - 3 * 86400, now - 86400, None]) for _ in range(2))
        ids = added.ids
        assert (added.expired, again.expired) == (1, 0)
        (own,) = gallery.add(embeddings(1, seed=1), times=now - 3 * 86400, expires=now + 9e9).ids
        assert gallery.stats().expiring == 3
        assert gallery.expire() == 1
        assert gallery.expire() == 0
        assert {record.id for record in gallery.records()} == {*ids[1:], own}
        assert gallery.expire(now + 3 * 86400) == 2
        assert [record.id for record in gallery.records()] == [own]
        assert [event.action for event in gallery.log()][-2:] == ["expire", "expire"]
    with Gallery.open(new_uri(), card()) as gallery:
        gallery.add(embeddings(3), times=np.float32(0))
        assert gallery.expire(1e11) == 0 and gallery.stats().first == 0


def test_names_that_are_no_utf8_say_so(new_uri: NewUri) -> None:
    with Gallery.open(new_uri(), card()) as gallery:
        for labels in ({"cameras": "caf\udce9"}, {"identities": "caf\udce9"}):
            with pytest.raises(DataError, match=r"is 'caf..xe9', which is no UTF-8: rename"):
                gallery.add(embeddings(1), **labels)


def test_it_belongs_to_one_model(gallery_uri: str) -> None:
    with pytest.raises(DataError, match="no gallery"):
        Gallery.open(gallery_uri)
    with Gallery.open(gallery_uri, card()) as gallery:
        gallery.add(embeddings(2))
        with pytest.raises(ModelError, match=r"other.*made-up.*reembed"):
            gallery.add(Embeddings(vectors(1), fingerprint="other"))
        with pytest.raises(ModelError, match="other"):
            gallery.search(Embeddings(vectors(1), fingerprint="other"))
    for other in (card(fingerprint="other"), card(dim=9), card(metric="euclidean")):
        with pytest.raises(ModelError, match=r"made-up.*reembed"):
            Gallery.open(gallery_uri, other)
    with pytest.raises(DataError, match="keep_days"):
        Gallery.open(gallery_uri, policy=Policy(keep_days=1))
    with pytest.raises(ModelError, match="no fingerprint"):
        Gallery.open(gallery_uri, card(fingerprint=""))
    with Gallery.open(gallery_uri) as gallery:
        assert gallery.card == card()
        assert gallery.decision is None
        with pytest.raises(ModelError, match=r"model=, or search by embedding"):
            gallery.search(np.zeros((8, 4, 3), np.uint8))


def test_read_only_reads_only(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(4), identities="Ann").ids
        with Gallery.open(gallery_uri, read_only=True) as reader:
            assert len(reader.search(vectors(1)[0])) == len(reader) == 4
            for action in (
                lambda: reader.add(embeddings(2, seed=1)),
                lambda: reader.erase(ids=ids),
                lambda: reader.rename("Ann", "Bob"),
                lambda: reader.index(),
            ):
                with pytest.raises(DataError, match="reading only"):
                    action()
            more = gallery.add(embeddings(3, seed=2)).ids  # and it sees what others do
            gallery.erase(ids=ids[:1])
            assert len(reader.search(vectors(1)[0])) == 6
            assert reader.search(vectors(3, seed=2)[1])[0].record.id == more[1]


def test_pages_go_through_all_records_once(gallery_uri: str) -> None:
    gallery, plain = filled(gallery_uri)
    with gallery:
        for where in FILTERS:
            found, after = [], ""
            while page := gallery.records(where, limit=7, after_id=after):
                assert len(page) <= 7
                found += page
                after = page[-1].id
            expected = {id for _, id in plain.search(vectors(1)[0], 1000, where)}
            assert [record.id for record in found] == sorted(expected)


def test_the_log_is_a_chain_without_names(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card(), actor="the porter") as gallery:
        ids = gallery.add(embeddings(5), cameras="north", sources=["Ann.jpg"] * 5).ids
        gallery.enrol("Ann Smith", ids[:2])
        gallery.enrol("Bob", ids[2:4])
        gallery.rename("Bob", "Bobby")
        gallery.merge("Ann Smith", ["Bobby"])
        gallery.split("Ann Smith", ids[:1])
        gallery.erase(identity="Ann Smith")
        events = gallery.log()
        assert [event.action for event in events] == [
            "create", "add", "enrol", "enrol", "rename", "merge", "split", "erase",
        ]  # fmt: skip
        assert [event.number for event in events] == list(range(1, 9))
        assert {event.actor for event in events} == {"the porter"}
        text = json.dumps([vars(event) for event in events])
        assert not any(word in text for word in ("Ann", "Bob", "north", *ids))
        assert len({json.dumps(event.details["identity"]) for event in events[2:4]}) == 2
        assert gallery.log(after=3, limit=2) == events[3:5]
        gallery.verify_log()


def test_hits_say_what_distances_mean(new_uri: NewUri) -> None:
    people = np.repeat(np.arange(1, 31), 4)
    random = np.random.default_rng(0)
    points = (random.normal(size=(31, 8))[people] + 0.4 * random.normal(size=(120, 8))).astype(np.float32)
    known = Embeddings(points, identities=people, cameras=np.tile([1, 2], 60), fingerprint="made-up")
    decision = calibrate((known.take(np.arange(0, 120, 2)), known.take(np.arange(1, 120, 2))), metric="cosine")
    gallery_uri = new_uri()
    with Gallery.open(gallery_uri, card()) as gallery:
        gallery.add(known)
        assert gallery.search(points[0])[0].decision is None
        assert {record.camera for record in gallery.records()} == {"1", "2"}
        assert gallery.identities() == []
    calibrated = card().model_copy(update={"decision": decision.plain(), "threshold": decision.threshold})
    with Gallery.open(gallery_uri, calibrated) as gallery:  # the same model, calibrated since
        assert gallery.decision is None
        with pytest.raises(ModelError, match="calibrate again"):
            adopt(gallery.store, replace(decision, fingerprint="other"), "Ann")
        adopt(gallery.store, decision, "Ann")
        assert [event.action for event in gallery.log()] == ["create", "add", "calibrate"]
    with Gallery.open(gallery_uri) as gallery:
        assert gallery.decision == decision
        hits = gallery.search(points[0], 120)
        assert [hit.decision for hit in hits] == [decision.decide(hit.distance) for hit in hits]
        assert [hit.probability for hit in hits] == [decision.probability(hit.distance) for hit in hits]
        assert {hit.decision for hit in hits} == {"match", "no match", "unsure"}
    wrong = calibrated.model_copy(update={"fingerprint": "other"})
    with pytest.raises(ModelError, match="calibrate again"):
        Gallery.open(new_uri(), wrong)


def test_reranking_orders_the_shortlist(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        several, query = embeddings(80), embeddings(1, seed=4)
        ids = gallery.add(several).ids
        how = KReciprocal(k1=8, k2=3)
        plain, ordered = gallery.search(query, 80), gallery.search(query, 80, rerank=how)
        near = [ids.index(hit.record.id) for hit in plain]
        ranking = topk(query, several.take(near), 80, "cosine", rerank=how)  # of all 80, the nearest first
        assert [hit.record.id for hit in ordered] == [ids[near[at]] for at in ranking.indices[0]]
        assert ordered != plain
        assert sorted(pairs(ordered)) == pairs(plain)
        assert gallery.search(query, 5, rerank=how) == ordered[:5]


def test_export_holds_one_person_and_nobody_else(gallery_uri: str, tmp_path: Path) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(5), identities=["Ann", "Bob"] * 2 + ["Ann"], times=[3.0, 2.0, 1.0, 0.0, 2.0]).ids
        for other in (ids[2], ids[1]):
            answers.put(gallery, ids[0], other, "same")
        folder = gallery.export("Ann", tmp_path / "out" / "ann")
        content = json.loads((folder / "records.json").read_text())
        assert [record["id"] for record in content["records"]] == [ids[2], ids[4], ids[0]]
        assert content["identity"] == "Ann"
        assert [{one["first"], one["second"]} for one in content["answers"]] == [{ids[0], ids[2]}]
        assert "Bob" not in (folder / "records.json").read_text()
        saved = read(folder / "vectors.npz")
        np.testing.assert_array_equal(saved.vectors, vectors(5)[[2, 4, 0]])
        assert saved.paths is not None
        assert saved.paths.tolist() == [ids[2], ids[4], ids[0]]
        assert gallery.log()[-1].action == "export"
        with pytest.raises(DataError, match="there already"):
            gallery.export("Ann", folder)
        with pytest.raises(Missing):
            gallery.export("Cy", tmp_path / "cy")
        assert not (tmp_path / "cy").exists()
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ann"]


def test_the_numbers_of_a_gallery(gallery_uri: str) -> None:
    gallery, plain = filled(gallery_uri)
    with gallery:
        stats = gallery.stats()
        times = [record.time for record, _ in plain.records.values() if record.time is not None]
        assert (stats.records, stats.identities, stats.unknown) == (100, 3, 40)
        assert stats.cameras == {"": 25, "north": 25, "south": 25, "west": 25}
        assert (stats.first, stats.last, stats.expiring) == (min(times), max(times), 0)
        assert (stats.model, stats.dim, stats.metric) == ("made-up", 8, "cosine")
        assert sum(stats.bytes.values()) >= 100 * 8 * 4


def test_an_empty_gallery_finds_nothing(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        assert gallery.search(vectors(1)[0]) == []
        assert gallery.search_many(vectors(30)) == [[]] * 30
        assert gallery.search(vectors(1)[0], approximate=True) == []
        assert gallery.records() == gallery.identities() == []
        assert gallery.index().records == 0
        assert (len(gallery), gallery.expire(), gallery.erase(before=1.0)) == (0, 0, 0)
        gallery.erase(ids=gallery.add(embeddings(1)).ids)
        assert gallery.search(vectors(1)[0]) == []


def test_an_approximate_search_finds_most_and_nothing_that_is_gone(
    gallery_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "QUERIES", 40)
    with Gallery.open(gallery_uri, card(dim=32)) as gallery:
        several = embeddings(1500, dim=32)
        ids = gallery.add(several, cameras=["north", "south", "west"] * 500).ids
        index = gallery.index()
        assert index.records == 1500
        assert index.recall > 0.9
        more = gallery.add(embeddings(100, dim=32, seed=1), cameras="north").ids  # after it was built
        gallery.erase(ids=ids[:200])
        replaced = gallery.add(embeddings(50, dim=32, seed=2), cameras="south").ids
        queries = Embeddings(several.vectors[::25] + 0.1 * vectors(60, dim=32, seed=3))
        for where in (Filter(), Filter(cameras=("north",)), Filter(exclude_cameras=("north",))):
            exact, rough = (gallery.search_many(queries, 10, where, approximate=way) for way in (False, True))
            found = [len(set(map(repr, one)) & set(map(repr, other))) for one, other in zip(exact, rough, strict=True)]
            assert np.mean(found) > 9
            for hits in rough:
                assert not {hit.record.id for hit in hits} & set(ids[:200])
                assert pairs(hits) == sorted(pairs(hits))
        for new, query in ((more, embeddings(100, dim=32, seed=1)), (replaced, embeddings(50, dim=32, seed=2))):
            nearest = gallery.search_many(query, 1, approximate=True)
            assert [hits[0].record.id for hits in nearest] == list(new)


def test_many_threads_at_once(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        first = gallery.add(embeddings(50), identities="Ann").ids

        def work(seed: int) -> int:
            mine = gallery.add(embeddings(5, seed=seed)).ids
            hits = gallery.search(vectors(5, seed=seed)[2], 100)
            assert hits[0].record.id == mine[2]  # its own writes are seen
            assert set(first[10:]) <= {hit.record.id for hit in hits}
            gallery.enrol(f"person {seed}", mine[:2])
            return gallery.erase(ids=[first[seed - 100], mine[4]])

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, range(100, 110))) == [2] * 10
        assert len(gallery) == 50 + 10 * 3
        assert len(gallery.identities()) == 11
        gallery.verify_log()
        assert gallery.check().problems == ()


def test_an_embedding_is_known_by_its_source_and_not_by_its_last_bits(gallery_uri: str) -> None:
    """Another engine, or another number of threads, changes the last bits of an embedding."""
    some, random = vectors(6), np.random.default_rng(3)
    paths = np.array([f"film.mp4#frame={at}" for at in range(5)] + ["image 0"])

    def again() -> Embeddings:
        return Embeddings(some * (1 + 1e-5 * random.standard_normal(some.shape)).astype(np.float32), paths=paths)

    with Gallery.open(gallery_uri, card()) as gallery:
        first = gallery.add(again(), cameras="door", boxes=[(0, 0, 9, 9)] * 6)
        assert first.new == 6
        second = gallery.add(again(), cameras="door", boxes=[(0, 0, 9, 9)] * 6)
        assert second.ids[:5] == first.ids[:5]
        assert second.new == 1  # of the picture without a name nothing but its numbers is known
        for other in ({"cameras": "yard"}, {"cameras": "door", "times": 1.8e9}):
            assert gallery.add(again(), boxes=[(0, 0, 9, 9)] * 6, **other).new == 6
        assert gallery.add(again(), cameras="door", boxes=[(1, 0, 9, 9)] * 6).new == 6


def test_what_clearly_differs_is_kept_though_its_source_is_the_same(gallery_uri: str) -> None:
    some = vectors(12)
    same = np.full(12, "door/latest.jpg")
    with Gallery.open(gallery_uri, card()) as gallery:
        assert gallery.add(Embeddings(some[:2], paths=same[:2])).new == 2
        assert gallery.add(Embeddings(some, paths=same)).new == 10
        assert gallery.add(Embeddings(some, paths=same)).new == 0
        assert len(gallery) == 12
        np.testing.assert_array_equal(
            np.sort(gallery.vectors([record.id for record in gallery.records()]), axis=0), np.sort(some, axis=0)
        )


def test_logins_in_addresses_are_not_kept(gallery_uri: str) -> None:
    address = "rtsp://admin:s3cret@10.0.0.5/stream1"
    with Gallery.open(gallery_uri, card()) as gallery:
        gallery.add(embeddings(1), cameras=address, sources=[f"{address}#frame=7"], basis=f"see {address}")
        (record,) = gallery.records(Filter(cameras=(address,)))
        assert record.camera == "rtsp://10.0.0.5/stream1"
        assert "s3cret" not in str(record)
        assert gallery.stats().cameras == {"rtsp://10.0.0.5/stream1": 1}


def test_times_may_be_datetimes(gallery_uri: str) -> None:
    pandas = pytest.importorskip("pandas")
    noon = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
    east = noon.astimezone(timezone(timedelta(hours=2)))
    several = pandas.Series(pandas.to_datetime([noon, noon + timedelta(seconds=1.5)]))
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(2), times=several).ids
        assert [record.time for record in gallery.get(ids)] == [1795262400.0, 1795262401.5]
        assert gallery.count(Filter(after=noon, before=east + timedelta(seconds=1))) == 1  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"picture 0 is datetime\.datetime\(2026, .*give it one"):
            gallery.add(embeddings(1, seed=1), times=noon.replace(tzinfo=None))
        with pytest.raises(DataError, match="picture 0 is NaT: pass seconds since 1970, a datetime"):
            gallery.add(embeddings(1, seed=1), times=[pandas.NaT])


class NoZone(tzinfo):
    """What a time zone may be that does not know how far it is from UTC."""

    def utcoffset(self, at: datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("time", "sentence"),
    [
        (datetime(2026, 11, 21, tzinfo=NoZone()), "may be of any time zone: give it one"),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
            r"is datetime\.datetime\(1, .* is no time of the years",
        ),
        (10**400, "pass seconds since 1970, a datetime"),
    ],
    ids=["no offset", "year 0", "too large"],
)
def test_odd_times_are_one_sentence(time: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        moment(time, "The time")


def test_times_in_milliseconds_are_refused(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card()) as gallery:
        for refused in (
            lambda: gallery.add(embeddings(1), times=1.8e12),
            lambda: gallery.expire(1.8e12),
            lambda: gallery.erase(before=1.8e12),
            lambda: Filter(after=1.8e12),
        ):
            with pytest.raises(DataError, match="milliseconds"):
                refused()


@pytest.mark.long
def test_threads_get_the_answers_of_one(tmp_path: Path) -> None:
    """Some seconds of what ``benchmarks/many_threads.py`` does for an hour."""
    script = Path(__file__).with_name("many_threads.py")
    done = subprocess.run([sys.executable, script, tmp_path, "3", "0"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answers"] > 20


def test_a_new_name_is_given_once(gallery_uri: str) -> None:
    """Of programs that name strangers at the same moment, one gets the name, and the others are refused it."""
    with Gallery.open(gallery_uri, card()) as gallery:
        ids = gallery.add(embeddings(8)).ids

        def enrol(id: str) -> bool:
            with Gallery.open(gallery_uri) as own:
                try:
                    own.enrol("person 1", [id], new=True)
                except Conflict:
                    return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(enrol, ids)) == 1
        assert [person.records for person in gallery.identities()] == [1]
        gallery.enrol("person 1", ids[:1] if gallery.get(ids[:1])[0].identity is None else ids[1:2])
        assert [person.records for person in gallery.identities()] == [2]


def test_a_login_in_an_address_is_not_repeated() -> None:
    for uri in ("rtsp://admin:s3cret@door/1", "postgresql://admin:s3cret@host/db?sslmode=no&gallery=seen"):
        with pytest.raises(ResightError) as refused:
            Gallery.open(uri)
        assert "s3cret" not in str(refused.value)
