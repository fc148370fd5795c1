"""Calibration on several domains: recounted one pair at a time, and on places where the truth is known."""

import json

import numpy as np
import pytest

import resight
from reference.pairs import every_pair, people
from resight import DataError, Decision, Embeddings
from resight.decisions.domains import calibrate_domains
from resight.decisions.pairs import to_end_of_step
from resight.retrieval.ranking.distance import pairwise

RATE = 1e-2


def place(seed, scale=1.0, identities=40, **options):
    """A domain in which everybody is ``scale`` times as far from everybody as elsewhere."""
    found = people(np.random.default_rng(seed), identities, images=6, cameras=3, noise=0.6, **options)
    return Embeddings(scale * found.vectors, found.identities, found.cameras, found.paths)


@pytest.fixture(scope="module")
def alike():
    return {"yard": place(1), "hall": place(2), "road": place(3)}


@pytest.fixture(scope="module")
def decision(alike):
    return calibrate_domains(alike, false_match_rate=RATE, coverage=0.9)


def by_hand(images, threshold):
    """False-match rates of pairs of one camera and of two, and the share of missed pairs of two, pair by pair."""
    distances = pairwise(images.vectors, images.vectors)
    one, two, genuine = [], [], []
    for q, g, distance, same in every_pair(images, images, distances, "market1501"):
        if same:
            genuine.append(distance > threshold)
        else:
            (one if images.cameras[q] == images.cameras[g] else two).append(distance <= threshold)
    return np.mean(one), np.mean(two), np.mean(genuine)


def test_every_rate_is_counted_pair_by_pair(alike, decision):
    assert [one.name for one in decision.domains] == ["yard", "hall", "road"]
    for found in decision.domains:
        one, two, missed = by_hand(alike[found.name], decision.threshold)
        assert found.same_camera.value == pytest.approx(one) and found.cross_camera.value == pytest.approx(two)
        assert found.fnmr.value == pytest.approx(missed) and found.identities == 40
        for rate in (found.same_camera, found.cross_camera, found.fnmr):
            assert rate.low <= rate.value <= rate.high
        assert max(one, two) <= RATE


def test_the_threshold_is_the_smallest_of_all_places_and_kinds_of_pairs(alike, decision):
    smallest = np.inf
    for images in alike.values():
        distances = pairwise(images.vectors, images.vectors)
        for same_camera in (True, False):
            of = sorted(
                d
                for q, g, d, same in every_pair(images, images, distances, "market1501")
                if not same and (images.cameras[q] == images.cameras[g]) == same_camera
            )
            allowed = int(RATE * (len(of) + 2) - 2 + 1e-6)  # each pair is there twice
            smallest = min(smallest, of[allowed])
    assert decision.threshold < smallest < 1.001 * decision.threshold


def test_a_place_where_strangers_are_nearer_decides(alike, decision):
    """Strangers in the tunnel are 0.6 times as far apart: the other places' threshold breaks the promise there, but its
    images are unlike theirs, so that no match would be given."""
    found = calibrate_domains({**alike, "tunnel": place(4, 0.6)}, false_match_rate=RATE, coverage=0.9)
    of = {one.name: one for one in found.domains}
    assert of["tunnel"].left_out.low > RATE and of["yard"].left_out.value <= RATE
    assert of["tunnel"].unlike and not of["yard"].unlike
    own = resight.calibrate(place(4, 0.6), false_match_rate=RATE, coverage=0.9).threshold
    assert 0.55 < own / decision.threshold < 0.75 and found.threshold == pytest.approx(own, rel=0.02)
    assert found.no_match_beyond > own
    without = calibrate_domains(alike, false_match_rate=RATE, coverage=0.9)
    assert without.drift(place(4, 0.6)).unlike


def test_what_nobody_would_notice_is_expected_again(alike, decision):
    """Families of four who look alike, though their images look like those of other places: the threshold shrinks once
    more by the ratio of the two thresholds."""
    few = place(4, identities=12)
    order = np.argsort(few.identities, kind="stable")
    images = few.take(np.concatenate([order, order]))
    noise = np.random.default_rng(1).normal(size=images.vectors.shape).astype(np.float32)
    people = images.identities * 4 + np.arange(len(images)) % 4
    families = Embeddings(images.vectors + 0.05 * noise, people, np.arange(len(images)) // 4 % 3 + 1)
    found = calibrate_domains({**alike, "village": families}, false_match_rate=RATE, coverage=0.9)
    of = {one.name: one for one in found.domains}
    assert of["village"].left_out.low > RATE and not of["village"].unlike
    alone = min(calibrate_domains({"a": families, "b": families}, false_match_rate=RATE, coverage=0.9).threshold, 9)
    assert found.threshold == pytest.approx(alone * alone / decision.threshold, rel=0.02)
    assert found.decide(alone) == "unsure"


def test_probabilities_are_the_lowest_of_the_places(alike, decision):
    at = np.linspace(0, 10, 200)
    each = [
        resight.calibrate(one, false_match_rate=RATE, coverage=0.9, protocol="market1501").probability(at)
        for one in alike.values()
    ]
    found = decision.probability(at)
    assert (found <= np.min(each, axis=0) + 0.02).all() and (np.diff(found) <= 1e-12).all()
    assert (found >= np.min(each, axis=0) - 0.05).all()


def test_images_of_any_of_the_places_are_no_drift(alike):
    found = calibrate_domains({**alike, "tunnel": place(4, 0.6)}, false_match_rate=RATE, coverage=0.9)
    assert not found.drift(place(8)).unlike and not found.drift(place(9, 0.6)).unlike
    assert found.drift(place(8, 0.2)).unlike
    assert found.taken_over("bb").domains[0].reference.quantiles[0] == ()


def test_plain_data(decision):
    again = Decision.from_plain(json.loads(json.dumps(decision.plain())))
    assert again == decision and hash(again) == hash(decision) and "the worst of 3 places" in str(decision)
    assert to_end_of_step(decision.threshold) == decision.threshold


def test_query_and_gallery_are_one_place_each(alike):
    halves = {}
    for name, images in alike.items():
        first = np.arange(len(images)) % 2 == 0
        halves[name] = images.take(first), images.take(~first)
    whole, parts = (calibrate_domains(one, false_match_rate=RATE, coverage=0.9) for one in (alike, halves))
    assert parts.threshold == whole.threshold


def test_what_cannot_be_calibrated(alike):
    with pytest.raises(DataError, match="There are 1 domains: pass two or more"):
        calibrate_domains({"yard": alike["yard"]})
    yard = alike["yard"]
    bare = Embeddings(yard.vectors, yard.identities)
    with pytest.raises(DataError, match="Domain hall has no cameras"):
        calibrate_domains({"yard": yard, "hall": bare}, false_match_rate=RATE, coverage=0.9)
    few = place(3, identities=21)
    with pytest.raises(DataError, match="Domain few cannot support a false-match rate of 1e-05"):
        calibrate_domains({"few": few, "yard": yard}, false_match_rate=1e-5, coverage=0.9)
    with pytest.raises(DataError, match=r"Domain few: .* needs at least 24 identities"):
        calibrate_domains({"few": few, "yard": yard}, false_match_rate=RATE, coverage=0.96)
