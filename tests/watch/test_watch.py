"""From videos to records and names: plain rectangles walk past cameras, and a model sees nothing but their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from flat import flat_model
from resight import Embedder, load
from resight.errors import DataError, RecipeError
from resight.gallery.gallery import Gallery
from resight.gallery.record import Filter
from resight.watch import keeping as module
from resight.watch.detectors import Detections, open_detector
from resight.watch.following.track import Track
from resight.watch.frames import Frame
from resight.watch.link import Rules
from resight.watch.measure import Boxed, identity_f1
from resight.watch.watch import View, Watched, watch
from watch.films import COLOURS, RATE, Walk, write

START = 1_760_000_000.0
DOOR = [Walk("red", 0, 14), Walk("blue", 20, 39, left_to_right=False)]
YARD = [Walk("blue", 0, 14), Walk("red", 25, 39), Walk("green", 5, 30, top=20, left_to_right=False)]


def opened(folder: Path) -> Gallery:
    flat = flat_model()
    model = replace(flat, card=flat.card.model_copy(update={"metric": "cosine"}))
    return Gallery.open(folder / "seen.db", Embedder(model, engine="torch"))


def look(
    folder: Path, gallery: Gallery, *names: str, start: float | None = START, **settings: object
) -> tuple[Watched, list[tuple[View, Track, str]]]:
    views = [View(str(folder / f"{name}.avi"), name, start) for name in names]
    tracks: list[tuple[View, Track, str]] = []
    settings = {"threshold": 0.1, "on_track": lambda *one: tracks.append(one), **settings}
    return watch(views, gallery, open_detector(folder), **settings), tracks  # type: ignore[arg-type]


def colour(gallery: Gallery, name: str) -> set[str]:
    """The colours of all thumbnails of an identity."""
    found = set()
    for record in gallery.timeline(name):
        pixels = cv2.imdecode(np.frombuffer(gallery.thumbnail(record.id) or b"", np.uint8), cv2.IMREAD_COLOR)
        mean = pixels[..., ::-1].reshape(-1, 3).mean(axis=0)
        found.add(min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum())))
    return found


def test_three_people_under_two_cameras(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", YARD)
    with opened(tmp_path) as gallery:
        found, tracks = look(tmp_path, gallery, "door", "yard", basis="test")
        assert found.frames == 80 and found.tracks == {"door": 2, "yard": 3} and (found.new, found.known) == (5, 0)
        assert found.people == ("person 1", "person 2", "person 3") and not found.met and not found.stopped
        assert {frozenset(colour(gallery, name)) for name in found.people} == {
            frozenset({one}) for one in ("red", "blue", "green")
        }
        names = {record.id: record.identity for record in gallery.records(limit=10)}
        both = [
            Boxed.joined([(view.camera == "yard", track.frames, track.boxes, names[id]) for view, track, id in tracks]),
            Boxed.joined(
                [
                    (
                        camera,
                        range(walk.first, walk.last + 1),
                        [[x, y, x + w, y + h] for n in range(40) if (box := walk.box(n)) for x, y, w, h in [box]],
                        walk.colour,
                    )
                    for camera, walks in enumerate((DOOR, YARD))
                    for walk in walks
                ]
            ),
        ]
        measured = identity_f1(both[1], both[0])  # who is wholly hidden for a moment is missed then
        assert measured.f1 > 0.95 and measured.wrong == 0
        (first,) = (record for record in gallery.timeline("person 1") if record.camera == "door")
        assert first.time is not None and START <= first.time <= START + 14 / RATE and first.basis == "test"
        number = round((first.time - START) * RATE)
        begin, end = START, START + 14 / RATE
        assert first.source == f"{tmp_path / 'door.avi'}#frame={number}&t={begin:.3f},{end:.3f}"
        x, y, w, h = DOOR[0].box(number) or (0, 0, 0, 0)
        assert first.box == (x, y, x + w, y + h)


def test_watching_twice_adds_nothing(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", YARD)
    with opened(tmp_path) as gallery:
        once, _ = look(tmp_path, gallery, "door", "yard", expires=1.0)
        before = gallery.records(limit=100)
    with opened(tmp_path) as gallery:
        twice, _ = look(tmp_path, gallery, "door", "yard")
        assert gallery.records(limit=100) == before
    assert (twice.new, twice.known) == (0, 5)
    assert once.problems[0].startswith("5 of the new records have expired already") and not twice.problems
    assert twice.people == once.people and set(twice.met) == set(once.people)


def test_another_engine_adds_nothing(tmp_path: Path) -> None:
    """Embeddings then differ in their last bits; the sightings are the same."""
    pytest.importorskip("onnxruntime")
    write(tmp_path, "door", DOOR)
    model = load("osnet_x0_25", height=64, width=32)
    vectors = []
    for engine in ("torch", "onnx"):
        with Gallery.open(tmp_path / "seen.db", Embedder(model, engine=engine)) as gallery:
            tracks: list[Track] = []
            found, _ = look(
                tmp_path, gallery, "door", threshold=0.3, on_track=lambda *one, to=tracks: to.append(one[1])
            )
            vectors.append(np.stack([track.vector for track in tracks]))
            assert (found.new, found.known) == ((2, 0) if engine == "torch" else (0, 2)) and len(gallery) == 2
    assert np.allclose(*vectors, rtol=1e-3, atol=1e-4) and not np.array_equal(*vectors)


def test_other_settings_see_the_same_people(tmp_path: Path) -> None:
    """Of every second frame there are other records, at the same times in the same camera: the rules mind that."""
    write(tmp_path, "yard", YARD)
    with opened(tmp_path) as gallery:
        once, _ = look(tmp_path, gallery, "yard")
        again, _ = look(tmp_path, gallery, "yard", every=3)
        assert set(again.people) == set(once.people) == set(again.met) and not again.problems


def test_who_is_known_is_met(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:
        ids = gallery.add([np.full((60, 24, 3), COLOURS["blue"], np.uint8)], cameras="desk").ids
        gallery.enrol("Bea", ids)
        found, _ = look(tmp_path, gallery, "door")
        assert found.met == ("Bea",) and set(found.people) == {"Bea", "person 1"}
        assert colour(gallery, "Bea") == {"blue"} and len(gallery.timeline("Bea")) == 2


def test_who_is_known_to_be_elsewhere_is_not_met(tmp_path: Path) -> None:
    """Bea was at the desk just when somebody like her was at the door."""
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:
        ids = gallery.add([np.full((60, 24, 3), COLOURS["blue"], np.uint8)], cameras="desk", times=START + 3).ids
        gallery.enrol("Bea", ids)
        found, _ = look(tmp_path, gallery, "door")
        assert not found.met
        both, _ = look(tmp_path, gallery, "door", rules=Rules(frozenset({frozenset({"door", "desk"})})))
        assert "Bea" not in both.people  # they have their names by now


@pytest.mark.parametrize(
    ("start", "rules", "people"),
    [
        (START, Rules(), 2),
        (START, Rules(frozenset({frozenset({"door", "yard"})})), 1),
        (None, Rules(), 1),
    ],
)
def test_twins_at_once(tmp_path: Path, start: float | None, rules: Rules, people: int) -> None:
    """In two places at once they are two, unless both cameras see one place, or nobody knows what time it was."""
    write(tmp_path, "door", [Walk("red", 0, 20)]), write(tmp_path, "yard", [Walk("red", 5, 25)])
    with opened(tmp_path) as gallery:
        found, _ = look(tmp_path, gallery, "door", "yard", start=start, rules=rules)
        assert len(found.people) == people
        assert (found.impossible, found.alike) == ((1, 1) if people == 2 else (0, 0))
        times = [record.time for record in gallery.records()]
        assert all(time is not None and START <= time < START + 10 if start else time is None for time in times)


def test_stopping_loses_no_track(tmp_path: Path) -> None:
    """Told to stop after 24 of 40 frames: who was seen stands in the gallery, with a name."""
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:
        done: list[int] = []
        found, _ = look(
            tmp_path,
            gallery,
            "door",
            progress=lambda now, _: done.append(now),
            stop=lambda: bool(done) and done[-1] > 20,
        )
        assert found.stopped and not found.problems and done[-1] == 24 and found.people == ("person 1", "person 2")
        assert len(gallery.records(Filter(unknown=True))) == 0 and len(gallery) == 2


def test_a_track_is_durable_when_it_ends(tmp_path: Path) -> None:
    """Whoever dies in the middle leaves what has ended."""
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:

        def dies(now: int, total: int) -> None:
            if now >= 32:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            look(tmp_path, gallery, "door", progress=dies)
    with opened(tmp_path) as gallery:
        assert len(gallery) == 1
        assert look(tmp_path, gallery, "door")[0].known == 1


def test_who_is_erased_before_the_naming_stays_erased(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:
        erased: list[str] = []

        def erase(view: View, track: Track, id: str) -> None:
            if not erased:
                erased.append(id)
                gallery.erase(ids=[id])

        found, _ = look(tmp_path, gallery, "door", on_track=erase)
        assert found.new == 2 and found.people == ("person 1",) and len(gallery) == 1
        assert colour(gallery, "person 1") == {"blue"}


def test_naming_in_rounds_gives_the_same_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND", 2)
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", YARD)
    with opened(tmp_path) as gallery:
        found, _ = look(tmp_path, gallery, "door", "yard")
        assert sorted(colour(gallery, name).pop() for name in found.people) == ["blue", "green", "red"]


def test_short_tracks_are_left_out_and_counted(tmp_path: Path) -> None:
    """Two that jump from one side to the other are four tracks of one box each."""
    write(tmp_path, "door", [Walk("red", 0, 14), Walk("blue", 20, 21), Walk("green", 30, 31)])
    with opened(tmp_path) as gallery:
        found, _ = look(tmp_path, gallery, "door")
    assert found.tracks == {"door": 1} and found.brief == found.numbers()["brief"] == 4


def test_small_boxes_and_other_kinds_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:
        found, _ = look(tmp_path, gallery, "door", what="vehicle")
        assert found.boxes == 0 and found.people == () and len(gallery) == 0
        table = tmp_path / "door.csv"
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *(line.rsplit(",", 2)[0] + ",8,60" for line in lines[1:])]) + "\n")
        found, _ = look(tmp_path, gallery, "door")
        assert (found.boxes, found.small, found.brief) == (0, len(lines) - 1, 0)
        boxes = open_detector(table)

        def unsure(frames: Sequence[Frame]) -> list[Detections]:
            return [replace(one, scores=one.scores / 4) for one in boxes(frames)]

        assert watch([View(str(tmp_path / "door.avi"))], gallery, unsure, threshold=0.1).small == 0


def test_what_cannot_be_watched(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR)
    with opened(tmp_path) as gallery:
        with pytest.raises(RecipeError, match="no calibrated threshold: run resight calibrate"):
            look(tmp_path, gallery, "door", threshold=None)
        with pytest.raises(DataError, match=r"yard\.avi does not exist"):
            look(tmp_path, gallery, "door", "yard")
        with pytest.raises(DataError, match="nothing to watch"):
            look(tmp_path, gallery)
        with pytest.raises(DataError, match="there twice"):
            look(tmp_path, gallery, "door", "door")
        with pytest.raises(RecipeError, match="live camera, which begins now"):
            View("rtsp://door/1", start=START)
        with pytest.raises(RecipeError, match="every is 0"):
            look(tmp_path, gallery, "door", every=0)
        with pytest.raises(RecipeError, match="what is 'dog'"):
            look(tmp_path, gallery, "door", what="dog")
        assert len(gallery) == 0
