"""Sparse k-reciprocal re-ranking against a dense plain reference, against torchreid's file, and against reason."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import peers
import resight
from reference import ranking as plain
from reference import reranking as dense
from reference.ranking_cases import cases
from resight import DataError, Embeddings, KReciprocal
from resight.embedding.bfloat16 import Bfloat16
from resight.embedding.embedder import Embedder
from resight.embedding.products import TorchProducts
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking import protocols, rank, symmetric, tiles
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.neighbours import neighbours

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])


def together(query, gallery):
    return np.concatenate([query.vectors, gallery.vectors])


def matrix(query, gallery, rerank, metric="euclidean", memory=rank.MEMORY):
    """All re-ranked distances at once."""
    found = rerank(query, gallery, metric, memory)
    return found.block(slice(0, len(query)), slice(0, len(gallery)))


def expected(query, gallery, rerank, metric):
    both = together(query, gallery)
    distances = pairwise(both, both, metric)
    return dense.rerank(distances, len(query), rerank.k1, rerank.k2, rerank.lambda_value, squared=metric == "euclidean")


def clusters(rng, queries=40, images=160, identities=25, dimensions=12):
    """Continuous vectors, so that nothing is tied, in groups that overlap."""
    centres = rng.normal(size=(identities, dimensions))

    def some(count):
        who = rng.integers(-1, identities, count)
        vectors = centres[who] + 0.6 * rng.normal(size=(count, dimensions))
        return Embeddings(vectors.astype(np.float32), who, rng.integers(1, 5, count))

    return some(queries), some(images)


PARAMETERS = st.builds(
    KReciprocal, k1=st.integers(1, 30), k2=st.integers(1, 12), lambda_value=st.sampled_from([0.0, 0.3, 1.0])
)


@METRICS
@given(case=cases(), rerank=PARAMETERS, memory=st.sampled_from([1, 50, 200, 10**6]))
@FAST
def test_equals_the_dense_reference_with_ties_and_copies(case, rerank, memory, metric, small_grid):
    found = matrix(*case, rerank, metric, memory)
    np.testing.assert_allclose(found, expected(*case, rerank, metric), rtol=0, atol=1e-6)


@METRICS
@pytest.mark.parametrize("parameters", [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 0.5), (1, 2, 0.9), (50, 15, 0.3)])
def test_equals_the_dense_reference_on_clusters(parameters, metric, rng):
    case, rerank = clusters(rng), KReciprocal(*parameters)
    found = matrix(*case, rerank, metric)
    np.testing.assert_allclose(found, expected(*case, rerank, metric), rtol=0, atol=1e-6)
    assert len(np.unique(found)) > 100  # the case says something


def from_torchreid(query, gallery, rerank, metric="euclidean"):
    """Its file squares the distances it is given: Euclidean ones as they are, the root of cosine ones."""
    peer = peers.load_file("torchreid", "reid/utils/rerank.py")
    both = together(query, gallery)
    distances = pairwise(both, both, metric)
    if metric == "cosine":
        distances = np.sqrt(distances)
    count = len(query)
    return peer.re_ranking(
        distances[:count, count:], distances[:count, :count], distances[count:, count:],
        rerank.k1, rerank.k2, rerank.lambda_value,
    )  # fmt: skip


@METRICS
@pytest.mark.parametrize("parameters", [(20, 6, 0.3), (10, 1, 0.3), (15, 4, 0.0)])
def test_equals_torchreid(parameters, metric, rng):
    case, rerank = clusters(rng, 60, 300), KReciprocal(*parameters)
    np.testing.assert_allclose(matrix(*case, rerank, metric), from_torchreid(*case, rerank, metric), rtol=0, atol=1e-5)


def test_the_numbers_are_those_of_torchreid(rng):
    query, gallery = clusters(rng, 60, 300)
    query = Embeddings(query.vectors, np.maximum(query.identities, 1), query.cameras)  # torchreid wants people
    known = gallery.identities != -1  # its evaluator knows no junk: it is re-ranked, then taken out
    peer = peers.load_file("torchreid", "reid/metrics/rank.py")
    cmc, mean = peer.evaluate_rank(
        from_torchreid(query, gallery, KReciprocal())[:, known],
        query.identities, gallery.identities[known], query.cameras, gallery.cameras[known], use_cython=False,
    )  # fmt: skip
    report = evaluate(query, gallery, rerank=KReciprocal())
    assert (~known).sum() > 5
    assert report.mAP == pytest.approx(float(mean), abs=1e-6)
    assert list(report.cmc.values()) == pytest.approx(cmc.tolist(), abs=1e-6)


def test_equals_torchreid_on_real_embeddings(market_zip, msmt17_weights):
    data = resight.datasets.load("market1501", market_zip, fold="validation")
    embed = Embedder(resight.load("osnet_x0_25", weights=msmt17_weights, height=64, width=32))
    people = np.unique(data.query.identities)[:30]
    query = embed(data.query.take(np.isin(data.query.identities, people)))
    mine = np.isin(data.gallery.identities, people)
    mine[np.flatnonzero(~mine)[:200]] = True
    gallery = embed(data.gallery.take(mine))
    found, wanted = matrix(query, gallery, KReciprocal()), from_torchreid(query, gallery, KReciprocal())
    assert (np.abs(found - wanted) > 1e-5).mean() < 1e-4  # all but ties at the cut
    assert np.median(np.abs(found - wanted)) < 1e-6
    rules = protocols.market1501
    theirs = plain.evaluate(query, gallery, wanted, rules.name)
    assert evaluate(query, gallery, rerank=KReciprocal()).mAP == pytest.approx(theirs["mAP"], abs=1e-4)
    assert evaluate(query, gallery, rerank=KReciprocal()).mAP > evaluate(query, gallery).mAP  # what it is for


@METRICS
@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@given(case=cases(), rerank=PARAMETERS, memory=st.sampled_from([1, 50, 200, 10**6]))
@FAST
def test_evaluation_and_lists_follow_the_matrix(case, rerank, memory, metric, protocol, small_grid):
    query, gallery = case
    distances, rules = matrix(query, gallery, rerank, metric), protocols.get(protocol)
    lists = rank.topk(query, gallery, 6, metric, rules, memory, rerank)
    for q in range(len(query)):
        order = plain.order(q, query, gallery, distances, protocol)[:6]
        assert lists.indices[q].tolist() == order + [-1] * (6 - len(order))
        assert lists.distances[q, : len(order)].tolist() == distances[q, order].tolist()
    wanted = plain.evaluate(query, gallery, distances, protocol)
    if wanted is not None:
        report = evaluate(query, gallery, protocol=protocol, metric=metric, rerank=rerank, memory=memory)
        assert (report.mAP, report.mINP) == (pytest.approx(wanted["mAP"]), pytest.approx(wanted["mINP"]))
        assert report.first_match.tolist() == wanted["first_match"]


@METRICS
def test_the_memory_budget_changes_nothing(metric, rng, monkeypatch):
    monkeypatch.setattr(rank.grid, "TILE_QUERIES", 64)
    monkeypatch.setattr(rank.grid, "TILE_GALLERY", 128)
    query, gallery = clusters(rng, 150, 450)
    copies = gallery.vectors.copy()
    copies[300:] = copies[:150]  # ties
    gallery = Embeddings(copies, gallery.identities, gallery.cameras)
    results = []
    for memory in (1, 10**5, 10**9):
        lists = rank.topk(query, gallery, 20, metric, protocols.market1501, memory, KReciprocal())
        matches = rank.ranks_of_matches(query, gallery, protocols.market1501, metric, memory, KReciprocal())
        results.append((lists.indices, lists.distances, matches.ranks, matches.offsets))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@METRICS
@pytest.mark.parametrize("lambda_value", [0, 1e-9, 0.01, 0.3, 0.999, 1])
def test_ranks_are_those_of_the_matrix(lambda_value, metric, rng):
    """Also of matches that share nothing with their query, of copies, and of many images equally far away."""
    query, gallery = clusters(rng, 60, 400)
    vectors = np.concatenate([gallery.vectors[:300], gallery.vectors[:100]])
    identities = np.concatenate([gallery.identities[:350], query.identities[:50]])  # some are called what they are not
    gallery, rerank = Embeddings(vectors, identities, gallery.cameras), KReciprocal(8, 3, lambda_value)
    distances = matrix(query, gallery, rerank, metric)
    found = rank.ranks_of_matches(query, gallery, protocols.market1501, metric, rerank=rerank)
    wanted = []
    for q in range(len(query)):
        order = plain.order(q, query, gallery, distances, "market1501")
        mine = gallery.identities[order] == query.identities[q]
        wanted += (1 + np.flatnonzero(mine & (query.identities[q] > 0))).tolist()
    assert found.ranks.tolist() == wanted
    assert max(wanted) > 300  # far behind those that share something


def test_no_block_of_distances_exceeds_the_memory_budget(rng, monkeypatch, small_grid):
    query, gallery = clusters(rng, 9, 40)
    sizes = []
    original = rank.Distances.block
    monkeypatch.setattr(
        rank.Distances, "block", lambda self, *a: sizes.append((out := original(self, *a)).nbytes) or out
    )
    for memory in (24, 100, 400, 10**4):
        sizes.clear()
        rank.topk(query, gallery, 3, memory=memory, rerank=KReciprocal(5, 2))
        assert 0 < max(sizes) <= memory


@METRICS
@given(case=cases(), k=st.integers(1, 25), memory=st.sampled_from([1, 50, 200, 10**6]))
@FAST
def test_neighbours_are_a_stable_sort_with_the_image_itself_first(case, k, memory, metric, small_grid):
    both = together(*case)
    distances = pairwise(both, both, metric)
    found = neighbours(Embeddings(both), k, metric, memory)
    assert found.nearest.tolist() == [dense.order(i, distances)[:k] for i in range(len(both))]
    assert found.farthest.tolist() == distances.max(axis=1).tolist()


@METRICS
@pytest.mark.parametrize("copies", [1, 40])
@pytest.mark.parametrize("k", [1, 2, 9, 500])
def test_neighbours_over_many_strips_and_tiles(k, copies, metric, rng, monkeypatch):
    for name, value in {"_STRIP": 64, "_TILE": 24, "_WIDTH": 40, "_SAMPLE": 50, "_ROOM": 500}.items():
        monkeypatch.setattr(symmetric, name, value)
    vectors = np.repeat(rng.normal(size=(280 // copies, 6)), copies, axis=0).astype(np.float32)
    distances = pairwise(vectors, vectors, metric)
    found = neighbours(Embeddings(vectors), k, metric)
    assert found.nearest.tolist() == [dense.order(i, distances)[:k] for i in range(len(vectors))]
    assert found.farthest.tolist() == distances.max(axis=1).tolist()


def test_neighbours_do_not_depend_on_what_computes_products(rng):
    images = Embeddings(rng.normal(size=(300, 16)).astype(np.float32))
    plain = neighbours(images, 9)
    for half in (False, True):
        found = neighbours(images, 9, products=TorchProducts("cpu", half))
        assert found.nearest.tolist() == plain.nearest.tolist()
        assert found.farthest.tolist() == plain.farthest.tolist()


def finely_spaced(rng):
    """Two far clusters on a line; within each, a step squared is less than float32 tells apart from the rest."""
    places = np.concatenate([1 + 1e-4 * rng.permutation(150), -1 - 1e-4 * rng.permutation(150)])
    return places[:, None]


def far_away(rng):
    return rng.normal(size=(300, 8)) + 1000


def one_outlier(rng):
    return np.concatenate([rng.normal(size=(299, 8)), np.full((1, 8), 1e4)])


@METRICS
@pytest.mark.parametrize("scale", [1e-9, 1, 1e10])
@pytest.mark.parametrize("points", [finely_spaced, far_away, one_outlier])
def test_neighbours_of_points_that_float32_products_cannot_order(points, scale, metric, rng):
    vectors = np.ascontiguousarray(points(rng) * scale, np.float32)
    if metric == "cosine":  # the same on an arc
        vectors = np.column_stack([vectors, np.full(len(vectors), scale)]).astype(np.float32)
    distances = pairwise(vectors, vectors, metric)
    found = neighbours(Embeddings(vectors), 12, metric)
    assert found.nearest.tolist() == [dense.order(i, distances)[:12] for i in range(len(vectors))]
    np.testing.assert_allclose(found.farthest, distances.max(axis=1), rtol=2e-7)


class Bfloat16Always:
    """Also where the processor is not faster by it."""

    def tiles(self, rough):
        return Bfloat16(rough)


@METRICS
@pytest.mark.parametrize("points", [None, finely_spaced, far_away, one_outlier])
@pytest.mark.parametrize(("crowd", "k"), [(0, 1), (0, 12), (3, 12), (3, 400), (math.inf, 1), (math.inf, 400)])
def test_neighbours_by_bfloat16(points, crowd, k, metric, rng, monkeypatch):
    """Also where it tells nothing apart, and is used all the same."""
    small = {"_STRIP": 64, "_TILE": 24, "_WIDTH": 40, "_SAMPLE": 50, "_ROOM": 500, "_CROWD": crowd}
    for name, value in small.items():
        monkeypatch.setattr(symmetric, name, value)
    vectors = points(rng) if points else np.tile(rng.normal(size=(150, 40)), (2, 1))  # with copies
    if metric == "cosine":
        vectors = np.column_stack([vectors, np.ones(len(vectors))])
    vectors = vectors.astype(np.float32)
    threads, distances = torch.get_num_threads(), pairwise(vectors, vectors, metric)
    found = neighbours(Embeddings(vectors), k, metric, products=Bfloat16Always())
    assert found.nearest.tolist() == [dense.order(i, distances)[:k] for i in range(len(vectors))]
    np.testing.assert_allclose(found.farthest, distances.max(axis=1), rtol=2e-7)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("points", "used"), [(None, Bfloat16), (one_outlier, tiles.Float32)])
def test_bfloat16_is_used_where_it_tells_neighbours_apart(points, used, rng, monkeypatch):
    monkeypatch.setattr(symmetric, "_SAMPLE", 50)
    vectors = (points(rng) if points else rng.normal(size=(300, 40))).astype(np.float32)
    found, original = [], symmetric.Symmetric._all
    monkeypatch.setattr(symmetric.Symmetric, "_all", lambda self: found.append(self._tiles) or original(self))
    neighbours(Embeddings(vectors), 10, products=Bfloat16Always())
    assert [type(one) for one in found] == [used]


def test_worked_by_hand():
    """A query at 0; gallery images at 1, 10 and 11. With k1 = 1 the pairs (0, 1) and (10, 11) are reciprocal."""
    query = Embeddings(np.array([[0.0]]), [1], [1])
    gallery = Embeddings(np.array([[1.0], [10], [11]]), [1, 2, 2], [2] * 3)
    found = matrix(query, gallery, KReciprocal(k1=1, k2=1, lambda_value=0.25))
    at_0 = np.array([1, math.exp(-1 / 121)])  # the weights of the query and of the image at 1, seen from 0
    at_1 = np.array([math.exp(-1 / 100), 1])
    at_0, at_1 = at_0 / at_0.sum(), at_1 / at_1.sum()
    jaccard = 1 - np.minimum(at_0, at_1).sum() / np.maximum(at_0, at_1).sum()
    np.testing.assert_allclose(found, [[0.75 * jaccard + 0.25 / 121, 0.75 + 0.25 * 100 / 121, 0.75 + 0.25]], rtol=1e-6)


def test_lambda_1_leaves_the_order_and_scale_changes_nothing(rng):
    query, gallery = clusters(rng)
    as_it_was = rank.topk(query, gallery, 160).indices
    np.testing.assert_array_equal(rank.topk(query, gallery, 160, rerank=KReciprocal(lambda_value=1)).indices, as_it_was)
    far = [Embeddings(one.vectors * np.float32(2.0**30), one.identities, one.cameras) for one in (query, gallery)]
    np.testing.assert_array_equal(matrix(*far, KReciprocal()), matrix(query, gallery, KReciprocal()))
    assert (rank.topk(query, gallery, 160, rerank=KReciprocal()).indices != as_it_was).any()


def test_the_order_of_the_gallery_does_not_matter(rng):
    query, gallery = clusters(rng)
    order = rng.permutation(len(gallery))
    moved = Embeddings(gallery.vectors[order], gallery.identities[order], gallery.cameras[order])
    one, other = matrix(query, gallery, KReciprocal()), matrix(query, moved, KReciprocal())
    np.testing.assert_allclose(other, one[:, order], rtol=0, atol=1e-6)


def test_cosine_is_euclidean_on_directions(rng):
    query, gallery = clusters(rng)
    lengths = [np.linalg.norm(one.vectors, axis=1, keepdims=True) for one in (query, gallery)]
    directions = [Embeddings(one.vectors / length) for one, length in zip((query, gallery), lengths, strict=True)]
    np.testing.assert_allclose(
        matrix(query, gallery, KReciprocal(), "cosine"), matrix(*directions, KReciprocal()), rtol=0, atol=1e-5
    )


def test_junk_is_re_ranked_but_does_not_count():
    """Junk that looks like the queries pushes into their neighbourhoods; as an answer it is neither right nor wrong."""
    rng = np.random.default_rng(3)
    query, gallery = clusters(rng, 5, 40)
    junk = Embeddings(
        np.concatenate([gallery.vectors, query.vectors + np.float32(0.01)]),
        np.concatenate([gallery.identities, np.full(5, -1)]),
        np.concatenate([gallery.cameras, np.full(5, 1)]),
    )
    without, beside = (matrix(query, one, KReciprocal(4, 2))[:, :40] for one in (gallery, junk))
    assert np.abs(without - beside).max() > 0.01
    wanted = plain.evaluate(query, junk, matrix(query, junk, KReciprocal(4, 2)), "market1501")
    assert evaluate(query, junk, rerank=KReciprocal(4, 2)).mAP == pytest.approx(wanted["mAP"])


@METRICS
def test_a_gallery_of_one_image_many_times(metric):
    same = np.tile(np.float32([[1, 2]]), (30, 1))
    found = matrix(Embeddings(same[:4]), Embeddings(same[4:]), KReciprocal(5, 3), metric)
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 0.7


def test_the_report_says_what_was_done(rng):
    query, gallery = clusters(rng)
    report = evaluate(query, gallery, metric="cosine", rerank=KReciprocal(k1=10, lambda_value=0.25))
    assert report.rerank == "k-reciprocal k1=10 k2=6 lambda=0.25"
    assert "(cosine, market1501, k-reciprocal k1=10 k2=6 lambda=0.25; 40 queries:" in str(report)
    assert json.loads(json.dumps(report.numbers()))["rerank"] == report.rerank
    usual = evaluate(query, gallery, metric="cosine")
    assert usual.rerank == "" and "(cosine, market1501; 40 queries:" in str(usual)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k1": 0}, "The k1 of re-ranking is 0: choose a whole number from 1"),
        ({"k1": 2.5}, "The k1 of re-ranking is 2.5"),
        ({"k2": 0}, "The k2 of re-ranking is 0"),
        ({"lambda_value": 1.5}, "The lambda of re-ranking is 1.5: choose a number from 0 to 1"),
        ({"lambda_value": -0.1}, "lambda of re-ranking is -0.1"),
        ({"lambda_value": math.nan}, "lambda of re-ranking is nan"),
        ({"lambda_value": "0.3"}, "lambda of re-ranking is '0.3'"),
    ],
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(DataError, match=message):
        KReciprocal(**parameters)


@pytest.mark.parametrize(
    ("query", "gallery", "metric", "message"),
    [
        (np.ones((1, 3)), np.ones((2, 2)), "euclidean", "3 dimensions and the gallery's 2"),
        (np.ones((1, 2)), np.ones((0, 2)), "euclidean", "gallery is empty"),
        (np.ones((0, 2)), np.ones((2, 2)), "euclidean", "there are no queries"),
        (np.ones((1, 2)), np.array([[1.0, 0], [0, 0]]), "cosine", "gallery vectors have 1 of length zero"),
        (np.ones((1, 2)), np.ones((2, 2)), "l2", "no metric 'l2'"),
    ],
)
def test_refusals(query, gallery, metric, message):
    def labelled(vectors, camera):
        return Embeddings(vectors, np.ones(len(vectors), int), np.full(len(vectors), camera))

    with pytest.raises(DataError, match=message):
        evaluate(labelled(query, 1), labelled(gallery, 2), metric=metric, rerank=KReciprocal())
