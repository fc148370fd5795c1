"""What is said of crops before training, and when it is refused; how an adaptation is judged."""

import numpy as np
import pytest

from resight.adaptation import judge
from resight.adaptation.clusters import agreement, centres, facts, neighbourhood
from resight.adaptation.constraints import Constraints
from resight.adaptation.crops import Crops
from resight.adaptation.look import first_of_copies, look, refuse_wide
from resight.errors import DataError
from resight.records import Split


def crops_of(count: int, cameras: np.ndarray | None = None) -> Crops:
    nothing = np.full(count, -1)
    seen = nothing if cameras is None else cameras
    names = tuple(map(str, sorted(set(seen.tolist()) - {-1})))
    images = Split(np.array([f"{at}.jpg" for at in range(count)]), nothing, seen)
    return Crops(images, seen, names, nothing, nothing, np.full(count, np.nan))


def people(count: int, images: int, noise: float = 0.4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.repeat(rng.normal(size=(count, 16)), images, 0) + noise * rng.normal(size=(count * images, 16))).astype(
        np.float32
    )


def test_plain_people_are_found() -> None:
    cameras = np.tile([0, 0, 1, 1, 0, 1], 100)
    found = look(people(100, 6), crops_of(600, cameras), Constraints(crops_of(600, cameras)))
    assert found.distance == 0.6 and found.facts.clustered > 0.9 and found.facts.spanning == pytest.approx(1, abs=0.1)
    assert abs(found.facts.clusters - 100) < 20 and found.notes == ()
    assert [one.distance for one in found.curve] == sorted(one.distance for one in found.curve)


def test_one_camera_and_no_camera_are_said() -> None:
    one = crops_of(600, np.zeros(600, np.int64))
    assert "one camera" in look(people(100, 6), one, Constraints(one)).notes[0]
    none = crops_of(600)
    found = look(people(100, 6), none, Constraints(none))
    assert "Cameras are unknown" in found.notes[0] and found.facts.spanning is None


def test_nothing_but_noise_is_refused() -> None:
    vectors = np.random.default_rng(0).normal(size=(600, 128)).astype(np.float32)
    with pytest.raises(DataError, match=r"form clusters|No distance gives clusters"):
        look(vectors, crops_of(600), Constraints(crops_of(600)))


def test_one_large_cluster_is_refused_or_avoided() -> None:
    angles = np.linspace(0, 1, 300)  # each near the next: one chain
    chain = np.zeros((300, 16), np.float32)
    chain[:, 0], chain[:, 1] = np.cos(angles), np.sin(angles)
    vectors = np.concatenate([chain, people(60, 5, 0.4, seed=1)])
    with pytest.raises(DataError, match="one cluster holds"):
        look(vectors, crops_of(600), Constraints(crops_of(600)), 0.6)


def test_pictures_that_are_not_upright_are_refused() -> None:
    refuse_wide(np.array([[128, 64], [100, 60], [90, 90]]), True)
    refuse_wide(np.array([[64, 128]]), False)
    with pytest.raises(DataError, match="crops of people about twice"):
        refuse_wide(np.array([[200, 220], [100, 100], [128, 64]]), True)


def test_copies_are_found() -> None:
    vectors = np.array([[1, 2], [3, 4], [1, 2], [5, 6], [3, 4]], np.float32)
    np.testing.assert_array_equal(first_of_copies(vectors), [0, 1, 3])


def test_facts_centres_and_agreement() -> None:
    labels = np.array([0, 0, 1, 1, 1, -1])
    found = facts(labels, np.array([0, 1, 0, 0, 0, 1]), 0.5)
    assert (found.clusters, found.clustered, found.largest, found.median) == (2, 5 / 6, 0.5, 2.5)
    assert found.spanning == 0.5 and facts(labels, np.full(6, -1), 0.5).spanning is None
    vectors = np.array([[2, 0], [0, 3], [0, 1], [0, 2], [0, 5], [1, 1]], np.float32)
    np.testing.assert_allclose(centres(vectors, labels), [[2**-0.5, 2**-0.5], [0, 1]], atol=1e-6)
    assert agreement(labels, np.array([5, 5, 2, 2, 2, 0])) == 1.0
    assert agreement(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) < 0.1
    assert neighbourhood(12_936) == 20 and neighbourhood(500) == 13


def entry(epoch: int, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "clusters": 100, "largest": 0.05, "spread": 0.9, "clustered": 0.9, "agreement": 0.99} | more


def test_collapse_is_seen() -> None:
    start = entry(0)
    assert judge.collapsed(entry(1), start, []) == ""
    assert "one cluster holds 30%" in judge.collapsed(entry(1, largest=0.3), start, [])
    assert "20% as far" in judge.collapsed(entry(1, spread=0.18), start, [])
    assert "50 of 200 clusters" in judge.collapsed(entry(2, clusters=50), start, [entry(1, clusters=200)])
    alike = np.ones((50, 4), np.float32) + 0.01 * np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert judge.spread(alike) < 0.01 < judge.spread(people(50, 1))
    assert judge.drift(alike, 3 * alike) == pytest.approx(0, abs=1e-6)


def test_it_stops_where_nothing_changes_after_the_rate_was_lowered() -> None:
    flat = [entry(at) for at in range(1, 12)]
    assert judge.settled(flat, 8) and not judge.settled(flat, 9)
    assert not judge.settled([*flat[:-1], entry(11, agreement=0.9)], 5)
    assert not judge.settled([*flat[:-1], entry(11, clustered=0.95)], 5)
