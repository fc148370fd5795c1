"""Clocks that differ are found, right ones are left alone."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from resight.watch.clocks import EXACT, clock_shifts, corrected
from resight.watch.learning import Learning
from resight.watch.link import Rules, Sighted, link
from watch.simulated import Tracks, pair_f1, tracks

RULES = Rules(travel=1.0)


def scene(seed: int, late: dict[str, float]) -> Tracks:
    return tracks(12, 3, 90.0, 0.6, seed, late)


@pytest.mark.parametrize(
    "late", [{"camera 2": 8.0}, {"camera 2": -8.0, "camera 3": 25.0}, {"camera 1": -20.0}, {"camera 3": 12.0}]
)
def test_a_clock_that_differs_is_found(late: dict[str, float]) -> None:
    """Within two seconds: half of the shortest walk there and back, three seconds each."""
    for seed in range(3):
        some = scene(seed, late)
        found = {
            one.camera: one.seconds for one in clock_shifts(some.vectors, "cosine", some.threshold, some.seen, RULES)
        }
        for a in ("camera 1", "camera 2", "camera 3"):
            for b in ("camera 1", "camera 2", "camera 3"):
                difference = (late.get(a, 0.0) - late.get(b, 0.0)) - (found.get(a, 0.0) - found.get(b, 0.0))
                assert abs(difference) <= 2 * EXACT, (seed, a, b, found)
        assert found


def test_right_clocks_are_left_alone() -> None:
    for seed in range(4):
        some = scene(seed, {})
        assert clock_shifts(some.vectors, "cosine", some.threshold, some.seen, RULES) == []
    assert clock_shifts(np.zeros((0, 3), np.float32), "cosine", 0.5, [], RULES) == []


def test_strangers_in_a_crowd_are_no_wrong_clock() -> None:
    """Every track looks like nobody's, so the pairs within the threshold are strangers; in this scene one shift of a
    camera makes all of its impossible pairs possible.
    """
    some = tracks(100, 12, 20.0, seed=15)
    vectors = np.random.default_rng(15).normal(size=some.vectors.shape).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = float(np.quantile(1 - (unit @ unit.T)[np.triu_indices(len(unit), 1)], 0.01))
    assert clock_shifts(vectors, "cosine", near / 0.7, some.seen, Rules(travel=2.0)) == []


def test_cameras_that_overlap_are_left_alone() -> None:
    some = scene(0, {"camera 2": 8.0})
    names = [f"camera {number}" for number in (1, 2, 3)]
    overlap = frozenset(frozenset((a, b)) for a in names for b in names if a < b)
    assert clock_shifts(some.vectors, "cosine", some.threshold, some.seen, Rules(overlap, 1.0)) == []


def test_one_way_says_nothing() -> None:
    """Everybody walks from camera 1 to camera 2: a later clock and a longer walk look the same."""
    some = scene(0, {"camera 2": 8.0})
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, (one, who) in enumerate(zip(some.seen, some.who.tolist(), strict=True)):
        if one.camera == "camera 1":
            first.setdefault(who, at)
        if one.camera == "camera 2" and who in first:
            last.setdefault(who, at)
    kept = sorted([at for who, at in first.items() if who in last] + list(last.values()))
    seen = [some.seen[at] for at in kept]
    assert clock_shifts(some.vectors[kept], "cosine", some.threshold, seen, RULES) == []


def test_links_are_made_with_corrected_times_and_it_is_told() -> None:
    some = scene(1, {"camera 2": 12.0})
    wrong = pair_f1(link(some.vectors, "cosine", some.threshold, some.seen, RULES), some.who)
    learning = Learning()
    everyone = list(range(len(some.who)))
    linked = learning.link(
        some.vectors, "cosine", some.threshold, some.seen, everyone, RULES, np.inf, 3 / some.threshold
    )
    assert pair_f1(linked.groups, some.who) > wrong + 0.1
    (shift,) = learning.shifts
    assert shift.camera == "camera 2" and abs(shift.seconds - 12) < 2 and shift.after < shift.before / 3
    assert str(shift).startswith("the clock of camera camera 2 is about 1") and "behind the others" in str(shift)
    moved = corrected(some.seen, [shift])
    at = next(at for at, one in enumerate(some.seen) if one.camera == "camera 2")
    assert moved[at].begin == pytest.approx(some.seen[at].begin + shift.seconds)
    assert all(a == b for a, b in zip(moved, some.seen, strict=True) if a.camera != "camera 2")
    gaps = [key for key in learning.times.links if "camera 2" in key]
    assert gaps and all(learning.times.links[key][0] == 0 for key in gaps)  # nobody is in two places at once


def test_what_is_remembered_of_a_track_is_its_vector_alone() -> None:
    """A program that watches for days must not keep the identities that each round of tracks was compared with."""
    learning, dim = Learning(), 1 << 15
    known = np.ones((7, dim), np.float32)  # 1 MB
    seen = [Sighted("a", float(at), at + 0.5, "clock") for at in range(8)]
    gc.collect()
    tracemalloc.start()
    try:
        for at in range(8):
            vectors = np.concatenate([np.full((1, dim), at + 1.0, np.float32), known])
            learning.link(vectors, "cosine", 0.5, seen, [0], Rules(), np.inf, 10.0)
        del vectors
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 3e6  # eight vectors of 0.13 MB, and what is found of the last round
    finally:
        tracemalloc.stop()
