import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import peers
from reference import ranking as plain
from reference.ranking_cases import cases
from resight import DataError, Embeddings
from resight.retrieval.distance import pairwise
from resight.retrieval.evaluate import LEFT_OUT, NO_IDENTITY, NOT_IN_GALLERY, evaluate


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(case=cases())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_the_plain_loop(case, metric, protocol, small_grid):
    query, gallery = case
    expected = plain.evaluate(query, gallery, pairwise(query.vectors, gallery.vectors, metric), protocol)
    if expected is None:
        with pytest.raises(DataError, match=f"None of the {len(query)} queries has a true match"):
            evaluate(query, gallery, protocol=protocol, metric=metric)
        return
    report = evaluate(query, gallery, protocol=protocol, metric=metric)
    for name in ("mAP", "mINP", "average_precision"):
        np.testing.assert_allclose(getattr(report, name), expected[name], rtol=1e-12)
    assert report.cmc == pytest.approx(expected["cmc"])
    assert report.first_match.tolist() == expected["first_match"]
    assert (report.evaluated, report.dropped) == (expected["evaluated"], expected["dropped"])
    assert sum(report.reasons.values()) == report.dropped
    assert (report.queries, report.gallery) == (len(query), len(gallery))


def hand_worked():
    """One dimension, so that every distance can be read off: queries stand at 0, 10, 20, 30 and 40."""
    query = Embeddings(np.array([[0.0], [10], [20], [30], [40]]), [1, 2, 3, 0, 4], [1, 1, 1, 1, 1])
    gallery = Embeddings(
        #         hit  junk  wrong  hit  own camera  hit  distractor
        np.array([[1.0], [0], [2], [3], [0], [11], [10], [40]]),
        [1, -1, 2, 1, 1, 2, 0, 4],
        [2, 2, 2, 3, 1, 2, 2, 1],
    )
    return query, gallery


def test_hand_worked():
    report = evaluate(*hand_worked())
    # Query 0 at 0: identity 1 at 1 (rank 1) and 3 (rank 3, after identity 2 at 2); the one at 0 is its own camera's.
    # Query 1 at 10: the distractor at 10 comes first, identity 2 at 11 second, 3 more (3, 1 of identity 1, and its own
    # camera's at 0 counts for it as wrong) between 11 and 2: |10-3| = 7, |10-2| = 8, so identity 2 at 2 is fourth.
    first, second = (1 / 1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2
    np.testing.assert_allclose(report.average_precision, [first, second, np.nan, np.nan, np.nan])
    assert report.first_match.tolist() == [1, 2, 0, 0, 0]
    assert report.mAP == pytest.approx((first + second) / 2)
    assert report.mINP == pytest.approx((2 / 3 + 2 / 4) / 2)
    assert report.cmc[1] == 0.5 and report.cmc[2] == report.cmc[50] == 1
    assert (report.queries, report.evaluated, report.dropped, report.gallery) == (5, 2, 3, 8)
    assert report.reasons == {NOT_IN_GALLERY: 1, NO_IDENTITY: 1, LEFT_OUT: 1}
    assert json.loads(json.dumps(report.numbers()))["reasons"][LEFT_OUT] == 1


def test_single_camera_counts_the_same_camera():
    query, gallery = hand_worked()
    report = evaluate(query, gallery, protocol="single_camera")
    # Query 0 now hits at 0 (rank 1), 1 (rank 2) and 3 (rank 4); query 4 hits at 40 (rank 1).
    assert report.average_precision[0] == pytest.approx((1 / 1 + 2 / 2 + 3 / 4) / 3)
    assert report.average_precision[4] == 1 and report.evaluated == 3


def market_like(rng):
    """Continuous vectors (no ties), distractors, unknown identities; no junk or distractor queries, as peers want."""
    centres = rng.normal(size=(40, 16))
    ids = rng.integers(0, 38, 600)
    gallery = Embeddings((centres[ids] + rng.normal(size=(600, 16))).astype(np.float32), ids, rng.integers(1, 5, 600))
    ids = rng.integers(1, 40, 120)
    query = Embeddings((centres[ids] + rng.normal(size=(120, 16))).astype(np.float32), ids, rng.integers(1, 5, 120))
    return query, gallery


def columns(query, gallery):
    return query.identities, gallery.identities, query.cameras, gallery.cameras


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equals_torchreid(metric, rng):
    query, gallery = market_like(rng)
    peer = peers.load_file("torchreid", "reid/metrics/rank.py")
    distances = pairwise(query.vectors, gallery.vectors, metric)
    cmc, mean = peer.evaluate_rank(distances, *columns(query, gallery), max_rank=50, use_cython=False)
    report = evaluate(query, gallery, metric=metric)
    assert report.dropped > 0
    assert report.mAP == pytest.approx(mean, rel=1e-9)
    np.testing.assert_allclose(list(report.cmc.values()), cmc, rtol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equals_fastreid(metric, rng):
    query, gallery = market_like(rng)
    peer = peers.load_file("fastreid", "evaluation/rank.py")
    distances = pairwise(query.vectors, gallery.vectors, metric)
    cmc, precisions, penalties = peer.evaluate_rank(distances, *columns(query, gallery), max_rank=50, use_cython=False)
    report = evaluate(query, gallery, metric=metric)
    kept = report.first_match > 0
    np.testing.assert_allclose(report.average_precision[kept], precisions, rtol=1e-9)
    assert report.mINP == pytest.approx(np.mean(penalties), rel=1e-9)
    np.testing.assert_allclose(list(report.cmc.values()), cmc, rtol=1e-6)


def test_embeddings_of_two_models_are_refused():
    one = Embeddings(np.ones((1, 2)), [1], [1], fingerprint="aa")
    two = Embeddings(np.ones((1, 2)), [1], [2], fingerprint="bb")
    unknown = Embeddings(np.ones((1, 2)), [1], [2])
    with pytest.raises(DataError, match="embedded by aa and the gallery by bb"):
        evaluate(one, two)
    assert evaluate(one, unknown).mAP == 1


@pytest.mark.parametrize(
    ("query", "gallery", "options", "message"),
    [
        (Embeddings(np.ones((1, 3)), [1], [1]), None, {}, "3 dimensions and the gallery's 2"),
        (Embeddings(np.ones((1, 2)), None, [1]), None, {}, "query embeddings have no identities"),
        (Embeddings(np.ones((1, 2)), [1]), None, {}, "query embeddings have no cameras.*single_camera"),
        (Embeddings(np.ones((1, 2)), [1], [2]), None, {}, "1 because the protocol leaves out"),
        (Embeddings(np.ones((1, 2)), [7], [1]), None, {}, "1 because its identity is not in the gallery"),
        (Embeddings(np.ones((0, 2)), [], []), None, {}, "there are no queries"),
        (None, None, {"protocol": "market"}, "did you mean 'market1501'"),
        (None, None, {"metric": "l2"}, "no metric 'l2'"),
    ],
)
def test_refusals(query, gallery, options, message):
    query = Embeddings(np.ones((1, 2)), [1], [1]) if query is None else query
    gallery = Embeddings(np.ones((2, 2)), [1, -1], [2, 1]) if gallery is None else gallery
    with pytest.raises(DataError, match=message):
        evaluate(query, gallery, **options)
