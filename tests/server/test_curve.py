"""The curve of thresholds: what was measured stands in it, what lies between is a power law, and nothing is made up."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import resight
from resight.decisions.operating import Point
from resight.gallery.gallery import Gallery
from resight.retrieval.evaluation.compare import Interval
from resight.server.curve import STEPS, curve

from .conftest import Serve, calibrated


def decision(*points: tuple[float, float, float]) -> resight.Decision:
    """A decision whose calibration measured (threshold, false-match rate, miss rate); the first is its own."""
    made = resight.Decision.from_plain(calibrated().card.decision)

    def exactly(value: float) -> Interval:
        return Interval(value, value, value)

    own, *others = points
    errors = replace(
        made.facts.errors,
        eer_threshold=own[0],  # measured there as well, where the threshold's own rates count
        points=(
            *(Point(0.1, 30, at, exactly(false), exactly(missed)) for at, false, missed in others),
            Point(1e-9, 3_000_000_000),  # too few pairs to say
        ),
    )
    facts = replace(made.facts, fmr=exactly(own[1]), fnmr=exactly(own[2]), errors=errors)
    return replace(made, threshold=own[0], facts=facts)


def test_between_two_measured_thresholds_the_false_match_rate_is_a_power_law() -> None:
    points = curve(decision((2.0, 1e-3, 0.2), (4.0, 1e-1, 0.1), (1.0, 1e-4, 0.6)))
    assert [(p.threshold, p.false_match_rate, p.miss_rate) for p in points if p.measured] == [
        (1.0, 1e-4, 0.6),
        (2.0, 1e-3, 0.2),
        (4.0, 1e-1, 0.1),
    ]
    assert len(points) == 2 * STEPS + 1
    for p in points:
        if p.threshold <= 2:
            assert p.false_match_rate == pytest.approx(1e-4 * 10 ** (p.threshold - 1))
            assert p.miss_rate == pytest.approx(0.6 - 0.4 * (p.threshold - 1))
        else:
            assert p.false_match_rate == pytest.approx(1e-3 * 10 ** (p.threshold - 2))
            assert p.miss_rate == pytest.approx(0.2 - 0.05 * (p.threshold - 2))


def test_a_rate_of_none_at_all_is_kept_and_no_number_is_infinite() -> None:
    points = curve(decision((1.0, 0.0, 0.5), (2.0, 1e-2, 0.1)))
    assert points[0].false_match_rate == 0 and points[-1].false_match_rate == 1e-2
    rates = [p.false_match_rate for p in points]
    assert rates == sorted(rates) and all(map(math.isfinite, rates)) and rates[1] > 0
    assert len(curve(decision((1.0, 0.0, 0.5)))) == 1


def test_the_page_is_told_what_the_card_knows(serve: Serve, tmp_path: Path, client: TestClient) -> None:
    assert client.get("/api/decision").json() == {
        "metric": "euclidean",
        "threshold": None,
        "no_match_beyond": None,
        "false_match_rate": None,
        "curve": [],
        "warning": "",
    }
    model = calibrated()
    with Gallery.open(tmp_path / "known", resight.Embedder(model, "torch")) as known:
        told = serve(known).get("/api/decision").json()
    made = resight.Decision.from_plain(model.card.decision)
    assert (told["metric"], told["threshold"]) == ("euclidean", made.threshold)
    assert (told["no_match_beyond"], told["false_match_rate"]) == (made.no_match_beyond, 0.01)
    own = [p for p in told["curve"] if p["threshold"] == made.threshold]
    assert [(p["false_match_rate"], p["miss_rate"], p["measured"]) for p in own] == [
        (made.facts.fmr.value, made.facts.fnmr.value, True)
    ]
    errors = made.facts.errors
    equal = [p for p in told["curve"] if p["threshold"] == errors.eer_threshold]
    assert [(p["false_match_rate"], p["miss_rate"], p["measured"]) for p in equal] == [
        (errors.eer.value,) * 2 + (True,)
    ]
    false, missed = (np.array([p[name] for p in told["curve"]]) for name in ("false_match_rate", "miss_rate"))
    assert (np.diff(false) >= 0).all() and (np.diff(missed) <= 0).all() and (false <= 1).all()
