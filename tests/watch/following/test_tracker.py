"""Tracks of people whose way and looks are known: joined where it is safe, broken where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.errors import RecipeError
from resight.watch.detectors import Detections
from resight.watch.following.track import Track
from resight.watch.following.tracker import Tracker, Tracking
from resight.watch.frames import Frame

Person = tuple[list[float], NDArray[np.float32]] | tuple[list[float], NDArray[np.float32], float]
PIXELS = np.zeros((200, 800, 3), np.uint8)
USUAL = Tracking()
ALICE, BOB, CAROL = np.eye(8, dtype=np.float32)[:3]


def at(x: float, top: float = 50.0, tall: float = 100.0) -> list[float]:
    return [x, top, x + 0.4 * tall, top + tall]


def track(frames: list[list[Person]], settings: Tracking = USUAL, rate: float = 10.0) -> list[Track]:
    """The tracks of all frames, in each of which there are people: a box, a vector, perhaps a score."""
    tracker = Tracker("cosine", 0.3, 0.6, settings)
    found = []
    for number, people in enumerate(frames):
        boxes = np.array([one[0] for one in people], np.float64).reshape(-1, 4)
        scores = np.array([one[2] if len(one) > 2 else 0.9 for one in people])  # type: ignore[misc]
        vectors = np.array([one[1] for one in people], np.float32).reshape(-1, 8)
        seen = Detections(boxes, scores, np.full(len(people), "person"))
        found += tracker.step(Frame("film", number, number / rate, PIXELS), seen, vectors, np.ones(len(people)))
    return found + tracker.finish()


def who(one: Track) -> int:
    return int(np.argmax(one.vector))


def sightings(one: Track) -> list[tuple[int, tuple[float, ...]]]:
    """Frame and rounded box of each."""
    places = zip(one.frames[one.seen].tolist(), np.round(one.boxes[one.seen], 6), strict=True)
    return [(frame, tuple(box)) for frame, box in places]


def test_two_who_cross_stay_themselves() -> None:
    """They meet in the middle, where both boxes are nearly one; who is listed first changes all the time."""
    frames = []
    for step in range(40):
        people: list[Person] = [(at(100 + 10 * step), ALICE), (at(500 - 10 * step), BOB)]
        frames.append(people[:: 1 if step % 2 else -1])
    tracks = track(frames)
    assert sorted(map(len, tracks)) == [40, 40]
    for one in tracks:
        ways = np.diff(one.boxes[:, 0])
        assert (ways > 0).all() if who(one) == 0 else (ways < 0).all()


def test_one_place_two_looks_is_two_tracks() -> None:
    """Somebody takes the very place of somebody else: the track ends, for they look too unlike."""
    tracks = track([[(at(100), ALICE)]] * 10 + [[(at(100), BOB)]] * 10)
    assert [(who(one), len(one)) for one in tracks] == [(0, 10), (1, 10)]


def test_looks_alone_join_nothing() -> None:
    """The same looks on the other side of the picture in the next frame are somebody else's."""
    tracks = track([[(at(100), ALICE)]] * 10 + [[(at(600), ALICE)]] * 10)
    assert sorted(map(len, tracks)) == [10, 10]


@pytest.mark.parametrize(("unseen", "tracks"), [(6, 1), (15, 2)])
def test_out_of_sight_for_a_moment(unseen: int, tracks: int) -> None:
    """Behind a pillar for 0.6 seconds it is one track, for 1.5 seconds two; the walk goes on meanwhile."""
    seen: list[list[Person]] = [[(at(50 + 5 * step), ALICE)] for step in range(60)]
    for step in range(30, 30 + unseen):
        seen[step] = []
    assert len(track(seen)) == tracks


def test_unseen_frames_have_the_box_between_the_sightings() -> None:
    """Ten pixels a frame for 0.5 seconds unseen; what is unseen after the last sighting is no part of the track."""
    walk: list[list[Person]] = [[(at(100 + 10 * step, tall=100 + step), ALICE)] for step in range(40)]
    walk[12:17] = [[]] * 5
    (one,) = track([*walk, [], []])
    assert one.frames.tolist() == list(range(40)) and np.flatnonzero(~one.seen).tolist() == [12, 13, 14, 15, 16]
    np.testing.assert_allclose(one.boxes, [at(100 + 10 * step, tall=100 + step) for step in range(40)])


def test_the_box_between_goes_by_time_and_only_frames_that_were_processed_count() -> None:
    """A live camera that drops frames: after the one without a box twice as much time goes by as before it."""
    tracker = Tracker("cosine", 0.3, 0.6, Tracking(shortest=0.0))
    moments = [(0, 0.0, 100.0), (1, 0.1, 100.0), (2, 0.2, 100.0), (5, 0.3, None), (9, 0.5, 130.0), (10, 0.6, 130.0)]
    for number, time, x in moments:
        boxes = np.array([] if x is None else [at(x)], np.float64).reshape(-1, 4)
        seen = Detections(boxes, np.full(len(boxes), 0.9), np.full(len(boxes), "person"))
        frame, vectors, quality = (
            Frame("door", number, time, PIXELS),
            np.tile(ALICE, (len(boxes), 1)),
            np.full(1, number),
        )
        tracker.step(frame, seen, vectors, quality.astype(np.float32))
    (one,) = tracker.finish()
    assert one.frames.tolist() == [0, 1, 2, 5, 9, 10]
    np.testing.assert_allclose(one.boxes[:, 0], [100, 100, 100, 110, 130, 130])
    assert one.frames[one.best] == 10  # the best quality


def test_out_of_sight_and_back_as_somebody_a_little_alike() -> None:
    """Within reach while in sight, but not after a gap, where looks must be within the threshold."""
    alike = (0.5 * ALICE + np.sqrt(0.75) * BOB).astype(np.float32)  # cosine distance 0.5
    assert len(track([[(at(100), ALICE)]] * 10 + [[(at(100), alike)]] * 10)) == 1
    assert len(track([[(at(100), ALICE)]] * 10 + [[]] * 3 + [[(at(100), alike)]] * 10)) == 2


def test_unsure_boxes_count_only_beside_sure_ones() -> None:
    """Somebody comes into view and goes out of it again."""
    assert not track([[(at(100), ALICE, 0.35)]] * 20)
    view: list[list[Person]] = [[(at(100), ALICE, 0.9 if 5 <= step < 12 else 0.35)] for step in range(20)]
    (one,) = track(view)
    assert len(one) == 20
    assert not track(view + view[:2])  # less than a third is sure: something in the background
    late = [[(at(100), ALICE, 0.35)], *[[]] * 6, *[[(at(100), ALICE, 0.9)]] * 10]
    assert [len(one) for one in track(late)] == [10]  # a flash 0.7 seconds before is another one


def test_sure_boxes_are_assigned_first() -> None:
    """An unsure box is just where the track should be, the sure one eight pixels beside it."""
    both: list[Person] = [(at(100), ALICE, 0.4), (at(108), ALICE, 0.9)]
    tracks = track([[(at(100), ALICE)]] * 10 + [both])
    assert [one.boxes[-1, 0] for one in tracks] == [108]


def test_an_unsure_box_over_a_person_is_that_person() -> None:
    """A second box on the same body begins a track once it is sure, and not before."""
    frames: list[list[Person]] = [[(at(100), ALICE), (at(115), ALICE, 0.4 if step < 10 else 0.9)] for step in range(20)]
    assert sorted(map(len, track(frames))) == [10, 20]


def test_flicker_is_left_out() -> None:
    assert not track([[(at(100), ALICE)]] * 3)
    assert not track([[(at(100), ALICE)], [], [], [], [(at(100), ALICE)]])
    assert len(track([[(at(100), ALICE)]] * 4)) == 1


def test_a_long_track_is_cut() -> None:
    tracks = track([[(at(100), ALICE)]] * 100, Tracking(longest=4.0))
    assert len(tracks) == 3 and sum(map(len, tracks)) == 100


def test_each_sighting_belongs_to_one_track() -> None:
    """Noise, misses and ghosts over 30 seconds: no two tracks share a box, and no track holds two people."""
    random = np.random.default_rng(1)
    frames, truth = [], {}
    for step in range(300):
        people: list[Person] = []
        for person, looks in enumerate((ALICE, BOB, CAROL)):
            x = 380 + 300 * np.sin(step / (20 + 7 * person) + person)
            box = (np.array(at(x, 40 + 10 * person)) + random.normal(0, 2, 4)).tolist()
            if random.random() < 0.9:
                vector = (looks + random.normal(0, 0.15, 8)).astype(np.float32)
                people.append((box, vector / np.linalg.norm(vector)))
                truth[step, tuple(np.round(box, 6))] = person
        frames.append(people)
    tracks = track(frames)
    taken = [sighting for one in tracks for sighting in sightings(one)]
    assert len(taken) == len(set(taken)) > 0.95 * len(truth)
    for one in tracks:
        assert len({truth[sighting] for sighting in sightings(one)}) == 1


def test_the_best_crop_is_the_one_least_hidden_and_cut() -> None:
    """Quality is the same in all frames: what counts is who stands before whom, and the edge of the frame."""
    frames: list[list[Person]] = []
    for step in range(12):
        people: list[Person] = [(at(-0.0 if step < 4 else 100), ALICE)]
        if step >= 6:
            people.append((at(110, 60), BOB))
        frames.append(people)
    first = next(one for one in track(frames[4:]) if who(one) == 0)
    assert first.frames[first.best] < 2  # frames 4 and 5, before Bob came
    assert first.crop.shape == (100, 40, 3)


def test_the_vector_is_the_weighted_mean_of_the_best_of_each_half_second() -> None:
    """Ten frames a second: of frames 0-4 the best is 2, of 5-9 it is 7."""
    tracker = Tracker("euclidean", 10, 20, Tracking())
    random = np.random.default_rng(5)
    vectors = (3 * (ALICE + 0.1 * random.normal(size=(10, 8)))).astype(np.float32)
    quality = np.array([1, 2, 6, 2, 1, 1, 2, 3, 2, 1], np.float32)
    for number in range(10):
        seen = Detections(np.array([at(100)]), np.array([0.9]), np.array(["person"]))
        tracker.step(Frame("film", number, number / 10, PIXELS), seen, vectors[[number]], quality[[number]])
    (one,) = tracker.finish()
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = (6 * directions[2] + 3 * directions[7]) / 9
    length = (6 * np.linalg.norm(vectors[2]) + 3 * np.linalg.norm(vectors[7])) / 9
    assert np.allclose(one.vector, mean / np.linalg.norm(mean) * length, atol=1e-5)
    assert one.best == 2


def test_the_change_is_between_the_halves() -> None:
    """Two seconds one way and two seconds another: the halves are 60 degrees apart. A short track has no halves."""
    turned = (0.5 * ALICE + np.sqrt(0.75) * BOB).astype(np.float32)
    (one,) = track([[(at(100), ALICE)]] * 20 + [[(at(100), turned)]] * 20)
    assert one.change == pytest.approx(0.5, abs=1e-6)
    (short,) = track([[(at(100), ALICE)]] * 10)
    assert np.isnan(short.change)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"overlap is 1\.5"):
        Tracking(overlap=1.5)
    with pytest.raises(RecipeError, match="gap is -1"):
        Tracking(gap=-1)
