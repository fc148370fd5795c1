"""Real embeddings of real images: what is promised on half of the identities holds on the other half."""

from pathlib import Path

import numpy as np
import pytest

import resight
from resight.decisions.report import measure_decisions
from resight.embedding.measure import measure
from resight.records import Embeddings

FALSE_MATCH_RATE, COVERAGE = 1e-2, 0.9


@pytest.fixture(scope="module")
def embedded(market_zip: Path, msmt17_weights: Path) -> tuple[Embeddings, Embeddings]:
    """Market-1501's validation identities through the MSMT17 weights at 64x32: 2 queries and 4 images of each."""
    data = resight.datasets.load("market1501", market_zip, fold="validation")
    kept = [split.take(first(split.identities, count)) for split, count in ((data.query, 2), (data.gallery, 4))]
    few = type(data)(data.name, data.train, *kept)
    query, gallery, _ = measure(resight.load("osnet_x0_25", weights=msmt17_weights, height=64, width=32), few)
    return query, gallery


def first(identities: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to ``count`` images of each identity, drawn at random, so that they are from several cameras."""
    order = np.random.default_rng(0).permutation(len(identities))
    return np.sort(np.concatenate([order[identities[order] == who][:count] for who in np.unique(identities)]))


@pytest.mark.long
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_promises_hold_on_the_other_half(embedded: tuple[Embeddings, Embeddings], metric: str) -> None:
    known = np.unique(embedded[0].identities)
    reports = []
    for seed in range(8):
        shuffled = np.random.default_rng(seed).permutation(known)
        for half in (shuffled[::2], shuffled[1::2]):
            calibration = tuple(one.take(np.isin(one.identities, half)) for one in embedded)
            others = tuple(one.take(~np.isin(one.identities, half)) for one in embedded)
            decision = resight.calibrate(
                calibration, false_match_rate=FALSE_MATCH_RATE, coverage=COVERAGE, metric=metric
            )
            reports.append(measure_decisions(decision, *others))
            assert reports[-1].identities > 60 and reports[-1].impostors > 30_000
            assert not decision.drift(others[1]).unlike
    assert sum(report.kept for report in reports) >= 15  # of 16: the intervals are of 95%
    assert np.mean([report.fmr.value for report in reports]) == pytest.approx(FALSE_MATCH_RATE, rel=0.2)
    assert np.mean([report.coverage.value for report in reports]) > COVERAGE - 0.01
    assert np.mean([report.refused for report in reports]) < 1 - COVERAGE + 0.01
    assert np.mean([report.reliability.error for report in reports]) < 0.05
