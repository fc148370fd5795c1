"""Tracks, frames and times help where they are right, and do no harm where some are wrong."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from resight.adaptation.clusters import cluster, graph_of
from resight.adaptation.constraints import Constraints
from resight.adaptation.crops import Crops
from resight.errors import DataError
from resight.records import Split
from resight.watch.link import Rules

PEOPLE, CAMERAS, LENGTH = 40, 2, 6


def scene(noise: float = 0.62, wrong: float = 0.0, seed: int = 0, pairs: bool = True) -> tuple[np.ndarray, ...]:
    """Vectors, identities and crops: everyone passes both cameras once, in twos that are seen in the same frames.

    The two that walk together look alike. ``wrong``: the share of tracks half of whose images are somebody else's.
    """
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(PEOPLE, 16))
    if pairs:
        looks[1::2] = looks[::2] + 0.55 * rng.normal(size=(PEOPLE // 2, 16))
    cameras = rng.normal(size=(CAMERAS, 16)) * 0.35
    who, camera, track, frame, time = [], [], [], [], []
    for person in range(PEOPLE):
        for at in range(CAMERAS):
            for step in range(LENGTH):
                who.append(person)
                camera.append(at)
                track.append(person * CAMERAS + at)
                frame.append((person // 2) * 1000 * CAMERAS + at * 1000 + step)
                time.append((person // 2) * 100.0 + at * 40.0 + step)
    identities, tracks = np.array(who), np.array(track)
    vectors = looks[identities] + cameras[np.array(camera)] + noise * rng.normal(size=(len(who), 16))
    for bad in rng.permutation(tracks.max() + 1)[: round(wrong * (tracks.max() + 1))]:
        images = np.flatnonzero(tracks == bad)
        other = (int(identities[images[0]]) + 7) % PEOPLE
        stolen = images[: LENGTH // 2]
        identities[stolen] = other
        vectors[stolen] = looks[other] + cameras[np.array(camera)[stolen]] + noise * rng.normal(size=(len(stolen), 16))
    paths = np.array([f"{at}.jpg" for at in range(len(who))])
    images = Split(paths, np.full(len(who), -1), np.array(camera))
    crops = Crops(images, np.array(camera), ("a", "b"), tracks, np.array(frame), np.array(time))
    return vectors.astype(np.float32), identities, crops


def right(vectors: np.ndarray, identities: np.ndarray, known: Constraints, distance: float = 0.6) -> float:
    """The adjusted Rand index of the clusters, noise as clusters of one."""
    labels = cluster(graph_of(vectors, known), distance, known, vectors)[0]
    alone = labels < 0
    labels[alone] = labels.max() + 1 + np.arange(alone.sum())
    return float(adjusted_rand_score(identities, labels))


def only(crops: Crops, *, tracks: bool = False, frames: bool = False, times: bool = False) -> Crops:
    """The crops with part of what is known."""
    nothing = np.full(len(crops), -1)
    return Crops(
        crops.images,
        crops.cameras,
        crops.camera_names,
        crops.tracks if tracks else nothing,
        crops.frames if frames else nothing,
        crops.times if times else np.full(len(crops), np.nan),
    )


@pytest.mark.parametrize("seed", range(3))
def test_tracks_and_frames_help(seed: int) -> None:
    vectors, identities, crops = scene(seed=seed)
    plain = right(vectors, identities, Constraints(only(crops)))
    frames = right(vectors, identities, Constraints(only(crops, frames=True)))
    tracks = right(vectors, identities, Constraints(only(crops, tracks=True)))
    both = right(vectors, identities, Constraints(only(crops, tracks=True, frames=True)))
    assert frames > plain + 0.02
    assert tracks > plain + 0.03
    assert both > max(frames, tracks) + 0.1


@pytest.mark.parametrize("seed", range(3))
def test_wrong_tracks_do_no_harm(seed: int) -> None:
    vectors, identities, crops = scene(wrong=0.1, seed=seed)
    plain = right(vectors, identities, Constraints(only(crops)))
    known = right(vectors, identities, Constraints(only(crops, tracks=True, frames=True)))
    assert known > plain


def test_which_pairs_are_allowed() -> None:
    images = Split(np.array(list("abcdef")), np.full(6, -1), np.array([0, 0, 0, 1, 1, 2]))
    crops = Crops(
        images,
        np.array([0, 0, 0, 1, 1, 2]),
        ("x", "y", "z"),
        np.array([0, 1, -1, -1, -1, -1]),
        np.array([5, 5, 5, -1, -1, -1]),
        np.array([0.0, 0.0, 0.0, 3.0, 30.0, 3.0]),
    )
    known = Constraints(crops, Rules(frozenset({frozenset({"x", "z"})}), 10.0))
    one, other = (grid.ravel() for grid in np.meshgrid(np.arange(6), np.arange(6), indexing="ij"))
    found = known.allowed(one, other).reshape(6, 6)
    expected = np.ones((6, 6), bool)
    for a, b in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (3, 5)]:  # one frame; too soon between x, y and y, z
        expected[a, b] = expected[b, a] = False
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match="no camera 'w'"):
        Constraints(crops, Rules(frozenset({frozenset({"x", "w"})})))


def test_tracks_that_were_there_together_are_two_people() -> None:
    images = Split(np.array(list("abcdef")), np.full(6, -1), np.array([0] * 6))
    tracks = np.array([0, 0, 1, 1, 2, 2])
    times = np.array([0.0, 10.0, 5.0, 15.0, 20.0, 30.0])
    crops = Crops(images, np.zeros(6, np.int64), ("x",), tracks, np.full(6, -1), times)
    known = Constraints(crops)
    assert known.forbid
    allowed = known.allowed(np.array([0, 0, 2, 0, 1]), np.array([2, 4, 5, 1, 3]))
    np.testing.assert_array_equal(allowed, [False, True, True, True, False])


@pytest.mark.parametrize("seed", range(2))
def test_names_of_some_help(seed: int) -> None:
    vectors, identities, crops = scene(seed=seed)
    named = np.arange(len(identities)) % 3 == 0
    who = np.where(named, identities + 1, -1)
    images = Split(crops.images.paths, who, crops.cameras)
    nothing = only(crops)
    some = Crops(images, nothing.cameras, nothing.camera_names, nothing.tracks, nothing.frames, nothing.times)
    plain = right(vectors, identities, Constraints(some))
    assert right(vectors, identities, Constraints(some, named=True)) > plain + 0.02
