"""Names that are given later, and by several programs at once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from resight.gallery.gallery import Gallery
from resight.records import Embeddings
from resight.watch.link import WORLD, Rules, Sighted
from resight.watch.naming import Kept, name_tracks, unnamed_tracks
from resight.watch.watch import name_later
from watch.films import Walk, write
from watch.test_watch import look, opened

DOOR = [Walk("red", 0, 14), Walk("blue", 20, 39, left_to_right=False)]


def test_a_watch_that_was_killed_is_named_later(tmp_path: Path) -> None:
    """The track that had ended is there without a name; named later, it is whom the next watch sees again."""
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:

        def dies(now: int, total: int) -> None:
            if now >= 32:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            look(tmp_path, gallery, "door", progress=dies)
    with opened(tmp_path) as gallery:
        other = gallery.add([np.full((60, 24, 3), 99, np.uint8)], cameras="desk").ids  # no track: stays as it is
        (kept,) = unnamed_tracks(gallery)
        assert kept.source == str(tmp_path / "door.avi") and kept.seen.camera == "door" and kept.seen.clock == WORLD
        assert name_later(gallery, threshold=0.1) == ("person 1",) and name_later(gallery, threshold=0.1) == ()
        assert gallery.get(other)[0].identity is None
        found, _ = look(tmp_path, gallery, "door")
        assert (found.new, found.known, found.met) == (1, 1, ("person 1",)) and len(found.people) == 2


def kept(gallery: Gallery, at: int, vector: np.ndarray) -> Kept:
    vector = vector.astype(np.float32)
    (id,) = gallery.add(
        Embeddings(vector[None], fingerprint=gallery.card.fingerprint),
        cameras="door",
        times=1000.0 + at,
        sources=[f"door.avi#frame={at}"],
    ).ids
    return Kept(id, "door.avi", Sighted("door", 1000.0 + at, 1000.0 + at, WORLD), vector)


def test_two_programs_that_name_at_once_never_share_a_new_name(tmp_path: Path) -> None:
    """Six strangers, two to a thread with a gallery of its own, named at the same moment."""
    with opened(tmp_path) as gallery:
        strangers = [kept(gallery, at, vector) for at, vector in enumerate(np.eye(gallery.card.dim)[:6])]
    start = threading.Barrier(3)
    names: dict[int, tuple[str, ...]] = {}

    def name(part: int) -> None:
        with opened(tmp_path) as own:
            start.wait()
            names[part] = name_tracks(own, strangers[part * 2 : part * 2 + 2], 0.1, Rules(), "person").names

    threads = [threading.Thread(target=name, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = [one for part in range(3) for one in names[part]]
    assert sorted(given) == [f"person {number}" for number in range(1, 7)]
    with opened(tmp_path) as gallery:
        assert [record.identity for record in gallery.get([one.id for one in strangers])] == given


def test_look_alikes_are_counted_by_camera(tmp_path: Path) -> None:
    """Of three sightings at one moment, two before one camera: three pairs are impossible, two of them across."""
    with opened(tmp_path) as gallery:
        same = [kept(gallery, at, np.eye(gallery.card.dim)[0]) for at in range(3)]
        seen = [Sighted(camera, 1000.0, 1010.0, WORLD) for camera in ("door", "door", "yard")]
        tracks = [Kept(one.id, one.source, place, one.vector) for one, place in zip(same, seen, strict=True)]
        found = name_tracks(gallery, tracks, 0.1, Rules(), "person")
    assert (found.impossible, found.alike, found.alike_across) == (3, 3, 2) and len(set(found.names)) == 3
