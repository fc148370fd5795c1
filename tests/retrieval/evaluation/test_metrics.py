import numpy as np

from resight.retrieval.evaluation import metrics
from resight.retrieval.ranking.rank import MatchRanks


def test_hand_worked():
    # query 0: hits at 1, 3, 6; query 1: none; query 2: a hit at 51; query 3: hits at 2, 3
    found = metrics.per_query(MatchRanks(np.array([1, 3, 6, 51, 2, 3]), np.array([0, 3, 3, 4, 6])))
    np.testing.assert_allclose(
        found.average_precision, [(1 / 1 + 2 / 3 + 3 / 6) / 3, np.nan, 1 / 51, (1 / 2 + 2 / 3) / 2]
    )
    np.testing.assert_allclose(found.inverse_negative_penalty, [3 / 6, np.nan, 1 / 51, 2 / 3])
    assert found.first_match.tolist() == [1, 0, 51, 2]
    np.testing.assert_allclose(found.r_precision, [2 / 3, np.nan, 0, 1 / 2])
    cmc = metrics.cmc(found.first_match)
    assert list(cmc) == list(range(1, 51))
    assert cmc[1] == 1 / 3 and cmc[2] == cmc[50] == 2 / 3


def test_precision_among_the_first():
    matches = MatchRanks(np.array([1, 3, 6, 51, 2, 3]), np.array([0, 3, 3, 4, 6]))
    np.testing.assert_allclose(metrics.precision_at(matches, 1), [1, np.nan, 0, 0])
    np.testing.assert_allclose(metrics.precision_at(matches, 5), [2 / 5, np.nan, 0, 2 / 5])
    np.testing.assert_allclose(metrics.precision_at(matches, 100), [3 / 100, np.nan, 1 / 100, 2 / 100])


def test_no_matches_at_all():
    none = MatchRanks(np.empty(0, np.int64), np.zeros(3, np.int64))
    assert np.isnan(metrics.precision_at(none, 5)).all()
    found = metrics.per_query(none)
    assert np.isnan(found.average_precision).all() and found.first_match.tolist() == [0, 0]
