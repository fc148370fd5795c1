"""Travel times: the table, what they say, and what links gain by them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from resight.errors import DataError
from resight.watch.link import Answers, Rules, Sighted, link
from resight.watch.timed import TimedGroups, link_in_time, successions
from resight.watch.travel import MOST, PRIOR, STEPS, TravelTimes, evidence, step_of, surplus
from watch.simulated import pair_f1, tracks

RULES = Rules(travel=2.0)


def seen(camera: str, begin: float, end: float, clock: str | None = "1970", name: str | None = None) -> Sighted:
    return Sighted(camera, begin, end, clock, name)


def test_steps_hold_every_time_once() -> None:
    assert (np.diff(STEPS) > 0).all()
    assert [step_of(one) for one in (-5.0, 0.0, 0.5, 1.0, 1.2, 1.5, 1e9)] == [0, 0, 1, 1, 2, 2, len(STEPS) - 1]


def test_the_table_comes_back_and_can_be_edited(tmp_path: Path) -> None:
    times = TravelTimes()
    for seconds in (5.0, 5.5, 200_000.0, -1.0):
        times.add("door", "yard, back", seconds)
    times.add("yard, back", "door", 3.5, 2.0)
    path = tmp_path / "times.csv"
    times.write(path)
    assert path.read_text() == (
        "from,to,after,until,links\n"
        'door,"yard, back",,0,1\ndoor,"yard, back",4,6,2\ndoor,"yard, back",98304,,1\n"yard, back",door,3,4,2\n'
    )
    again = TravelTimes.read(path)
    assert again.total == 6 and all((again.links[pair] == steps).all() for pair, steps in times.links.items())
    path.write_text("from,to,after,until,links\n\ndoor,hall,2,6,30\n")
    edited = TravelTimes.read(path).links["door", "hall"]  # three steps share the thirty
    assert {float(STEPS[at]): edited[at] for at in np.flatnonzero(edited)} == {3.0: 10, 4.0: 10, 6.0: 10}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n", "its first line must be from,to,after,until,links"),
        ("", "no table of travel times"),
        ("from,to,after,until,links\ndoor,yard,1,soon,3\n", "Line 2 of .* is not from,to"),
        ("from,to,after,until,links\ndoor,yard,1\n", "Line 2"),
        ("from,to,after,until,links\ndoor,yard,5,1,3\n", "needs after < until"),
        ("from,to,after,until,links\ndoor,yard,1,5,-3\n", "0 or more links"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "times.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        TravelTimes.read(path)


def test_evidence_against_counting() -> None:
    """One way of 5 s, among tracks at all times: by the formula with its smoothing, counted with plain loops."""
    rng = np.random.default_rng(0)
    people = [seen("ab"[at % 2], float(t), float(t) + 2) for at, t in enumerate(np.sort(rng.uniform(0, 300, 60)))]
    times = TravelTimes()
    for _ in range(40):
        times.add("a", "b", 5.0)
    found = evidence(times, people, people, Rules())
    anybody: dict[tuple[str, str, int], int] = {}
    for i, one in enumerate(people):
        for j, other in enumerate(people):
            clash = other.begin <= one.end and one.begin <= other.end
            if i != j and one.begin <= other.begin and not clash:
                key = one.camera, other.camera, step_of(other.begin - one.end)
                anybody[key] = anybody.get(key, 0) + 1
    total = sum(n for (a, *_), n in anybody.items() if a == "a")
    shares = {key: (n + 0.5 / len(STEPS)) / (total + 1.0) for key, n in anybody.items() if key[0] == "a"}
    across = {key: 40 * share for key, share in shares.items() if key[1] == "b"}
    every = sum(across.values()) + 40 * (len(STEPS) - len(across)) * 0.5 / len(STEPS) / (total + 1.0)
    step = step_of(5.0)
    before = PRIOR * across["a", "b", step] / every
    general = (40 + before) / (across["a", "b", step] + before)
    share = shares["a", "b", step]
    expected = np.log((40 + PRIOR * share * general) / (40 * share + PRIOR * share))
    i, j = next(
        (i, j)
        for i, one in enumerate(people)
        for j, other in enumerate(people)
        if one.camera == "a" and other.camera == "b" and step_of(other.begin - one.end) == step
    )
    assert found[i, j] == pytest.approx(min(expected, MOST), rel=1e-4)
    assert np.isnan(found[j, i]) and np.isnan(np.diag(found)).all() and np.nanmin(found) >= -MOST


def test_no_time_says_nothing() -> None:
    times = TravelTimes()
    times.add("a", "b", 5.0, 20)
    found = evidence(times, [seen("a", 0, 1), seen("b", 6, 7, None), seen("b", 6, 7, "film")], [], Rules())
    assert np.isnan(found).all()


def test_the_distance_of_groups_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(7, 5)).astype(np.float32)
    begin, bonus = rng.permutation(7).astype(float), rng.normal(0, 0.1, (7, 7)).astype(np.float32)
    for metric in ("cosine", "euclidean"):
        groups = TimedGroups(vectors, metric, 9.0, begin, bonus)
        groups.join(groups.join(0, 3), 5)
        groups.join(1, 6)
        x, y = [0, 3, 5], [1, 6]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        if metric == "cosine":
            plain = float(np.mean([1 - unit[a] @ unit[b] for a in x for b in y]))
        else:
            plain = float(np.sqrt(np.mean([((vectors[a] - vectors[b]) ** 2).sum() for a in x for b in y])))
        line = sorted([*x, *y], key=lambda at: begin[at])
        new = [bonus[a, b] for a, b in pairwise(line) if (a in x) != (b in x)]
        distance = groups.distance(groups.of(0), groups.of(1))
        assert (distance if metric == "cosine" else distance**0.5) == pytest.approx(plain - np.mean(new), abs=1e-5)
        assert [(sorted(a), sorted(b)) for a, b, _ in groups.joins] == [([0], [3]), ([0, 3], [5]), ([1], [6])]


def test_links_gain_by_times() -> None:
    """Over six synthetic scenes in which appearance alone finds 60% to 85%."""
    plain, timed = [], []
    for seed in range(6):
        some = tracks(noise=0.9, seed=seed)
        alone = link(some.vectors, "cosine", some.threshold, some.seen, RULES)
        found = link_in_time(
            some.vectors, "cosine", some.threshold, some.seen, RULES, np.inf, TravelTimes(), 3 / some.threshold
        )
        plain.append(pair_f1(alone, some.who))
        timed.append(pair_f1(found.groups, some.who))
    assert 0.6 < np.mean(plain) < 0.85 and np.mean(timed) > np.mean(plain) + 0.05


def test_too_few_links_change_nothing() -> None:
    some = tracks(people=2, seconds=15, noise=0.9, seed=3)
    alone = link(some.vectors, "cosine", some.threshold, some.seen, RULES)
    found = link_in_time(some.vectors, "cosine", some.threshold, some.seen, RULES, np.inf, TravelTimes(), 5.0)
    assert found.groups == alone


def test_answers_count_for_more_than_distance_time_and_place() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    people = [seen("a", 0, 5), seen("b", 10, 15), seen("c", 12, 18), seen("c", 30, 35)]
    assert link(vectors, "cosine", 0.5, people, Rules()) == [0, 0, 1, 2]
    answers = Answers(same=((1, 2),), different=((0, 1),))
    assert link(vectors, "cosine", 0.5, people, Rules(), answers=answers) == [0, 1, 1, 2]


def test_successions() -> None:
    people = [seen("a", 20, 25), seen("b", 0, 5), seen("a", 10, 12), seen("a", 1, 2, "film"), seen("b", 11, 12, None)]
    assert successions(people, [0, 0, 0, 0, 0]) == [(1, 2), (2, 0)]


def test_a_surplus_against_counting() -> None:
    """Look-alike pairs of each time, less as many as strangers make, with plain loops."""
    some = tracks(people=12, cameras=3, seconds=60, noise=0.9, seed=2)
    found = surplus(some.seen, some.vectors, "cosine", some.threshold, RULES)
    counted = np.zeros((2, len(STEPS)))
    for kind in (0, 1):
        alike, every = np.zeros(len(STEPS)), np.zeros(len(STEPS))
        strangers = [0, 0]
        for i, one in enumerate(some.seen):
            for j, other in enumerate(some.seen):
                if i == j or (one.camera != other.camera) != bool(kind):
                    continue
                near = 1 - float(some.vectors[i] @ some.vectors[j]) <= some.threshold
                pause = 2.0 if kind else 0.0
                if one.begin <= other.end + pause and other.begin <= one.end + pause:
                    strangers[0] += near
                    strangers[1] += 1
                elif one.begin <= other.begin:
                    step = step_of(other.begin - one.end)
                    every[step] += 1
                    alike[step] += near
        more = alike - (strangers[0] + 1) / (strangers[1] + 100) * every
        above = np.maximum(more, 0)
        counted[kind] = above * max(0.0, more.sum()) / above.sum()
    np.testing.assert_allclose(found, counted, rtol=1e-9)
    near = [step_of(seconds) for seconds in (3.5, 5.0, 7.0)]  # people walk 3 to 7 s
    assert found[1][near].sum() > 0.4 * found[1].sum()


def test_links_of_many_people_gain_by_times() -> None:
    """Three look-alikes are expected for each track, and appearance alone finds 59%."""
    some = tracks(people=50, cameras=6, seconds=60, noise=0.9, seed=0)
    plain = pair_f1(link(some.vectors, "cosine", some.threshold, some.seen, RULES), some.who)
    slope = 3 / some.threshold
    found = link_in_time(some.vectors, "cosine", some.threshold, some.seen, RULES, np.inf, TravelTimes(), slope)
    assert plain < 0.62 and pair_f1(found.groups, some.who) > plain + 0.15
    assert 0.05 < found.weight < 0.2
