import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.pairs import pairs_of
from resight import DataError
from resight.decisions.probability import (
    fit,
    log_likelihood_ratio,
    pool_adjacent_violators,
    probability,
    reliability,
)

COUNTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any), min_size=1, max_size=12)


@given(counts=COUNTS)
@settings(max_examples=60, deadline=None)
def test_pooling_equals_the_min_max_formula(counts):
    """The falling fit at i is the least, over starts u <= i, of the greatest mean of u..v over ends v >= i
    (Barlow et al. 1972)."""
    genuine, impostors = np.array(counts).T

    def mean(u, v):
        return genuine[u : v + 1].sum() / (genuine[u : v + 1].sum() + impostors[u : v + 1].sum())

    count = len(counts)
    expected = [min(max(mean(u, v) for v in range(i, count)) for u in range(i + 1)) for i in range(count)]
    starts = pool_adjacent_violators(genuine, impostors)
    ends = [*starts[1:].tolist(), count]
    found = [mean(u, v - 1) for u, v in zip(starts.tolist(), ends, strict=True) for _ in range(u, v)]
    assert found == pytest.approx(expected)
    ratios = [mean(u, v - 1) for u, v in zip(starts.tolist(), ends, strict=True)]
    assert all(a > b for a, b in itertools.pairwise(ratios))


def normals(rng, count=200_000):
    return pairs_of(np.abs(rng.normal(1, 0.2, count)), np.abs(rng.normal(1.5, 0.2, count)))


def true_ratio(d):  # ((d - 1.5)^2 - (d - 1)^2) / (2 * 0.2^2)
    return 15.625 - 12.5 * d


@pytest.mark.parametrize(("method", "tolerance"), [("logistic", 0.1), ("isotonic", 0.4)])
def test_the_ratio_of_two_normal_distributions(rng, method, tolerance):
    knots = fit(normals(rng), method)
    at = np.linspace(1.0, 1.5, 51)
    assert np.abs(log_likelihood_ratio(knots, at) - true_ratio(at)).max() < tolerance
    assert (np.diff(log_likelihood_ratio(knots, np.linspace(0, 3, 300))) <= 0).all()


@pytest.mark.parametrize("prior", [0.5, 0.01, 0.9])
def test_probabilities_are_bayes(rng, prior):
    knots = fit(normals(rng))
    at = np.array([[1.0, 1.2], [1.3, 1.5]])
    likely = np.exp(true_ratio(at))
    expected = prior * likely / (prior * likely + 1 - prior)
    found = probability(knots, at, prior)
    assert found.shape == (2, 2) and np.abs(found - expected).max() < 0.05
    assert probability(knots, 1.25) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_reliable_on_new_pairs_and_not_when_overconfident(rng, method):
    knots = fit(normals(rng), method)
    new = normals(rng)
    for prior in (0.5, 0.1):
        good = reliability(new, knots, prior)
        assert good.error < 0.01 and good.weight.sum() == pytest.approx(1)
        assert np.abs(good.predicted - good.observed).max() < 0.05
        assert (good.weight * good.observed).sum() == pytest.approx(prior)
    wild = tuple((d, 4 * ratio) for d, ratio in knots)
    assert reliability(new, wild).error > 0.03


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_never_certain_even_when_separated(method):
    pairs = pairs_of([0.1, 0.2, 0.3], [1.0, 1.1, 1.2, 1.3])
    knots = fit(pairs, method)
    chance = probability(knots, [0.0, 0.2, 1.2, 9.0])
    assert (chance > 0).all() and (chance < 1).all()
    assert chance[1] > 0.6 and chance[2] < 0.4
    # three genuine pairs and the added impostor: 3/4 of the one kind against 1/5 of the other
    if method == "isotonic":
        assert log_likelihood_ratio(knots, 0.0) <= np.log((3 / 4) / (1 / 5)) + 1e-5


@pytest.mark.parametrize("method", ["logistic", "isotonic"])
def test_a_distance_that_says_nothing_or_the_contrary(method):
    for genuine, impostors in (([1.0, 1.0], [1.0]), ([2.0, 3.0] * 20, [0.5, 1.0] * 20)):
        knots = fit(pairs_of(genuine, impostors), method)
        assert probability(knots, [0.0, 1.0, 2.5]) == pytest.approx([0.5] * 3, abs=0.02)


def test_refusals(rng):
    pairs = pairs_of([1.0], [2.0])
    with pytest.raises(DataError, match="no probability method 'platt'"):
        fit(pairs, "platt")
    for prior in (0, 1, np.nan):
        with pytest.raises(DataError, match="The prior is"):
            probability(fit(pairs), 1.0, prior)
