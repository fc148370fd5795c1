import math

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reference import ranking as plain
from reference.pairs import every_pair, people
from reference.ranking_cases import cases
from resight import Embeddings
from resight.decisions.operating import errors, needed, rates_at
from resight.decisions.pairs import collect, near_impostors, to_end_of_step
from resight.retrieval.evaluation.identity_bootstrap import (
    Tally,
    count_near,
    draw,
    group_identities,
    impostor_totals,
    independent,
    pair_rate,
    rate,
)
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.distance import pairwise

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MARKET = protocols.market1501


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(case=cases(), memory=st.sampled_from([1, 100, 10**6]), shares=st.sets(st.floats(0, 1), min_size=1, max_size=3))
@FAST
def test_rates_equal_the_plain_loop(case, memory, shares, metric, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors, metric)
    everything = list(every_pair(query, gallery, distances, "market1501"))
    genuine = [d for _, _, d, same in everything if same]
    impostors = [d for _, _, d, same in everything if not same]
    assume(genuine and impostors)
    pairs = collect(query, gallery, MARKET, metric, memory)
    thresholds = sorted({to_end_of_step(float(np.quantile(distances, one, method="nearest"))) for one in shares})
    found = rates_at(query, gallery, MARKET, metric, pairs, thresholds, memory)
    for threshold, (fmr, fnmr) in zip(thresholds, found, strict=True):
        assert fmr.value == pytest.approx(sum(d <= threshold for d in impostors) / len(impostors))
        assert fnmr.value == pytest.approx(sum(d > threshold for d in genuine) / len(genuine))
        for one in (fmr, fnmr):
            assert 0 <= one.low <= one.value <= one.high <= 1
        if fmr.value == 0:  # nothing seen is not nothing: at most this much is possible
            assert fmr.high >= 1 - 0.025 ** (1 / len(impostors)) - 1e-9


@given(case=cases())
@FAST
def test_counts_per_pair_of_identities_equal_the_plain_loop(case, small_grid):
    query, gallery = case
    groups = group_identities(query, gallery)
    distances = pairwise(query.vectors, gallery.vectors)
    thresholds = np.array([0.5, 1.5], np.float32)
    near = near_impostors(query, gallery, MARKET, "euclidean", 1.5)
    found = count_near(near, thresholds, groups)
    expected = np.zeros((2, groups.count, groups.count), int)
    totals = np.zeros((groups.count, groups.count), int)
    for q, g, distance, same in every_pair(query, gallery, distances, "market1501"):
        if not same:
            expected[:, groups.query[q], groups.gallery[g]] += distance <= thresholds
            totals[groups.query[q], groups.gallery[g]] += 1
    assert found.tolist() == expected.tolist()
    assert impostor_totals(query, gallery, groups).tolist() == totals.tolist()


def test_many_identities_are_drawn_in_groups(rng):
    many = Embeddings(np.ones((5_000, 1)), np.arange(5_000) - 1)
    groups = group_identities(many, many)
    assert groups.count == 1_024 and groups.query.max() == 1_023
    assert (groups.query[2:] == groups.of(many.identities[2:])).all()
    assert np.bincount(groups.query).max() <= math.ceil(5_000 / 1_024) + 1
    drawn = draw(groups.count)
    assert (drawn.sum(axis=1) == 1_024).all() and np.abs(drawn.mean(axis=0) - 1).max() < 0.2


def test_a_tally_counts_whatever_comes_in_pieces(rng):
    tally = Tally(10)
    codes = rng.integers(0, 10, 3 * 2**20)
    for piece in np.array_split(codes, 7):
        tally.add(piece)
    assert tally.counts().tolist() == np.bincount(codes, minlength=10).tolist() == tally.counts().tolist()


def test_the_exact_interval_of_independent_things():
    assert independent(0, 300) == (0.0, pytest.approx(3.689 / 300, rel=0.01))  # -log(0.025) / n
    assert independent(300, 300) == (pytest.approx(1 - 3.689 / 300, rel=0.01), 1.0)
    # Clopper and Pearson's own kind of example: 5 of 20
    assert independent(5, 20) == (pytest.approx(0.0866, abs=1e-4), pytest.approx(0.4910, abs=1e-4))
    everyone = np.ones((1_000, 40))
    found = rate(np.r_[np.ones(10), np.zeros(30)], np.ones(40), everyone)  # draws that are all alike say nothing
    assert (found.low, found.high) == independent(10, 40)


def test_intervals_hold_the_truth_where_identities_matter(rng):
    """Some identities are near everybody. Intervals over identities hold the true rate; those over pairs do not."""

    def crowd(identities, images):
        who = np.repeat(np.arange(1, identities + 1), images)
        centres = rng.normal(size=(identities, 3)) * rng.exponential(size=(identities, 1))
        return Embeddings((centres[who - 1] + 0.2 * rng.normal(size=(len(who), 3))).astype(np.float32), who)

    first, second = (crowd(200_000, 1).vectors for _ in range(2))
    threshold = to_end_of_step(0.4)
    truth = (np.linalg.norm(first - second, axis=1) <= threshold).mean()
    held = by_pairs = 0
    for _ in range(60):
        images = crowd(30, 4)
        images = Embeddings(images.vectors, images.identities, paths=np.arange(len(images)).astype(str))
        pairs = collect(images, images, protocols.single_camera, "euclidean", copies=2)
        ((fmr, _),) = rates_at(images, images, protocols.single_camera, "euclidean", pairs, [threshold])
        held += fmr.low <= truth <= fmr.high
        low, high = independent(fmr.value * pairs.different_impostors, pairs.different_impostors)
        by_pairs += low <= truth <= high
    assert held >= 54  # 90%; 57 are expected
    assert by_pairs < 45


def test_pair_rate_counts_a_pair_as_often_as_both_are_drawn():
    hits, totals = np.array([[0, 2], [1, 0]]), np.array([[0, 4], [4, 0]])
    draws = np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]])  # the second draw has no pair and is left out
    found = pair_rate(hits, totals, draws)
    assert found.value == 3 / 8 and (found.low, found.high) == independent(3, 8)


def test_points_and_what_they_need(rng):
    images = people(rng, 30)
    pairs = collect(images, images, MARKET, "euclidean", copies=2)
    found = errors(images, images, MARKET, "euclidean", pairs, (1e-2, 1e-3, 1e-5))
    assert [point.wanted for point in found.points] == [1e-2, 1e-3, 1e-5]
    assert [point.needed for point in found.points] == [300, 3_000, 300_000] == [needed(r) for r in (1e-2, 1e-3, 1e-5)]
    assert pairs.different_impostors == 30 * 29 // 2 * 36
    for point in found.points[:2]:
        assert point.fmr.value <= point.wanted and point.fmr.low <= point.fmr.value <= point.fmr.high
    assert found.points[2].threshold is found.points[2].fmr is found.points[2].fnmr is None
    assert found.points[0].threshold > found.points[1].threshold
    assert found.points[0].fnmr.value <= found.points[1].fnmr.value
    assert found.eer.low <= found.eer.value <= found.eer.high
    assert found.searches[1].needed == 300 and found.searches[1].threshold is None  # 180 searches
    assert found.strangers == 0


@pytest.mark.parametrize("absent", [0, 12])
def test_searches_equal_the_plain_loop(rng, absent):
    images = people(rng, 40, noise=0.9)
    asked = np.arange(len(images)) % 6 == 0
    there = ~asked & (images.identities > absent)  # the first are in no gallery
    query, gallery = (
        Embeddings(images.vectors[one], images.identities[one], images.cameras[one]) for one in (asked, there)
    )
    pairs = collect(query, gallery, MARKET, "euclidean")
    found = errors(query, gallery, MARKET, "euclidean", pairs, ())
    assert found.strangers == absent
    (point, _) = found.searches
    if absent:  # 12 searches of strangers are fewer than 30
        assert point.threshold is None and point.needed == 30
        return
    distances = pairwise(query.vectors, gallery.vectors)
    false = right = 0
    for q in range(len(query)):
        ranked = plain.order(q, query, gallery, distances, "market1501")
        others = [g for g in ranked if gallery.identities[g] != query.identities[q]]
        false += distances[q][others[0]] <= point.threshold
        right += ranked[0] not in others and distances[q][ranked[0]] <= point.threshold
    assert (point.fpir.value, point.tpir.value) == (false / 40, right / 40)
    assert false == math.floor(0.1 * 41) - 1 and 0 < right < 40
    assert point.fpir.low <= 0.1 <= point.fpir.high


def test_strangers_are_asked_alone_where_there_are_some(rng):
    near = people(rng, 60, images=4, noise=0.1)
    who = near.identities
    far = Embeddings(near.vectors[who > 30] + 50, who[who > 30], near.cameras[who > 30])
    gallery = Embeddings(near.vectors[who <= 30], who[who <= 30], near.cameras[who <= 30])
    query = Embeddings(np.r_[gallery.vectors, far.vectors], np.r_[gallery.identities, far.identities], near.cameras)
    pairs = collect(query, gallery, MARKET, "euclidean")
    point = errors(query, gallery, MARKET, "euclidean", pairs, ()).searches[0]
    assert point.threshold > 50 and point.tpir.value == 1  # only the far ones are strangers
