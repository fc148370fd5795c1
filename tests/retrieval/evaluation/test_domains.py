"""Several data sets in one table, against means and resampling by hand."""

import numpy as np
import pytest

from resight.errors import DataError
from resight.records import Embeddings, Report
from resight.retrieval.evaluation.compare import compare
from resight.retrieval.evaluation.domains import Domains, compare_domains
from resight.retrieval.evaluation.evaluate import evaluate


def measured(seed: int, people: int, noise: float, metric: str = "cosine") -> Report:
    """A report of random embeddings: ``people`` people, two queries and three gallery images each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 8))

    def embeddings(each: int, camera: int) -> Embeddings:
        ids = np.repeat(np.arange(1, people + 1), each)
        draw = np.random.default_rng(seed * 100 + camera)
        vectors = centres[ids - 1] + noise * draw.normal(size=(len(ids), 8))
        return Embeddings(vectors.astype(np.float32), identities=ids, cameras=np.full(len(ids), camera))

    return evaluate(embeddings(2, 1), embeddings(3, 2), metric=metric)


def test_the_average_weighs_data_sets_alike() -> None:
    reports = {"small": measured(1, 4, 2.0), "large": measured(2, 40, 2.0)}
    table = Domains(reports, {"large": 0.9})
    found = table.average()
    for name, values in {
        "mAP": [one.mAP for one in reports.values()],
        "R1": [one.cmc[1] for one in reports.values()],
        "R10": [one.cmc[10] for one in reports.values()],
        "mINP": [one.mINP for one in reports.values()],
    }.items():
        assert found[name] == pytest.approx((values[0] + values[1]) / 2)
    assert table.gap("small") is None and table.gap("large") == pytest.approx(0.9 - reports["large"].mAP)
    plain = table.numbers()
    assert plain["average"] == found and list(plain["sets"]) == ["small", "large"]
    assert plain["sets"]["large"]["best_known"] == 0.9 and "best_known" not in plain["sets"]["small"]


def test_what_has_no_average() -> None:
    with pytest.raises(DataError, match="one metric"):
        Domains({"a": measured(1, 4, 1.0), "b": measured(1, 4, 1.0, "euclidean")}, {})
    with pytest.raises(DataError, match="one metric"):
        Domains({}, {})
    with pytest.raises(DataError, match="1 and 0 reports"):
        compare_domains([measured(1, 4, 1.0)], [])


def test_one_data_set_is_the_plain_comparison() -> None:
    a, b = measured(3, 30, 2.5), measured(3, 30, 1.5)
    plain, found = compare(a, b, seed=5), compare_domains([a], [b], seed=5)
    assert found.mAP.value == pytest.approx(plain.mAP.value) and found.R5.value == pytest.approx(plain.R5.value)
    assert (found.wins, found.losses, found.ties) == (plain.wins, plain.losses, plain.ties)
    assert found.mAP.low == pytest.approx(plain.mAP.low, abs=0.01)
    assert found.mAP.high == pytest.approx(plain.mAP.high, abs=0.01)
    np.testing.assert_array_equal(found.difference, plain.difference)


def test_the_difference_is_that_of_the_averages_and_its_interval_that_of_resampled_people() -> None:
    a = [measured(4, 6, 2.0), measured(5, 30, 2.5), measured(6, 12, 2.2)]
    b = [measured(4, 6, 1.6), measured(5, 30, 2.3), measured(6, 12, 1.9)]
    found = compare_domains(a, b)
    for name, of in (("mAP", lambda one: one.mAP), ("R1", lambda one: one.cmc[1])):
        expected = np.mean([of(one) for one in b]) - np.mean([of(one) for one in a])
        assert getattr(found, name).value == pytest.approx(expected)
    assert len(found.difference) == 2 * (6 + 30 + 12)
    rng, drawn = np.random.default_rng(9), []
    for _ in range(1000):
        means = []
        for before, now in zip(a, b, strict=True):
            gained = now.average_precision - before.average_precision
            people = np.unique(before.identities)
            chosen = rng.choice(people, len(people))
            means.append(np.mean([gained[before.identities == one].mean() for one in chosen]))  # two queries each
        drawn.append(np.mean(means))
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert found.mAP.low == pytest.approx(low, abs=0.015) and found.mAP.high == pytest.approx(high, abs=0.015)


def test_the_p_value_is_that_of_all_exchanges() -> None:
    a, b = [measured(7, 3, 2.0), measured(8, 4, 2.0)], [measured(7, 3, 1.5), measured(8, 4, 1.9)]
    gained = []
    for before, now in zip(a, b, strict=True):
        change = now.average_precision - before.average_precision
        gained += [change[before.identities == one].sum() / len(change) / 2 for one in np.unique(before.identities)]
    totals = [
        abs(sum(sign * value for sign, value in zip(signs, gained, strict=True)))
        for signs in np.ndindex(*(2,) * len(gained))
        for signs in [[1 - 2 * bit for bit in signs]]
    ]
    exact = np.mean(np.array(totals) >= abs(sum(gained)) - 1e-12)
    assert compare_domains(a, b).p_value == pytest.approx(exact, abs=0.02)
    same = compare_domains(a, a)
    assert same.p_value == 1 and same.mAP.value == 0 and same.ties == 14
