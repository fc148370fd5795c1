import json
import pickle

import numpy as np
import pytest

import resight
from reference import ranking as plain
from reference.pairs import every_pair, people
from resight import DataError, Decision, Embeddings
from resight.decisions.conformal import conformal_distance
from resight.decisions.pairs import collect, to_end_of_step
from resight.decisions.report import measure_decisions, rate_text
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.protocols import market1501


@pytest.fixture(scope="module")
def images():
    return people(np.random.default_rng(7), 80, images=6, cameras=3, noise=0.7, fingerprint="aa")


@pytest.fixture(scope="module")
def decision(images):
    return resight.calibrate(images, false_match_rate=1e-2, coverage=0.9)


def test_equals_the_plain_loop(images, decision):
    distances = pairwise(images.vectors, images.vectors)
    everything = list(every_pair(images, images, distances, "market1501"))
    impostors = np.array([d for _, _, d, same in everything if not same])
    genuine = np.array([d for _, _, d, same in everything if same])
    assert decision.facts.fmr.value == pytest.approx((impostors <= decision.threshold).mean())
    assert decision.facts.fnmr.value == pytest.approx((genuine > decision.threshold).mean())
    assert 0.009 < decision.facts.fmr.value <= 0.01
    assert (decision.facts.genuine, decision.facts.impostors) == (len(genuine) // 2, len(impostors) // 2)
    nearest = {}
    for q, _, d, same in everything:
        if same:
            nearest[q] = min(d, nearest.get(q, np.inf))
    found = conformal_distance(np.array(list(nearest.values())), images.identities[list(nearest)], 0.9)
    assert decision.set_distance == to_end_of_step(found)
    part = np.array([d <= decision.set_distance for _, _, d, _ in everything]).sum() / 480
    assert decision.set_size == pytest.approx(part)
    assert (decision.metric, decision.protocol, decision.fingerprint) == ("euclidean", "market1501", "aa")
    assert (decision.facts.identities, decision.facts.queries, decision.facts.gallery) == (80, 480, 480)


def test_words(decision):
    near, far = decision.threshold, decision.no_match_beyond
    assert near < far  # these people are hard enough
    assert [decision.decide(d) for d in (0.0, near, (near + far) / 2, far, far * 1.01)] == [
        "match", "match", "unsure", "unsure", "no match",
    ]  # fmt: skip
    assert decision.decide(np.array([[near, far], [near * 1.01, 2 * far]])).tolist() == [
        ["match", "unsure"],
        ["unsure", "no match"],
    ]
    assert decision.decide(np.float32(near)) == "match"


def test_probabilities_fall_with_the_distance(decision):
    at = np.linspace(0, 12, 100)
    chance = decision.probability(at)
    assert (np.diff(chance) <= 0).all() and chance[0] > 0.95 and chance[-1] < 0.05
    assert isinstance(decision.probability(3.0), float)
    assert decision.probability(3.0, prior=0.001) < decision.probability(3.0) < decision.probability(3.0, prior=0.9)


def test_plain_data_and_pickle(decision):
    plain = json.loads(json.dumps(decision.plain()))
    assert Decision.from_plain(plain) == decision == pickle.loads(pickle.dumps(decision))
    assert plain == decision.plain() and hash(decision) == hash(Decision.from_plain(plain))
    assert len(json.dumps(plain)) < 20_000
    for damaged, message in (
        ({}, "version None"),
        (plain | {"version": 3}, "version 3"),
        (plain | {"more": 1}, "decision is incomplete .*more"),
        ({key: value for key, value in plain.items() if key != "facts"}, "decision is incomplete .*facts"),
        (plain | {"knots": [1, 2]}, "decision is incomplete"),
        (plain | {"domains": [3]}, "decision is incomplete"),
    ):
        with pytest.raises(DataError, match=message):
            Decision.from_plain(damaged)


def test_a_decision_of_version_1_is_read_without_its_camera_pairs(decision):
    plain = json.loads(json.dumps(decision.plain()))
    del plain["domains"]
    own = [{"cameras": [1, 2], "threshold": 0.5, "fnmr": None, "impostors": 9}]
    assert Decision.from_plain(plain | {"version": 1, "camera_pairs": own}) == decision


@pytest.mark.parametrize("given", ["0.3", None, [0.1, "a"], -0.5, np.nan])
def test_what_is_no_distance_is_refused(decision, given):
    for ask in (decision.decide, decision.probability):
        with pytest.raises(DataError, match="A distance is a number from 0 upwards"):
            ask(given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, e: resight.calibrate(e.vectors), "The query must be resight.Embeddings but is a ndarray"),
        (lambda d, e: resight.calibrate((e, None)), "The gallery must be resight.Embeddings but is None"),
        (lambda d, e: resight.calibrate(e, false_match_rate="1e-3"), "The false-match rate is '1e-3'"),
        (lambda d, e: resight.calibrate(e, coverage=True), "The coverage is True"),
        (lambda d, e: resight.calibrate(e, metric="l2"), "There is no metric 'l2'"),
        (lambda d, e: d.drift(e.vectors), "The images must be resight.Embeddings"),
        (lambda d, e: d.probability(0.1, prior="half"), "The prior is 'half'"),
        (lambda d, e: measure_decisions(d, e.vectors, e), "The query must be resight.Embeddings"),
    ],
)
def test_a_slip_is_one_sentence(images, decision, call, message):
    with pytest.raises(DataError, match=message):
        call(decision, images)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_metric_is_that_of_the_embeddings(images, metric):
    given = Embeddings(images.vectors, images.identities, images.cameras, images.paths, metric=metric)
    found = resight.calibrate(given, false_match_rate=1e-2, coverage=0.9)
    assert found.metric == metric and (found.threshold < 2) == (metric == "cosine")


def test_it_reads_well(images, decision):
    assert f"{decision.threshold:.4g}" in str(decision) and "80 identities" in str(decision)
    report = measure_decisions(decision, images, images)
    assert "promised 1%" in str(report) and "kept" in str(report)
    assert rate_text(0.00123) == "0.12%" and rate_text(0.5) == "50.0%" and rate_text(0.0) == "0.0%"


def test_a_report_on_the_calibration_itself_is_the_calibration(images, decision):
    report = measure_decisions(decision, images, images)
    assert (report.fmr, report.fnmr) == (decision.facts.fmr, decision.facts.fnmr)
    assert report.set_size == decision.set_size and report.eer == decision.facts.errors.eer.value
    assert report.coverage.value >= 0.9 and report.coverage.low <= report.coverage.value <= report.coverage.high
    assert report.refused <= 0.1 and report.unsure_genuine == pytest.approx(report.fnmr.value - report.refused)
    pairs = collect(images, images, market1501, "euclidean")
    asked = decision.decide(pairs.genuine)
    assert (asked == "no match").mean() == pytest.approx(report.refused)
    assert (asked == "unsure").mean() == pytest.approx(report.unsure_genuine)
    assert (pairs.nearest_other <= decision.threshold).mean() == pytest.approx(report.fpir.value)
    assert report.reliability.error < 0.03
    plain = json.loads(json.dumps(report.numbers(), allow_nan=False))
    assert plain["kept"] is True and plain["fmr"]["value"] == report.fmr.value
    assert len(plain["curve"]["fmr"]) <= 202 and len(plain["reliability"]["predicted"]) <= 10


@pytest.mark.parametrize("absent", [0, 12])
def test_answers_equal_the_plain_loop(images, decision, absent):
    """Searches ranked one by one; where some are in no gallery only these are strangers, else everybody is."""
    rng = np.random.default_rng(8)
    others = people(rng, 40, images=6, cameras=3, noise=0.7, first=200, fingerprint="aa")
    asked = np.arange(len(others)) % 6 == 0
    query, gallery = others.take(asked), others.take(~asked & (others.identities >= 200 + absent))
    report = measure_decisions(decision, query, gallery)
    distances = pairwise(query.vectors, gallery.vectors)
    said = {name: [] for name in ("genuine pairs", "impostor pairs", "known", "strangers")}
    right = []
    for q in range(len(query)):
        ranked = plain.order(q, query, gallery, distances, "market1501")
        same = [bool(gallery.identities[g] == query.identities[q]) for g in ranked]
        words = [decision.decide(distances[q][g]) for g in ranked]
        for word, yes in zip(words, same, strict=True):
            said["genuine pairs" if yes else "impostor pairs"].append(word)
        if any(same):
            said["known"].append(words[0])
            right.append(same[0] and words[0] == "match")
        if not any(same) or not absent:
            said["strangers"].append(words[same.index(False)])
    assert report.searches == len(said["strangers"]) == (absent or 40)
    assert report.tpir.value == pytest.approx(np.mean(right))
    assert report.fpir.value == pytest.approx(np.mean([word == "match" for word in said["strangers"]]))
    for one in (report.fpir, report.tpir):
        assert 0 <= one.low <= one.value <= one.high <= 1 and one.low < one.high
    for words, shares in zip(said.values(), report.answers.values(), strict=True):
        found = (shares.match, shares.unsure, shares.no_match)
        assert found == pytest.approx([np.mean([word == w for word in words]) for w in ("match", "unsure", "no match")])
    assert len({word for words in said.values() for word in words}) == 3


def test_drift_is_told_with_the_rates(images, decision):
    report = measure_decisions(decision, images, images)
    assert report.drift == decision.drift(images) and not report.numbers()["drift"]["unlike"]
    asked = np.arange(len(images)) % 6 < 2
    faint = Embeddings(0.5 * images.vectors, images.identities, images.cameras, images.paths)
    two = measure_decisions(decision, faint.take(asked), faint.take(~asked))
    assert two.drift.images == len(images) and two.drift.unlike and two.numbers()["drift"]["unlike"]
    few = images.take(images.identities <= 10)
    assert measure_decisions(decision, few, few).drift is None


def test_promises_are_kept_on_other_identities():
    """Simulated people, calibrated on half of the identities and measured on the other half, again and again."""
    rng = np.random.default_rng(1)
    kept, false, covered = 0, [], []
    for _ in range(40):
        everyone = people(rng, 80, images=4, noise=0.8)
        first, second = (everyone.take((everyone.identities % 2) == side) for side in (0, 1))
        decision = resight.calibrate(first, false_match_rate=1e-2, coverage=0.9)
        report = measure_decisions(decision, second, second)
        kept += report.kept
        false.append(report.fmr.value)
        covered.append(report.coverage.value)
    assert kept >= 36
    assert 0.007 < np.mean(false) < 0.013  # on average over calibrations it is the rate that was asked for
    assert np.mean(covered) > 0.9 - 4 * np.std(covered) / np.sqrt(40)


def test_a_broken_promise_is_seen(images, decision):
    rng = np.random.default_rng(2)
    crowded = people(rng, 40, images=6, cameras=3, noise=0.7)
    crowded = Embeddings(0.6 * crowded.vectors, crowded.identities, crowded.cameras)
    report = measure_decisions(decision, crowded, crowded)
    assert not report.kept and report.fmr.low > 0.01 and "broken" in str(report)
    assert decision.drift(crowded).unlike and not decision.drift(images).unlike


def test_query_and_gallery_or_one_set(images):
    asked = np.arange(len(images)) % 6 < 2
    query, gallery = images.take(asked), images.take(~asked)
    two = resight.calibrate((query, gallery), false_match_rate=1e-2)
    assert two.facts.queries == 160 and two.facts.gallery == 320
    assert two.facts.impostors == 160 * 320 - 80 * 2 * 4
    assert resight.calibrate((images, images), false_match_rate=1e-2) == resight.calibrate(
        images, false_match_rate=1e-2
    )
    nameless = Embeddings(images.vectors, images.identities)  # neither cameras nor paths: each pair but with itself
    one = resight.calibrate(nameless, false_match_rate=1e-2)
    assert one.protocol == "single_camera" and one.facts.genuine == 80 * 15


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("probability", ["isotonic", "logistic"])
def test_memory_does_not_matter(images, metric, probability, small_grid):
    few = images.take(images.identities <= 25)
    options = {"false_match_rate": 0.02, "metric": metric, "probability": probability}
    assert resight.calibrate(few, memory=5_000, **options) == resight.calibrate(few, **options)


def test_too_little_is_refused_with_what_is_needed(images):
    with pytest.raises(DataError, match=r"0\.0001 needs at least 30,000 different impostor pairs, .* has 10,800:"):
        resight.calibrate(images.take(images.identities <= 25), false_match_rate=1e-4)
    with pytest.raises(DataError, match="needs at least 20 identities with a true match, but the data has 19"):
        resight.calibrate(images.take(images.identities <= 19), false_match_rate=1e-2)
    with pytest.raises(DataError, match=r"needs at least 99 identities .* has 80.* or ask for less"):
        resight.calibrate(images, coverage=0.99)
    with pytest.raises(DataError, match="No two images make a genuine pair under protocol market1501"):
        resight.calibrate(Embeddings(images.vectors, images.identities, np.ones(480, int)))
    with pytest.raises(DataError, match="no distance at all"):
        resight.calibrate(Embeddings(np.ones((480, 4)), images.identities, images.cameras))


def test_what_makes_no_sense_is_refused(images, decision):
    for options, message in (
        ({"false_match_rate": 0}, "false-match rate is 0"),
        ({"false_match_rate": 0.9}, "false-match rate is 0.9"),
        ({"coverage": 1}, "coverage is 1"),
        ({"metric": "l2"}, "no metric 'l2'"),
        ({"probability": "platt"}, "no probability method 'platt'"),
        ({"protocol": "market"}, "did you mean 'market1501'"),
    ):
        with pytest.raises(DataError, match=message):
            resight.calibrate(images, **{"false_match_rate": 1e-2} | options)
    with pytest.raises(DataError, match="query embeddings have no identities"):
        resight.calibrate(Embeddings(images.vectors))
    other = Embeddings(images.vectors, images.identities, images.cameras, fingerprint="bb")
    with pytest.raises(DataError, match="embedded by aa and the gallery by bb"):
        resight.calibrate((images, other))
    with pytest.raises(DataError, match="calibrated on embeddings of aa but these are of bb"):
        measure_decisions(decision, other, other)
    with pytest.raises(DataError, match="calibrated on embeddings of aa but these are of bb"):
        decision.drift(other)
    with pytest.raises(DataError, match="16 dimensions but these have 4"):
        decision.check(Embeddings(np.ones((3, 4))))
    with pytest.raises(DataError, match="about euclidean distances, not cosine"):
        decision.check(metric="cosine")
    with pytest.raises(DataError, match="no genuine pair"):
        measure_decisions(decision, images.take(images.identities < 3), images.take(images.identities > 5))
    with pytest.raises(DataError, match="no impostor pair"):
        measure_decisions(decision, images.take(images.identities == 3), images.take(images.identities == 3))
