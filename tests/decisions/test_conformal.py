import math

import numpy as np
import pytest

from resight import DataError
from resight.decisions.conformal import conformal_distance, coverage_by_identity, needed_identities


@pytest.mark.parametrize(("count", "coverage"), [(19, 0.95), (20, 0.95), (100, 0.9), (57, 0.5), (99, 0.99), (9, 0.9)])
def test_one_value_each_is_an_order_statistic(rng, count, coverage):
    values = rng.random(count)
    expected = np.sort(values)[math.ceil((count + 1) * coverage - 1e-9) - 1]
    assert conformal_distance(values, rng.permutation(count), coverage) == expected


def test_how_many_identities_a_coverage_needs():
    for coverage in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999):
        count = needed_identities(coverage)
        assert count / (count + 1) >= coverage - 1e-9 > (count - 1) / count - 1e-9
        conformal_distance(np.arange(count), np.arange(count), coverage)
        with pytest.raises(DataError, match=f"needs at least {count} identities .* has {count - 1}:"):
            conformal_distance(np.arange(count - 1), np.arange(count - 1), coverage)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, math.nan])
def test_coverage_out_of_range(coverage):
    with pytest.raises(DataError, match="coverage is"):
        conformal_distance(np.arange(50), np.arange(50), coverage)


def test_covers_a_new_query_as_often_as_promised(rng):
    """Exchangeable queries: the next one is covered with probability ceil((n + 1) c) / (n + 1), whatever they are."""
    covered = []
    for _ in range(4_000):
        values = np.exp(2 * rng.normal(size=31))
        covered.append(values[-1] <= conformal_distance(values[:-1], np.arange(30), 0.9))
    expected = math.ceil(31 * 0.9) / 31
    assert np.mean(covered) == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4_000))


def test_covers_a_new_identity_where_identities_differ(rng):
    """Hard identities have hard queries, and more of them: the promise holds for a query of somebody new."""
    promised, pooled = [], []
    for _ in range(2_000):
        hard = rng.exponential(size=41)
        counts = 1 + (6 * np.exp(-hard)).astype(int)  # the easy ones have the most queries
        who = np.repeat(np.arange(41), counts)
        values = hard[who] + 0.1 * rng.random(len(who))
        old = who < 40
        new = values[-1]
        promised.append(new <= conformal_distance(values[old], who[old], 0.9))
        pooled.append(new <= conformal_distance(values[old], np.arange(old.sum()), 0.9))
    spread = math.sqrt(0.09 / 2_000)
    assert np.mean(promised) > 0.9 - 4 * spread
    assert np.mean(promised) < 0.9 + 1 / 41 + 4 * spread
    assert np.mean(pooled) < 0.9 - 4 * spread  # to count queries alone would break it


def test_coverage_by_identity():
    shares = coverage_by_identity(np.array([True, False, True, True]), np.array([7, 7, 3, 7]))
    assert shares.tolist() == pytest.approx([1, 2 / 3])
