import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference import ranking as plain
from reference.ranking_cases import cases
from resight import DataError, Embeddings
from resight.embedding.products import TorchProducts
from resight.errors import RecipeError
from resight.retrieval.ranking import counting, protocols, rank
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.rough import Rough
from resight.retrieval.ranking.threads import THREADS

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def expected_ranks(query, gallery, metric, protocol):
    distances = pairwise(query.vectors, gallery.vectors, metric)
    ranks = []
    for q in range(len(query)):
        ranks.append([r for r, hit in enumerate(plain.hits(q, query, gallery, distances, protocol), start=1) if hit])
    return ranks


def found_ranks(query, gallery, metric, protocol, memory):
    found = rank.ranks_of_matches(query, gallery, protocols.get(protocol), metric, memory)
    return [found.ranks[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(
    case=cases(),
    memory=st.sampled_from([1, 50, 100, 200, 400, 10**6]),
    sparse=st.sampled_from([0, 3, 10**9]),
    with_numba=st.booleans(),
)
@FAST
def test_ranks_equal_a_stable_sort(case, memory, sparse, with_numba, metric, protocol, small_grid, monkeypatch):
    monkeypatch.setattr(counting, "_WORTH", 0 if with_numba else 10**9)  # without it installed, both are numpy
    counting.kernel.cache_clear()  # as in a process that has not loaded it yet
    monkeypatch.setattr(counting, "_SPARSE", sparse)  # picked and sorted, some of both, counted one by one
    assert found_ranks(*case, metric, protocol, memory) == expected_ranks(*case, metric, protocol)


@pytest.mark.parametrize("protocol", [None, "market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(case=cases(), memory=st.sampled_from([1, 50, 100, 200, 400, 10**6]), k=st.integers(1, 16))
@FAST
def test_topk_equals_a_stable_sort(case, memory, k, metric, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors, metric)
    found = rank.topk(query, gallery, k, metric, protocol and protocols.get(protocol), memory)
    assert found.indices.shape == found.distances.shape == (len(query), k)
    for q in range(len(query)):
        expected = plain.order(q, query, gallery, distances, protocol)[:k]
        missing = k - len(expected)
        assert found.indices[q].tolist() == expected + [-1] * missing
        assert found.distances[q].tolist() == [*distances[q, expected].tolist(), *[np.inf] * missing]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_memory_budget_changes_nothing(metric, rng, monkeypatch):
    vectors = rng.normal(size=(500, 40)).astype(np.float32)
    vectors[200:400] = vectors[:200]  # every tie matters
    ids, cameras = rng.integers(-1, 30, 500), rng.integers(1, 4, 500)
    gallery = Embeddings(vectors, ids, cameras)
    query = Embeddings(vectors[:300], rng.permutation(ids[:300]), cameras[:300])
    monkeypatch.setattr(rank.grid, "TILE_QUERIES", 64)
    monkeypatch.setattr(rank.grid, "TILE_GALLERY", 128)
    results = []
    for memory in (10**4, 10**5, 2 * 10**5, 10**9):
        matches = rank.ranks_of_matches(query, gallery, protocols.market1501, metric, memory)
        nearest = rank.topk(query, gallery, 20, metric, protocols.market1501, memory)
        results.append((matches.ranks, matches.offsets, nearest.indices, nearest.distances))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_block_and_its_copy_exceed_the_memory_budget(rng, small_grid):
    query, gallery = (rng.normal(size=(n, 2)).astype(np.float32) for n in (9, 40))
    for memory in (24 * THREADS, 100 * THREADS, 400 * THREADS, 10**4 * THREADS):
        sizes = []
        Rough(query, gallery, "euclidean").each(
            np.arange(40), memory, lambda block, to=sizes: to.append((block.products.size, len(block.images)))
        )
        assert max(4 * (THREADS * size + 2 * images) for size, images in sizes) <= memory
        assert sum(size for size, _ in sizes) == 9 * 40


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("common", [0, 1, 30, 1000])
@pytest.mark.parametrize("half", [False, True])
def test_rough_distances_are_as_near_the_truth_as_they_say(metric, common, half, rng):
    shift = common * rng.normal(size=96)
    query, gallery = ((rng.normal(size=(n, 96)) + shift).astype(np.float32) for n in (70, 300))
    rough = Rough(query, gallery, metric, TorchProducts("cpu", half=True) if half else None)
    found = np.empty((70, 300), np.float32)

    def keep(block):
        found[block.rows] = block.products + block.squares

    rough.each(np.arange(300), 10**7, keep)
    queries, images = np.divmod(np.arange(70 * 300), 300)
    low, high = rough.window(queries, rough.exact(queries, images))
    assert (low <= found.ravel()).all() and (found.ravel() <= high).all()
    assert np.median(high - low) < (1e-1 if half else 1e-2) * np.ptp(found)  # and useful


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_products_of_torch_and_of_half_precision_change_no_rank(metric, half, rng):
    vectors = (rng.normal(size=(600, 24)) @ rng.normal(size=(24, 64)) + 3).astype(np.float32)
    vectors[300:400] = vectors[:100]  # ties
    gallery = Embeddings(vectors, rng.integers(-1, 40, 600), rng.integers(1, 4, 600))
    query = Embeddings(vectors[:150], rng.permutation(gallery.identities[:150]), gallery.cameras[:150])
    results = []
    for products in (None, TorchProducts("cpu", half)):
        matches = rank.ranks_of_matches(query, gallery, protocols.market1501, metric, products=products)
        nearest = rank.topk(query, gallery, 20, metric, protocols.market1501, products=products)
        results.append((matches.ranks, matches.offsets, nearest.indices, nearest.distances))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match="device 'cuda:99' cannot be used here"):
        TorchProducts("cuda:99")


def test_ties_keep_the_gallerys_order():
    gallery = Embeddings(np.array([[1.0], [0], [1], [0], [1]]), [2, 3, 1, 3, 1], [2] * 5)
    query = Embeddings(np.array([[1.0]]), [1], [1])
    assert found_ranks(query, gallery, "euclidean", "market1501", 10**6) == [[2, 3]]
    assert rank.topk(query, gallery, 4).indices.tolist() == [[0, 2, 4, 1]]


def test_a_query_in_the_gallery_never_finds_itself_on_a_single_camera():
    both = Embeddings(np.array([[0.0], [1], [5]]), [1, 1, 2], [1, 1, 1], ["a.jpg", "b.jpg", "c.jpg"])
    assert rank.topk(both, both, 2, protocol=protocols.single_camera).indices.tolist() == [[1, 2], [0, 2], [1, 0]]
    assert found_ranks(both, both, "euclidean", "single_camera", 1) == [[1], [1], []]


def test_without_paths_a_gallery_that_is_the_query_set_is_refused():
    both = Embeddings(np.array([[0.0], [1]]), [1, 1])
    with pytest.raises(DataError, match="same vectors without paths"):
        rank.topk(both, both, 1, protocol=protocols.single_camera)
    other = Embeddings(both.vectors.copy(), [1, 1])
    assert found_ranks(other, both, "euclidean", "single_camera", 1) == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("gallery", "k", "message"),
    [
        (Embeddings(np.ones((2, 1)), [1, 1]), 1, "gallery embeddings have no cameras"),
        (Embeddings(np.ones((2, 1))), 1, "gallery embeddings have no identities"),
        (Embeddings(np.ones((0, 1)), [], []), 1, "gallery is empty"),
        (Embeddings(np.ones((2, 1)), [1, 1], [1, 1]), 0, "k is 0: pass a whole number"),
    ],
)
def test_refusals(gallery, k, message):
    query = Embeddings(np.ones((1, 1)), [1], [1])
    with pytest.raises(DataError, match=message):
        rank.topk(query, gallery, k, protocol=protocols.market1501)
