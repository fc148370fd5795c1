"""A decision where it is shown: trusted on pictures like the calibration's, and never a match on others."""

import numpy as np
import pytest

import resight
from reference.pairs import people
from resight import DataError, Embeddings
from resight.decisions.applied import MOST, apply


@pytest.fixture(scope="module")
def decision():
    return resight.calibrate(
        people(np.random.default_rng(1), 60, fingerprint="aa"), false_match_rate=1e-2, coverage=0.9
    )


def test_pictures_like_the_calibration_are_decided_as_ever(decision):
    found = apply(decision, people(np.random.default_rng(2), 60))
    assert found.trusted and found.banner == ""
    for distance in (0.0, decision.threshold, 2 * decision.no_match_beyond):
        assert found.decide(distance) == decision.decide(distance)


def test_nothing_is_a_match_on_pictures_unlike_them(decision):
    near = people(np.random.default_rng(2), 60)
    found = apply(decision, Embeddings(0.4 * near.vectors))
    assert not found.trusted and "unlike those the threshold was learnt on" in found.banner
    assert found.decide(0.0) == "unsure" and found.decide(2 * decision.no_match_beyond) == "no match"
    both = found.decide(np.array([0.0, 2 * decision.no_match_beyond]))
    assert both.tolist() == ["unsure", "no match"]


def test_too_few_pictures_tell_nothing(decision):
    found = apply(decision, people(np.random.default_rng(2), 10))
    assert found.drift is None and found.trusted and found.decide(0.0) == "match"


def test_many_pictures_are_sampled_and_always_the_same(decision):
    many = people(np.random.default_rng(3), 1_000)
    one, again = apply(decision, many), apply(decision, many)
    assert one == again and one.drift.images == MOST < len(many)


def test_junk_does_not_count_and_other_models_are_refused(decision):
    few = people(np.random.default_rng(2), 20)
    junk = np.where(np.arange(len(few)) < 60, -1, few.identities)
    assert apply(decision, Embeddings(few.vectors, junk)).drift is None
    with pytest.raises(DataError, match="calibrated on embeddings of aa but these are of bb"):
        apply(decision, people(np.random.default_rng(2), 60, fingerprint="bb"))
