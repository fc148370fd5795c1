"""The protocols of tracklets and of reassociation against plain loops, and MARS's rules by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import ranking as plain
from reference.ranking_cases import cases
from resight import DataError, Embeddings, KReciprocal
from resight.retrieval.evaluation.compare import intervals
from resight.retrieval.evaluation.evaluate import NO_CANDIDATES, evaluate
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.reassociation import ranks_among_later

pytestmark = pytest.mark.filterwarnings("ignore:.* queries have the identity 0")
FAST = settings(max_examples=40, deadline=None)
TRACKLETS = ["tracklets", "tracklets_single_camera", "mars_torchreid", "mars_joined", "mars_official"]


def unnamed(some: Embeddings) -> Embeddings:
    return replace(some, paths=None)


@pytest.mark.parametrize("protocol", TRACKLETS)
@given(case=cases())
@FAST
def test_equals_the_plain_loop(case, protocol):
    query, gallery = map(unnamed, case)
    near, own = (pairwise(query.vectors, other.vectors, "euclidean") for other in (gallery, query))
    expected = plain.evaluate_tracklets(query, gallery, near, own, protocol)
    if expected is None:
        with pytest.raises(DataError, match="has a true match"):
            evaluate(query, gallery, protocol=protocol)
        return
    report = evaluate(query, gallery, protocol=protocol)
    counted, precision, first, firsts = expected
    assert report.evaluated == counted and report.dropped == len(query) - counted
    assert report.mAP == pytest.approx(precision, rel=1e-12) and report.cmc[1] == pytest.approx(first)
    assert report.first_match.tolist() == firsts and sum(report.reasons.values()) == report.dropped
    assert np.isnan(report.average_precision).sum() == report.dropped
    assert np.nanmean(report.average_precision) == pytest.approx(precision, rel=1e-12)


QUERY = Embeddings(np.float32([[0], [1], [9]]), [1, 1, 2], [1, 2, 1])  # 2 was seen by one camera alone
GALLERY = Embeddings(np.float32([[2], [3], [0], [5]]), [1, 1, -1, 0], [1, 3, 4, 1])  # junk is nearest


def test_mars_by_hand():
    """The three camps on one case; the numbers were worked out on paper."""
    dropped = evaluate(QUERY, GALLERY, protocol="mars_torchreid")
    # query 0: {3} is right, {2} has its camera, 5 is a distractor: rank 1. query 1: 2 and 3 are ranks 1 and 2.
    assert (dropped.mAP, dropped.cmc[1], dropped.evaluated, dropped.dropped) == (1, 1, 2, 1)
    joined = evaluate(QUERY, GALLERY, protocol="mars_joined")
    # query 0 now also has query 1 (rank 1) before 3 (rank 2); query 1 has query 0 and 2 (both at 1) and 3.
    assert (joined.mAP, joined.cmc[1], joined.evaluated, joined.dropped, joined.gallery) == (1, 1, 2, 1, 7)
    official = evaluate(QUERY, GALLERY, protocol="mars_official")
    assert (official.mAP, official.cmc[1]) == pytest.approx((2 / 3, 2 / 3))
    assert (official.evaluated, official.dropped, official.unmatched) == (3, 0, 1)
    assert official.average_precision.tolist() == [1, 1, 0] and "1 without a match counted as 0" in str(official)
    assert official.numbers()["unmatched"] == 1 and intervals(official)["mAP"].low < 2 / 3


def test_trapezoids_by_hand():
    gallery = Embeddings(np.float32([[1], [2], [3], [4]]), [7, 1, 7, 1], [2, 2, 2, 2])
    query = Embeddings(np.float32([[0]]), [1], [1])
    assert evaluate(query, gallery, protocol="mars_joined").mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    by_trapezoids = ((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2
    assert evaluate(query, gallery, protocol="mars_official").mAP == pytest.approx(by_trapezoids)


def test_images_are_not_taken_for_tracklets():
    some = Embeddings(np.eye(3, dtype=np.float32), [1, 1, 2], [1, 1, 1], columns={"tracks": [4, 4, 5]})
    with pytest.raises(DataError, match=r"The query has 3 embeddings of 2 tracklets, .*pool_tracks"):
        evaluate(some, GALLERY, protocol="tracklets")


def test_tracklets_can_be_reranked():
    rng = np.random.default_rng(0)
    who, where = np.repeat(np.arange(1, 6), 4), np.tile([1, 2], 10)
    gallery = Embeddings(rng.normal(size=(20, 4)).astype(np.float32), who, where)
    query = Embeddings(rng.normal(size=(5, 4)).astype(np.float32), np.arange(1, 6), np.full(5, 1))
    report = evaluate(query, gallery, protocol="mars_joined", rerank=KReciprocal(k1=4, k2=2))
    assert 0 < report.mAP <= 1 and report.gallery == 25


@st.composite
def boxes(draw):
    query, gallery = map(unnamed, draw(cases()))
    later, frames = (
        draw(st.lists(st.integers(1, 3), min_size=len(one), max_size=len(one))) for one in (query, gallery)
    )
    return tuple(
        replace(one, columns={**one.columns, **column})
        for one, column in ((query, {"later_frames": later}), (gallery, {"frames": frames}))
    )


@given(case=boxes())
@FAST
def test_reassociation_equals_the_plain_loop(case):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors, "cosine")
    expected = plain.reassociate(query, gallery, distances)
    found = ranks_among_later(query, gallery, "cosine")
    assert [found.ranks[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)] == expected
    some = [ranks for ranks in expected if ranks]
    if some:
        report = evaluate(query, gallery, protocol="reassociation", metric="cosine")
        assert report.cmc[1] == pytest.approx(sum(ranks[0] == 1 for ranks in some) / len(some))
        assert report.dropped == len(query) - len(some) and sum(report.reasons.values()) == report.dropped


def test_reassociation_says_what_it_misses():
    query = Embeddings(np.eye(2, dtype=np.float32), [1, 2], [1, 1], columns={"later_frames": [5, 6]})
    gallery = Embeddings(np.eye(2, dtype=np.float32), [1, 3], [1, 1], columns={"frames": [5, 5]})
    report = evaluate(query, gallery, protocol="reassociation")
    assert report.evaluated == 1 and report.cmc[1] == 1 and report.dropped == 1
    with pytest.raises(DataError, match=r"The query embeddings have no column 'later_frames'"):
        evaluate(replace(query, columns={}), gallery, protocol="reassociation")
    with pytest.raises(DataError, match=r"cannot be re-ranked"):
        evaluate(query, gallery, protocol="reassociation", rerank=KReciprocal())
    both = replace(gallery, identities=np.array([2, 2]), columns={"frames": [7, 7]})
    with pytest.raises(DataError, match=NO_CANDIDATES):
        evaluate(query, replace(both, identities=np.array([1, 2])), protocol="reassociation")
