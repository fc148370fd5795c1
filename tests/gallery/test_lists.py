"""Pages of a gallery's lists: together they are the whole list, and a page reads no more than it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from resight import DataError, Gallery
from resight.gallery.record import Filter, Missing
from seen import card, embeddings

COUNT = 60


@pytest.fixture
def gallery(gallery_uri: str) -> Any:
    """Records of eight people (and nobody) in four cameras and one without a name, some times equal, some unknown."""
    with Gallery.open(gallery_uri, card()) as made:
        draw = np.random.default_rng(0)
        made.add(
            embeddings(COUNT),
            cameras=["" if at % 9 == 0 else f"camera {at % 4}" for at in range(COUNT)],
            identities=[None if at % 7 == 0 else f"person {at % 8}" for at in range(COUNT)],
            times=[None if at % 5 == 0 else float(time) for at, time in enumerate(draw.integers(-3, 9, COUNT))],
            sources=[f"door.mp4#frame={at}" if at % 3 else f"{at}.jpg" for at in range(COUNT)],
        )
        yield made


def pages(read: Callable[[Any], list[Any]], start: Any, cursor: Callable[[Any], Any]) -> list[Any]:
    found: list[Any] = []
    while page := read(cursor(found[-1]) if found else start):
        assert len(page) <= 3
        found += page
    return found


def test_pages_together_are_the_whole_list(gallery: Gallery) -> None:
    records = gallery.records(limit=COUNT)
    by_time = sorted(records, key=lambda one: (one.time is None, one.time or 0.0, one.id))
    people = sorted({one.identity for one in records if one.identity})
    for name in people:
        own = [one for one in by_time if one.identity == name]
        assert gallery.timeline(name) == own

        def timeline(last: str, name: str = name) -> list[Any]:
            return gallery.timeline(name, limit=3, after_id=last)

        assert pages(timeline, "", lambda one: one.id) == own

    found = pages(lambda last: gallery.identities(limit=3, after=last), "", lambda one: one.name)
    assert found == gallery.identities() and [one.name for one in found] == people
    for one in found:
        own = [record for record in records if record.identity == one.name]
        times = [record.time for record in own if record.time is not None]
        assert one.records == len(own) and one.cameras == tuple(sorted({record.camera for record in own}))
        assert (one.first, one.last) == (min(times, default=None), max(times, default=None))

    counts = sorted(Counter(record.camera for record in records).items())
    assert list(gallery.cameras().items()) == counts == list(gallery.stats().cameras.items())
    assert pages(lambda last: list(gallery.cameras(limit=3, after=last).items()), None, lambda one: one[0]) == counts


def test_the_newest_records_of_a_kind_of_source(gallery: Gallery) -> None:
    records = gallery.records(limit=COUNT)
    newest = sorted(records, key=lambda one: (one.time is not None, one.time or 0.0, one.id), reverse=True)
    assert gallery.newest(limit=COUNT) == newest
    tracks = [one for one in newest if "#frame=" in one.source]
    assert gallery.newest(limit=COUNT, source="#frame=") == tracks
    assert gallery.newest(limit=5, source="#frame=") == tracks[:5]
    where = Filter(cameras=("camera 1",), before=5)
    own = [one for one in newest if one.camera == "camera 1" and one.time is not None and one.time < 5]
    assert gallery.newest(where, limit=COUNT) == own and own


def test_a_page_that_is_none(gallery: Gallery) -> None:
    for read in (gallery.records, gallery.newest, gallery.identities, gallery.cameras):
        with pytest.raises(DataError, match="A page of 0 entries is none"):
            read(limit=0)
    with pytest.raises(Missing, match="There is no record"):  # such as one that was erased since the last page
        gallery.timeline("person 1", limit=2, after_id="0" * 32)
    assert gallery.timeline("nobody", limit=2) == []
    assert gallery.identities(after="person 9") == [] and gallery.cameras(after="x") == {}
