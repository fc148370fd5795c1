"""Any sequence of actions, against a dict that does the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reference.gallery import PlainGallery
from resight import DataError, Embeddings, Gallery
from resight.gallery.record import Filter
from seen import card, vectors

NAMES = ("Ann", "Bob", "Cy")
CAMERAS = ("", "north", "south")
POINTS = vectors(24, dim=4)
ACTIONS = st.one_of(
    st.tuples(st.just("add"), st.lists(st.integers(0, 23), min_size=1, max_size=5), st.sampled_from(CAMERAS),
              st.sampled_from([None, 1.0, 2.0]), st.sampled_from([None, *NAMES])),
    st.tuples(st.just("enrol"), st.sampled_from(NAMES), st.lists(st.integers(0, 99), min_size=1, max_size=3)),
    st.tuples(st.just("merge"), st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)),
    st.tuples(st.just("split"), st.sampled_from(NAMES), st.lists(st.integers(0, 99), min_size=1, max_size=3),
              st.sampled_from([None, *NAMES])),
    st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("erase"), st.lists(st.integers(0, 99), min_size=1, max_size=4)),
    st.tuples(st.just("erase person"), st.sampled_from(NAMES)),
    st.tuples(st.just("erase before"), st.sampled_from([1.5, 2.5])),
    st.tuples(st.just("reopen")),
)  # fmt: skip
NewUri = Callable[[], str]
FILTERS = (Filter(), Filter(cameras=("north", "")), Filter(identities=NAMES[:2]), Filter(unknown=True, after=1.5))


def expected_of(plain: PlainGallery, ids: list[str], action: tuple) -> bool:  # type: ignore[type-arg]
    """Do it to the dict, and say whether it was allowed."""
    match action:
        case ("enrol", name, _):
            if any(plain.records[id][0].identity not in (None, name) for id in ids):
                return False
            plain.give(ids, name)
        case ("merge", into, others):
            if into in others or not {into, *others} <= plain.names():
                return False
            for other in others:
                plain.give(plain.of(other), into)
        case ("split", name, _, new):
            wrong = any(plain.records[id][0].identity != name for id in ids)
            if name not in plain.names() or wrong or (new is not None and new in plain.names()):
                return False
            plain.give(ids, new)
        case ("rename", name, new):
            if name not in plain.names() or (new in plain.names() and new != name):
                return False
            plain.give(plain.of(name), new)
        case ("erase", _):
            plain.erase(ids)
        case ("erase person", name):
            if name not in plain.names():
                return False
            plain.erase(plain.of(name))
        case ("erase before", time):
            plain.erase([id for id, (record, _) in plain.records.items() if record.time and record.time < time])
    return True


def act(gallery: Gallery, ids: list[str], action: tuple) -> None:  # type: ignore[type-arg]
    match action:
        case ("enrol", name, _):
            gallery.enrol(name, ids)
        case ("merge", into, others):
            gallery.merge(into, others)
        case ("split", name, _, new):
            gallery.split(name, ids, new)
        case ("rename", name, new):
            gallery.rename(name, new)
        case ("erase", _):
            gallery.erase(ids=ids)
        case ("erase person", name):
            gallery.erase(identity=name)
        case ("erase before", time):
            gallery.erase(before=time)


def test_any_sequence_of_actions(new_uri: NewUri) -> None:
    checked = settings(max_examples=15, deadline=None, phases=[Phase.generate, Phase.shrink])(
        given(st.lists(ACTIONS, min_size=3, max_size=12))(lambda actions: follow(new_uri(), actions))
    )
    checked()


def follow(uri: str, actions: list) -> None:  # type: ignore[type-arg]
    gallery, plain = Gallery.open(uri, card(dim=4, metric="euclidean")), PlainGallery("euclidean")
    try:
        for action in actions:
            ids = sorted(plain.records)
            if action[0] == "reopen":
                gallery.close()
                gallery = Gallery.open(uri)
            elif action[0] == "add":
                _, which, camera, time, name = action
                points = Embeddings(POINTS[which])
                added = gallery.add(points, cameras=camera, times=time, identities=name, add_erased=True)
                assert len(added.ids) == len(which)
                assert added.new == len(set(added.ids) - plain.records.keys())
                for id, at, record in zip(added.ids, which, gallery.get(added.ids), strict=True):
                    if id not in plain.records:
                        assert (record.camera, record.time, record.identity) == (camera, time, name)
                    plain.records.setdefault(id, (replace(record, identity=name), POINTS[at]))
            else:
                chosen: list[str] = []
                if action[0] in ("enrol", "split", "erase"):
                    numbers = action[2] if action[0] != "erase" else action[1]
                    chosen = list(dict.fromkeys(ids[number % len(ids)] for number in numbers)) if ids else []
                    if not chosen:
                        continue
                if expected_of(plain, chosen, action):
                    act(gallery, chosen, action)
                else:
                    with pytest.raises(DataError):
                        act(gallery, chosen, action)
        assert {record.id: record for record in gallery.records(limit=1000)} == {
            id: record for id, (record, _) in plain.records.items()
        }
        assert {person.name: person.records for person in gallery.identities()} == {
            name: len(plain.of(name)) for name in plain.names()
        }
        for where in FILTERS:
            hits = gallery.search(np.zeros(4, np.float32), 6, where)
            expected = plain.search(np.zeros(4, np.float32), 6, where)
            assert [hit.record.id for hit in hits] == [id for _, id in expected]
            np.testing.assert_allclose([hit.distance for hit in hits], [d for d, _ in expected], rtol=1e-6)
        gallery.verify_log()
        assert gallery.check().problems == ()
    finally:
        gallery.close()
