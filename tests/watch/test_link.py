"""Linking against plain loops, and what time and place forbid against what anybody would say."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from resight.watch.link import HOME, Rules, Sighted, at_home, forbidden, link

WORLD = "1970"
ANY = Rules()


def seen(camera: str, begin: float, end: float, clock: str | None = WORLD, name: str | None = None) -> Sighted:
    return Sighted(camera, begin, end, clock, name)


def clash(a: Sighted, b: Sighted, rules: Rules = ANY) -> bool:
    found = forbidden([a, b], rules)
    assert found[0, 1] == found[1, 0] and not found[[0, 1], [0, 1]].any()
    return bool(found[0, 1])


def test_one_camera_sees_nobody_twice_at_once() -> None:
    assert clash(seen("door", 0, 5), seen("door", 4, 9))
    assert clash(seen("door", 0, 9), seen("door", 4, 5))
    assert not clash(seen("door", 0, 5), seen("door", 5.1, 9))


def test_nobody_is_in_two_places_unless_both_are_in_view() -> None:
    both = Rules(frozenset({frozenset({"door", "yard"})}))
    assert clash(seen("door", 0, 5), seen("yard", 4, 9))
    assert not clash(seen("door", 0, 5), seen("yard", 4, 9), both)
    assert clash(seen("door", 0, 5), seen("hall", 4, 9), both)
    assert clash(seen("door", 0, 5), seen("door", 4, 9), both)


def test_it_takes_time_to_walk() -> None:
    slow = Rules(travel=10)
    assert not clash(seen("door", 0, 5), seen("yard", 8, 9))
    assert clash(seen("door", 0, 5), seen("yard", 8, 9), slow) and clash(seen("yard", 8, 9), seen("door", 0, 5), slow)
    assert not clash(seen("door", 0, 5), seen("yard", 16, 18), slow)
    assert not clash(seen("door", 0, 5), seen("door", 8, 9), slow)  # who turns round is back at once


def test_a_window() -> None:
    """Two tracks an hour apart are linked only over one between them."""
    vectors = np.ones((3, 4), np.float32)
    first, between, last = seen("door", 0, 5), seen("yard", 1800, 1805), seen("door", 3600, 3605)
    one_hour = Rules(window=2000)
    assert link(vectors[:2], "cosine", 0.1, [first, last], one_hour) == [0, 1]
    assert link(vectors[:2], "cosine", 0.1, [first, last], ANY) == [0, 0]
    assert link(vectors, "cosine", 0.1, [first, between, last], one_hour) == [0, 0, 0]
    assert link(vectors[:2], "cosine", 0.1, [first, seen("door", 3600, 3605, "film")], one_hour) == [0, 0]


def test_times_of_different_clocks_say_nothing() -> None:
    assert clash(seen("door", 0, 5, "film"), seen("door", 4, 9, "film"))
    assert not clash(seen("door", 0, 5, "film"), seen("door", 4, 9))
    assert not clash(seen("door", 0, 5, None), seen("door", 4, 9, None))


def test_two_names_are_two_people_and_one_name_is_one() -> None:
    assert clash(seen("door", 0, 1, name="Ann"), seen("yard", 50, 51, name="Bea"))
    assert not clash(seen("door", 0, 5, name="Ann"), seen("door", 4, 9, name="Ann"))
    assert not clash(seen("door", 0, 1, name="Ann"), seen("yard", 50, 51))


def distance(a: NDArray[np.float64], b: NDArray[np.float64], metric: str) -> float:
    """Of Euclidean distance the square."""
    if metric == "cosine":
        return float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return float(((a - b) ** 2).sum())


def by_hand(vectors: NDArray[np.float64], metric: str, threshold: float, sighted: list[Sighted], rules: Rules) -> set:
    """Join the two nearest groups again and again; every average over every pair."""
    called = [one.name or str(at) for at, one in enumerate(sighted)]
    groups = [frozenset(at for at, other in enumerate(called) if other == one) for one in dict.fromkeys(called)]
    unlike = np.array([[distance(a, b, metric) for b in vectors] for a in vectors])
    never = np.array([[a is not b and clash(a, b, rules) for b in sighted] for a in sighted])
    while True:
        best = None
        for x, y in combinations(groups, 2):
            pairs = [(a, b) for a in x for b in y]
            if any(never[pair] for pair in pairs):
                continue
            apart = np.mean([unlike[pair] for pair in pairs])
            apart = apart if metric == "cosine" else np.sqrt(apart)
            if apart <= threshold and (best is None or apart < best[0]):
                best = apart, x, y
        if best is None:
            return set(groups)
        groups = [group for group in groups if group not in best[1:]] + [best[1] | best[2]]


@pytest.mark.parametrize(("metric", "threshold"), [("cosine", 0.25), ("euclidean", 2.2)])
@pytest.mark.parametrize("named", [0, 0.4])
def test_groups_are_those_of_plain_loops(metric: str, threshold: float, named: float) -> None:
    random = np.random.default_rng(2)
    for _ in range(8):
        people = random.normal(size=(5, 6))
        who = random.integers(0, 5, 18)
        vectors = (people[who] + 0.45 * random.normal(size=(18, 6))).astype(np.float32)
        begins = random.uniform(0, 60, 18)
        names = [f"person {one}" if random.random() < named else None for one in who]
        cameras = ["abc"[int(random.integers(3))] for _ in who]
        sighted = [
            seen(c, float(b), float(b + 6), name=name) for c, b, name in zip(cameras, begins, names, strict=True)
        ]
        rules = Rules(frozenset({frozenset("ab")}), 1.0)
        groups = link(vectors, metric, threshold, sighted, rules)
        found = {frozenset(np.flatnonzero(np.array(groups) == g).tolist()) for g in set(groups)}
        assert found == by_hand(vectors.astype(np.float64), metric, threshold, sighted, rules)


def test_rules_tell_apart_who_looks_the_same() -> None:
    """Twins in front of one camera at once, and each of them again somewhere else: a guess, but never one person."""
    twins = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], np.float32)
    sighted = [seen("door", 0, 5), seen("door", 2, 7), seen("yard", 20, 25), seen("yard", 22, 27)]
    groups = link(twins, "cosine", 0.1, sighted, Rules())
    assert groups[0] != groups[1] and groups[2] != groups[3] and set(groups) == {0, 1}


def test_who_is_known_stays_known() -> None:
    """Two who bear one name are one from the beginning, however unlike; two names never become one."""
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0.99, 0.1, 0], [0.98, 0, 0.1]], np.float32)
    sighted = [
        seen("door", 0, 1, name="Ann"),
        seen("door", 10, 11, name="Ann"),
        seen("door", 20, 21, name="Bea"),
        seen("door", 30, 31),
    ]
    assert link(vectors, "cosine", 0.3, sighted, Rules()) == [0, 0, 1, 1]


def test_tracks_of_one_camera_join_only_as_far_as_tracks_change() -> None:
    """Two like strangers at one door stay two, though they are within the threshold; two cameras join as before."""
    vectors = np.array([[1, 0.0], [1, 0.3], [1, 0.15]], np.float32)
    door = [seen("door", 0, 5), seen("door", 20, 25)]
    assert link(vectors[:2], "cosine", 0.3, door, ANY) == [0, 0]
    assert link(vectors[:2], "cosine", 0.3, door, ANY, home=0.01) == [0, 1]
    assert link(vectors[:2], "cosine", 0.3, [door[0], seen("yard", 20, 25)], ANY, home=0.01) == [0, 0]
    both = [*door, seen("yard", 50, 55)]  # who was seen in the yard may be both of them: then these are one
    assert link(vectors, "cosine", 0.3, both, ANY, home=0.01) == [0, 0, 0]


def test_what_tracks_change_is_learned_from_five_on() -> None:
    changes = [0.01, 0.02, 0.03, 0.04, 0.05, float("nan")]
    assert at_home(changes) == pytest.approx(HOME * 0.046)  # nine tenths of the way from the first to the fifth
    assert at_home(changes[1:]) == np.inf
