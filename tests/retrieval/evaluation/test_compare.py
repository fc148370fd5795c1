"""Intervals and paired comparisons: against closed forms, and on data where the truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from resight.errors import DataError
from resight.records import Report
from resight.retrieval.evaluation.compare import compare, intervals


def report(precision: np.ndarray, first: np.ndarray | None = None, people: np.ndarray | None = None) -> Report:
    """Every query is of another person where ``people`` is not given."""
    precision = np.asarray(precision, np.float64)
    first = np.where(precision >= 0.5, 1, 7) if first is None else np.asarray(first)
    first = np.where(np.isfinite(precision), first, 0)
    known = np.isfinite(precision)
    cmc = {k: float((first[known] <= k).mean()) for k in range(1, 51)}
    return Report(
        float(precision[known].mean()), cmc, 0.5, precision, first, len(precision), int(known.sum()),
        int((~known).sum()), 100, "market1501", "cosine",
        identities=np.arange(1, len(precision) + 1) if people is None else people,
    )  # fmt: skip


def test_an_interval_is_that_of_the_binomial_and_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    precision = rng.beta(2, 3, 2_000)
    first = rng.integers(1, 15, 2_000)
    found = intervals(report(precision, first))
    for key, values in (("mAP", precision), ("R1", first <= 1), ("R5", first <= 5), ("R10", first <= 10)):
        error = 1.96 * values.std() / np.sqrt(len(values))
        assert found[key].value == pytest.approx(values.mean())
        assert found[key].low == pytest.approx(values.mean() - error, abs=0.1 * error)
        assert found[key].high == pytest.approx(values.mean() + error, abs=0.1 * error)
    assert intervals(report(precision, first)) == found
    narrow = intervals(report(precision, first), level=0.5)["mAP"]
    assert found["mAP"].low < narrow.low < narrow.high < found["mAP"].high
    assert str(found["mAP"]).count("%") == 3


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = intervals(report(rng.beta(2, 2, 120)), level=0.9, draws=300)["mAP"]
        held += found.low <= 0.5 <= found.high
    assert 165 <= held <= 195  # 180 expected


def queries(rng: np.random.Generator, people: int = 60, each: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Average precisions of queries whose person decides most of it, with mean 0.5; and the people."""
    hard = np.repeat(rng.uniform(0.2, 0.8, people), each)
    return hard + rng.uniform(-0.2, 0.2, people * each), np.repeat(np.arange(1, people + 1), each)


def test_intervals_cover_the_truth_where_queries_share_people() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        precision, people = queries(rng)
        found = intervals(report(precision, people=people), draws=300)["mAP"]
        held += found.low <= 0.5 <= found.high
    assert 0.92 * 300 <= held <= 0.98 * 300  # over queries as if each were of another person: 0.66


def test_equal_models_are_rarely_called_different_where_queries_share_people() -> None:
    rng = np.random.default_rng(6)
    alarms, held = 0, 0
    for _ in range(300):
        (one, people), (other, _) = queries(rng), queries(rng)
        found = compare(report(one, people=people), report(other, people=people), draws=200)
        alarms += found.p_value < 0.05
        held += found.mAP.low <= 0 <= found.mAP.high
    assert alarms <= 0.08 * 300 and held >= 0.91 * 300  # exchanging single queries: 0.32 are called different


def test_people_with_more_queries_count_more_and_in_any_order() -> None:
    precision, people = np.array([0.2, 0.9, 0.4, 0.6]), np.array([7, 3, 7, 7])
    found = intervals(report(precision, people=people))["mAP"]
    assert found.value == pytest.approx(0.525)
    assert (found.low, found.high) == pytest.approx((0.4, 0.9))  # person 7 drawn twice, person 3 drawn twice
    order = np.array([2, 0, 3, 1])
    assert intervals(report(precision[order], people=people[order]))["mAP"] == found


def test_dropped_queries_do_not_count() -> None:
    precision = np.array([0.2, np.nan, 0.8, 0.6])
    assert intervals(report(precision))["mAP"].value == pytest.approx((0.2 + 0.8 + 0.6) / 3)
    found = compare(report(precision), report(np.array([0.3, np.nan, 0.7, 0.6])))
    assert (found.wins, found.losses, found.ties) == (1, 1, 1)
    assert np.isnan(found.difference[1]) and found.best(9).tolist() == [0] and found.worst(9).tolist() == [2]


def test_a_better_model_is_told_from_luck() -> None:
    rng = np.random.default_rng(2)
    a = rng.beta(2, 2, 1_000)
    better = np.clip(a + 0.02 + 0.1 * rng.normal(size=1_000), 0, 1)
    same = np.clip(a + 0.1 * rng.normal(size=1_000), 0, 1)
    found = compare(report(a), report(better))
    assert found.p_value < 0.01 and found.mAP.low > 0 and found.wins > found.losses
    assert found.mAP.value == pytest.approx(better.mean() - a.mean())
    gained = better - a
    assert found.best(3).tolist() == np.argsort(-gained)[:3].tolist()
    assert found.worst(2).tolist() == np.argsort(gained)[:2].tolist()
    backwards = compare(report(better), report(a))
    assert backwards.mAP.value == pytest.approx(-found.mAP.value) and backwards.wins == found.losses
    assert compare(report(a), report(same)).p_value > 0.01
    assert compare(report(a), report(a)).p_value == 1.0
    assert set(found.numbers()) == {"mAP", "R1", "R5", "R10", "wins", "losses", "ties", "p_value"}


def test_differences_at_every_rank() -> None:
    rng = np.random.default_rng(3)
    precision = rng.beta(2, 2, 400)
    a, b = (report(precision, rng.integers(1, top, 400)) for top in (20, 15))
    found = compare(a, b)
    for k in (1, 5, 10):
        hits = [float(y <= k) - float(x <= k) for x, y in zip(a.first_match, b.first_match, strict=True)]
        one = getattr(found, f"R{k}")
        assert one.value == pytest.approx(sum(hits) / 400) == pytest.approx(b.cmc[k] - a.cmc[k])
        assert one.high - one.low == pytest.approx(2 * 1.96 * np.std(hits) / 20, rel=0.1)
    assert found.mAP.value == found.wins == found.losses == 0


def test_the_p_value_by_all_exchanges() -> None:
    """Five queries: of all 32 sign patterns those at least as extreme are counted by hand."""
    a, b = np.full(5, 0.2), np.array([0.5, 0.4, 0.3, 0.25, 0.1])
    gained = b - a
    patterns = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    exact = (np.abs(gained @ patterns) >= abs(gained.sum()) - 1e-12).mean()
    assert compare(report(a), report(b), draws=20_000).p_value == pytest.approx(exact, abs=0.01)


def test_what_cannot_be_compared() -> None:
    one = report(np.array([0.2, 0.4]))
    with pytest.raises(DataError, match="of 2 queries under market1501 and of 3 under market1501"):
        compare(one, report(np.array([0.2, 0.4, 0.1])))
    with pytest.raises(DataError, match="under single_camera: compare evaluations of the same queries and protocol"):
        compare(one, replace(one, protocol="single_camera"))
    with pytest.raises(DataError, match="have not evaluated the same queries"):
        compare(one, report(np.array([0.2, np.nan])))
    with pytest.raises(DataError, match="of queries of other people, or in another order"):
        compare(one, replace(one, identities=np.array([2, 1])))
    with pytest.raises(DataError, match="does not say which person each query shows"):
        intervals(replace(one, identities=None))
    with pytest.raises(DataError, match="No query was evaluated"):
        intervals(replace(one, average_precision=np.array([np.nan, np.nan])))
    with pytest.raises(DataError, match=r"confidence level is 1\.5"):
        intervals(one, level=1.5)
    with pytest.raises(DataError, match="0 draws give no interval"):
        intervals(one, draws=0)
