import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from reference.pairs import pairs_of
from resight.decisions.curves import NOTHING, curve, fmr, fnmr, threshold_at
from resight.decisions.pairs import end_of, step_of

SOME = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 7.0]), min_size=1, max_size=30)


@given(genuine=SOME, impostors=SOME)
@settings(max_examples=60, deadline=None)
def test_rates_are_shares_within_and_beyond(genuine, impostors):
    pairs = pairs_of(genuine, impostors)
    found = curve(pairs)
    assert found.thresholds[0] == NOTHING and (found.fmr[0], found.fnmr[0]) == (0, 1)
    assert (found.fmr[-1], found.fnmr[-1]) == (1, 0)
    for threshold, false, missed in zip(found.thresholds, found.fmr, found.fnmr, strict=True):
        assert false == pytest.approx(sum(d <= threshold for d in impostors) / len(impostors))
        assert missed == pytest.approx(sum(d > threshold for d in genuine) / len(genuine))
    inner = found.thresholds[1:].astype(np.float32)
    assert fmr(pairs, inner).tolist() == found.fmr[1:].tolist()
    assert fnmr(pairs, inner).tolist() == found.fnmr[1:].tolist()


@given(genuine=SOME, impostors=SOME)
@settings(max_examples=60, deadline=None)
def test_the_equal_error_rate_lies_where_the_curves_cross(genuine, impostors):
    found = curve(pairs_of(genuine, impostors))
    rate, threshold = found.eer()
    at = found.thresholds.tolist().index(threshold)
    assert found.fmr[at] >= found.fnmr[at] and found.fmr[at - 1] < found.fnmr[at - 1]
    assert found.fmr[at - 1] <= rate <= found.fmr[at] and found.fnmr[at] <= rate <= found.fnmr[at - 1]


@given(impostors=SOME, rate=st.floats(0.01, 0.99), copies=st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_no_larger_threshold_keeps_the_rate(impostors, rate, copies):
    counts = pairs_of([1.0], impostors * copies).impostors
    found = threshold_at(counts, rate, copies)

    def kept(threshold):  # a new pair is within it with probability at most (c + 1) / (n + 1)
        return sum(d <= threshold for d in impostors) + 1 <= rate * (len(impostors) + 1) + 1e-6 / copies

    if found is None:
        assert not kept(0.0)
        return
    assert kept(found)
    after = float(end_of(step_of([found]) + 1)[0])
    assert not kept(after)


def test_the_promise_holds_for_a_new_pair(rng):
    """The probability that a new impostor pair is within the threshold, over many small calibrations."""
    false = []
    for _ in range(500):
        threshold = threshold_at(pairs_of([1.0], rng.random(59)).impostors, 0.05)
        false.append(threshold)  # uniform distances: the threshold is its own false-match rate
    # the third smallest of 59 has mean 3 / 60, and the threshold is just below it
    assert np.mean(false) == pytest.approx(0.05, abs=4 * np.std(false) / np.sqrt(len(false)))


def test_two_normal_distributions(rng):
    genuine, impostors = rng.normal(1, 0.2, 200_000), rng.normal(2, 0.2, 400_000)
    found = curve(pairs_of(np.abs(genuine), np.abs(impostors)))
    rate, threshold = found.eer()
    assert rate == pytest.approx(norm.cdf(-2.5), rel=0.05)
    assert threshold == pytest.approx(1.5, abs=0.01)
    for wanted in (1e-1, 1e-2, 1e-3):
        limit = threshold_at(pairs_of([1.0], np.abs(impostors)).impostors, wanted)
        assert limit == pytest.approx(norm.ppf(wanted, 2, 0.2), abs=0.02)
    x, y = found.det()  # a straight line: x + y = -(2 - 1) / 0.2
    middle = (np.abs(x) < 3) & (np.abs(y) < 3)
    assert middle.sum() > 50 and np.abs(x + y + 5)[middle].max() < 0.15
    thin = found.thinned(100)
    assert len(thin.thresholds) <= 102
    for whole, part in zip((found.fmr, found.fnmr), (thin.fmr, thin.fnmr), strict=True):
        assert np.abs(np.interp(found.thresholds, thin.thresholds, part) - whole).max() < 0.05
    assert thin.eer()[0] == pytest.approx(rate, rel=0.1)
    assert (thin.fmr[0], thin.fnmr[0], thin.fmr[-1], thin.fnmr[-1]) == (0, 1, 1, 0)
