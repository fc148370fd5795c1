import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import peers
from reference import ranking as plain
from reference.ranking_cases import cases, track_cases
from resight import DataError, Embeddings, KReciprocal
from resight.retrieval.evaluation.evaluate import LEFT_OUT, NO_IDENTITY, NOT_IN_GALLERY, evaluate
from resight.retrieval.evaluation.repeats import single_shot
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.rank import topk
from resight.retrieval.ranking.within import matches_within
from resight.retrieval.reranking.expansion import expand_queries, pool

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])


@pytest.mark.parametrize("protocol", ["market1501", "single_camera", "image_to_track"])
@METRICS
@given(data=st.data(), memory=st.sampled_from([1, 100, 10**6]))
@FAST
def test_equals_the_plain_loop(data, memory, metric, protocol, small_grid):
    query, gallery = data.draw(
        track_cases() if protocol == "image_to_track" else cases(honest=protocol != "single_camera")
    )
    expected = plain.evaluate(query, gallery, pairwise(query.vectors, gallery.vectors, metric), protocol)
    if expected is None:
        with pytest.raises(DataError, match=f"None of the {len(query)} queries has a true match"):
            evaluate(query, gallery, protocol=protocol, metric=metric, memory=memory)
        return
    report = evaluate(query, gallery, protocol=protocol, metric=metric, memory=memory)
    for name in ("mAP", "mINP", "average_precision", "r_precision"):
        np.testing.assert_allclose(getattr(report, name), expected[name], rtol=1e-12)
    for name in ("cmc", "precision"):
        assert getattr(report, name) == pytest.approx(expected[name])
    assert report.first_match.tolist() == expected["first_match"]
    assert (report.evaluated, report.dropped) == (expected["evaluated"], expected["dropped"])
    assert sum(report.reasons.values()) == report.dropped
    assert (report.queries, report.gallery) == (len(query), len(gallery))


@given(case=cases(honest=False))
@FAST
def test_a_file_that_answers_itself_is_refused(case):
    query, gallery = case
    if plain.leaks(query, gallery, "market1501"):
        with pytest.raises(DataError, match=r"\d\.jpg is query \d and also image \d+ of the gallery"):
            evaluate(query, gallery)
    else:
        try:
            evaluate(query, gallery)
        except DataError as error:
            assert "has a true match" in str(error)  # refused for another reason


def test_the_query_set_may_be_the_gallery():
    images = Embeddings(np.array([[0.0], [1], [5], [6]]), [1, 1, 2, 2], [1, 2, 1, 2], ["a", "b", "c", "d"])
    assert evaluate(images, images).cmc[1] == evaluate(images, images, protocol="single_camera").cmc[1] == 1
    other = Embeddings(images.vectors, images.identities, [1, 2, 1, 1], images.paths)
    with pytest.raises(DataError, match="d is query 3 and also image 3 of the gallery, which protocol market1501"):
        evaluate(images, other)


@pytest.mark.parametrize("spelling", ["relative", "link to the folder", "link to the file", "dots", "archive"])
def test_a_file_is_the_same_file_under_another_spelling(spelling, tmp_path, monkeypatch):
    """The query's own file, nearest of all, is refused by one protocol and left out by the other."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcd":
        (folder / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linked").symlink_to(folder)
    (folder / "other").symlink_to(folder / "d")
    (tmp_path / "images.zip").write_bytes(b"PK")
    d, again = {
        "relative": (f"{folder}/d", "images/d"),
        "link to the folder": (f"{folder}/d", f"{tmp_path}/linked/d"),
        "link to the file": (f"{folder}/d", f"{folder}/other"),
        "dots": (f"{folder}/d", f"{folder}/../images/./d"),
        "archive": (f"{tmp_path}/images.zip/d", "images.zip/d"),
    }[spelling]
    query = Embeddings(np.array([[6.0]]), [2], [2], [d])
    gallery = Embeddings(np.array([[0.0], [1], [5], [6]]), [1, 1, 2, 2], [1, 2, 1, 1], ["a", "b", "c", again])
    with pytest.raises(DataError, match="is query 0 and also image 3 of the gallery, there called"):
        evaluate(query, gallery)
    report = evaluate(query, gallery, protocol="single_camera")
    assert (report.precision[1], report.r_precision) == (1, 1)  # image 2 is the only match
    with pytest.raises(DataError, match="leaves out all images"):
        evaluate(query, gallery.take([0, 1, 3]), protocol="single_camera")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_metric_is_that_of_the_embeddings(metric):
    """By direction the second image is the nearest, by distance the first, which is somebody else."""
    query = Embeddings(np.array([[1.0, 0]]), [1], [1], metric=metric)
    gallery = Embeddings(np.array([[1.0, 0.5], [9, 0]]), [2, 1], [2, 2])
    report = evaluate(query, gallery)
    assert report.metric == metric and report.cmc[1] == (metric == "cosine")
    first = topk(query, gallery, 1).indices[0, 0]
    assert first == (1 if metric == "cosine" else 0)
    assert evaluate(query, gallery, metric="euclidean").metric == "euclidean"
    assert evaluate(query.take([0]), gallery).metric == metric and pickle.loads(pickle.dumps(query)).metric == metric
    assert evaluate(Embeddings(query.vectors, [1], [1]), gallery).metric == "euclidean"
    other = Embeddings(gallery.vectors, [2, 1], [2, 2], metric="cosine" if metric == "euclidean" else "euclidean")
    with pytest.raises(DataError, match="Some embeddings are compared by"):
        evaluate(query, other)


IMAGES = Embeddings(np.eye(4), [1, 2, 1, 2], [1, 1, 2, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate(np.eye(4), np.eye(4)), "The query must be resight.Embeddings but is a ndarray"),
        (lambda: evaluate(IMAGES, None), "The gallery must be resight.Embeddings but is None"),
        (lambda: evaluate(IMAGES, [1, 2]), "The gallery must be resight.Embeddings but is a list"),
        (lambda: evaluate(IMAGES, IMAGES, rerank=True), r"rerank is True: pass rerank=resight.KReciprocal\(\)"),
        (lambda: evaluate(IMAGES, IMAGES, rerank="k-reciprocal"), "rerank is 'k-reciprocal'"),
        (lambda: evaluate(IMAGES, IMAGES, rerank=KReciprocal), "rerank is <class"),
        (lambda: evaluate(IMAGES, IMAGES, memory="1GB"), "The memory in bytes is '1GB': pass a whole number"),
        (lambda: evaluate(IMAGES, IMAGES, metric=2), "There is no metric 2"),
        (lambda: evaluate(IMAGES, IMAGES, metric=["cosine"]), r"There is no metric \['cosine'\]"),
        (lambda: evaluate(IMAGES, IMAGES, protocol=["market1501"]), "There is no protocol"),
        (lambda: topk(IMAGES, np.eye(4), 2), "The gallery must be resight.Embeddings"),
        (lambda: topk(IMAGES, IMAGES, "5"), "k is '5': pass a whole number from 1 upwards"),
        (lambda: topk(IMAGES, IMAGES, 5.0), "k is 5.0"),
        (lambda: topk(IMAGES, IMAGES, True), "k is True"),
        (lambda: matches_within(IMAGES, np.eye(4), 1.0), "The gallery must be resight.Embeddings"),
        (lambda: matches_within(IMAGES, IMAGES, "0.5"), "The threshold is '0.5'"),
        (lambda: expand_queries(IMAGES, np.eye(4)), "The gallery must be resight.Embeddings"),
        (lambda: expand_queries(IMAGES, IMAGES, n=2.5), "n is 2.5"),
        (lambda: pool(np.eye(4), [1, 1, 2, 2]), "The images must be resight.Embeddings"),
        (lambda: single_shot(np.eye(4), IMAGES), "The query must be resight.Embeddings"),
        (lambda: single_shot(IMAGES, IMAGES, draws="20"), "draws is '20'"),
        (lambda: KReciprocal(k1="20"), "The k1 of re-ranking is '20'"),
        (lambda: KReciprocal(lambda_value="0.3"), "The lambda of re-ranking is '0.3'"),
        (lambda: pairwise(np.eye(4), ["a"] * 4), "must hold numbers"),
    ],
)
def test_a_slip_is_one_sentence(call, message):
    with pytest.raises(DataError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_tracks_in_the_open():
    # Tracks 7 (images at 1 and 9), 8 (at 2), 9 (own camera, at 0), 5 (a distractor, at 3), -4 (at 4 and 30).
    gallery = Embeddings(
        np.array([[9.0], [2], [1], [0], [3], [30], [4]]),
        [1, 2, 1, 1, 0, 1, 1],
        [2, 2, 2, 1, 2, 3, 3],
        columns={"tracks": np.array([7, 8, 7, 9, 5, -4, -4])},
    )
    query = Embeddings(np.array([[0.0]]), [1], [1])
    report = evaluate(query, gallery, protocol="image_to_track")
    # In order: 7 at 1 (right), 8 at 2, 5 at 3, -4 at 4 (right).
    assert report.mAP == pytest.approx((1 / 1 + 2 / 4) / 2) and report.mINP == pytest.approx(2 / 4)
    assert report.precision == {1: 1.0, 5: pytest.approx(2 / 5)} and report.r_precision == 1 / 2
    assert report.gallery == 7 and report.protocol == "image_to_track"


@METRICS
def test_tracks_of_one_image_are_images(metric, rng):
    query, gallery = market_like(rng)
    single = Embeddings(
        gallery.vectors, gallery.identities, gallery.cameras, columns={"tracks": rng.permutation(len(gallery))}
    )
    for rerank in (None, KReciprocal(k1=8, k2=3)):
        one = evaluate(query, single, protocol="image_to_track", metric=metric, rerank=rerank)
        two = evaluate(query, gallery, metric=metric, rerank=rerank)
        assert one.rerank == two.rerank and one.mAP == pytest.approx(two.mAP, rel=1e-12) and one.cmc == two.cmc


def test_tracks_are_re_ranked_by_their_nearest_image(rng, small_grid):
    query, gallery = market_like(rng)
    query, gallery = query.take(np.arange(15)), gallery.take(np.arange(0, len(gallery), 2))
    key = np.unique(np.stack([gallery.identities, gallery.cameras]), axis=1, return_inverse=True)[1].reshape(-1)
    tracks = key * 3 + rng.integers(0, 3, len(gallery))
    gallery = gallery.take(np.argsort(tracks, kind="stable"))
    gallery = Embeddings(gallery.vectors, gallery.identities, gallery.cameras, columns={"tracks": np.sort(tracks)})
    rerank = KReciprocal(k1=8, k2=3)
    images = rerank(query, gallery, "euclidean").block(slice(0, len(query)), slice(0, len(gallery)))
    expected = plain.evaluate(query, gallery, images, "image_to_track")
    report = evaluate(query, gallery, protocol="image_to_track", rerank=rerank)
    assert report.mAP == pytest.approx(expected["mAP"], rel=1e-9) and report.dropped == expected["dropped"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"columns": {}}, "have no tracks, which ranking by track needs: pass columns="),
        ({"identities": None}, "have no identities, which ranking by track needs: pass identities="),
        ({"cameras": None}, "have no cameras"),
        ({"identities": [1, 2, 1]}, "Track 4 of the gallery has two identities, first in image 1"),
        ({"cameras": [1, 1, 2]}, "Track 4 of the gallery has two cameras, first in image 2"),
    ],
)
def test_tracks_that_are_none(changed, message):
    query = Embeddings(np.ones((1, 2)), [1], [1])
    given = {"identities": [1, 1, 1], "cameras": [1, 1, 1], "columns": {"tracks": np.array([4, 4, 4])}}
    with pytest.raises(DataError, match=message):
        evaluate(query, Embeddings(np.ones((3, 2)), **(given | changed)), protocol="image_to_track")


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
    # Among the first 1 and 5: query 0 has 1 and 2 hits, query 1 has 0 and 2; among the first 2 (both have 2): 1 and 1.
    assert report.precision == {1: 0.5, 5: pytest.approx(0.4)} and report.r_precision == pytest.approx(
        (1 / 2 + 1 / 2) / 2
    )
    assert (report.queries, report.evaluated, report.dropped, report.gallery) == (5, 2, 3, 8)
    assert report.reasons == {NOT_IN_GALLERY: 1, NO_IDENTITY: 1, LEFT_OUT: 1}
    told = json.loads(json.dumps(report.numbers()))
    assert told["reasons"][LEFT_OUT] == 1 and told["precision"] == {"1": 0.5, "5": 0.4} and told["r_precision"] == 0.5


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_what_no_model_embeds_never_gets_as_far(bad):
    vectors = np.ones((3, 2))
    vectors[1, 1] = bad
    with pytest.raises(DataError, match="NaN or infinity in 1 of 3 rows, first in row 1: embed those images again"):
        Embeddings(vectors)


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
        (Embeddings(np.zeros((1, 2)), [1], [1]), None, {"metric": "cosine"}, "query vectors have 1 of length zero"),
        (None, Embeddings(np.eye(2)[[0]] * 0, [1], [2]), {"metric": "cosine"}, "gallery.*first in row 0"),
        (None, Embeddings(np.ones((0, 2)), [], []), {}, "gallery is empty"),
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
