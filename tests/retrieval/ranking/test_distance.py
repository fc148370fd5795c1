import numpy as np
import pytest

from reference import ranking as plain
from resight import DataError, Embeddings, KReciprocal
from resight.retrieval.ranking.distance import Distances, pairwise
from resight.retrieval.ranking.rank import topk


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (3, 65, 129), (1, 1, 1)])
def test_equals_the_plain_loop(metric, shape, rng):
    queries, gallery, dimensions = shape
    a = rng.normal(size=(queries, dimensions)).astype(np.float32)
    b = rng.normal(size=(gallery, dimensions)).astype(np.float32)
    expected = [[getattr(plain, metric)(x, y) for y in b] for x in a]
    found = pairwise(a, b, metric)
    assert found.dtype == np.float32 and found.shape == (queries, gallery)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_identical_vectors_are_exactly_zero_apart(metric, offset, rng):
    a = (rng.normal(size=(300, 512)) + offset).astype(np.float32)
    found = pairwise(a, a, metric)
    assert (np.diag(found) == 0).all()
    assert (found[~np.eye(len(a), dtype=bool)] > 0).all()


def test_small_distances_survive_cancellation(rng):
    a = (rng.normal(size=(4, 256)) + 10).astype(np.float32)
    b = a.copy()
    b[:, 0] += np.float32(1e-3)
    np.testing.assert_allclose(np.diag(pairwise(a, b)), np.abs(b[:, 0] - a[:, 0]), rtol=1e-4)


def test_opposite_vectors_are_two_apart_in_cosine(rng):
    a = rng.normal(size=(3, 8)).astype(np.float32)
    np.testing.assert_allclose(np.diag(pairwise(a, -7 * a, "cosine")), 2, rtol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equal_gallery_vectors_are_equally_far(metric, rng):
    base = rng.normal(size=(70, 96)).astype(np.float32)
    copies = rng.integers(0, 70, 9000)  # more than two tiles wide
    found = pairwise(rng.normal(size=(40, 96)).astype(np.float32), base[copies], metric)
    for original in range(70):
        same = found[:, copies == original]
        assert (same == same[:, :1]).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_blocks_are_parts_of_the_whole(metric, small_grid, rng):
    a, b = rng.normal(size=(7, 33)).astype(np.float32), rng.normal(size=(11, 33)).astype(np.float32)
    distances = Distances(a, b, metric)
    whole = pairwise(a, b, metric)
    for top in range(0, 7, 2):
        for left in range(0, 11, 3):
            part = distances.block(slice(top, top + 4), slice(left, left + 6))
            np.testing.assert_array_equal(part, whole[top : top + 4, left : left + 6])


def test_a_block_off_the_grid_is_refused(rng):
    distances = Distances(np.ones((4, 2)), np.ones((4, 2)), "euclidean")
    with pytest.raises(ValueError, match="grid"):
        distances.block(slice(1, 3), slice(0, 4))


def test_a_zero_vector_is_fine_for_euclidean_and_refused_for_cosine():
    a, b = np.zeros((1, 2), np.float32), np.array([[3, 4]], np.float32)
    assert pairwise(a, b)[0, 0] == 5 and pairwise(a, a)[0, 0] == 0
    with pytest.raises(DataError, match="gallery vectors have 1 of length zero, first in row 1"):
        pairwise(b, np.concatenate([b, a]), "cosine")


@pytest.mark.parametrize(
    ("a", "b", "metric", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "euclidean", "3 dimensions and the gallery's 4"),
        (np.ones(3), np.ones((2, 3)), "euclidean", r"query vectors have shape \(3,\)"),
        (np.ones((2, 3)), np.ones((2, 3)), "euclid", "no metric 'euclid'"),
        (np.ones((2, 3)), np.array([[1, 1, 1], [0, 2e18, 0]]), "euclidean", "gallery vector in row 1"),
        (np.array([[np.nan, 1.0]]), np.ones((2, 2)), "euclidean", "query vector in row 0"),
    ],
)
def test_refusals(a, b, metric, message):
    with pytest.raises(DataError, match=message):
        pairwise(a, b, metric)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("size", [1e-43, 1e-40, 1e-38, 1e-30, 1e-20, 1e-12])
def test_very_short_vectors_have_distances_and_neighbours(rng, metric, size):
    """Down to where float32 itself has only a few bits: distances by plain float64 arithmetic."""
    query, gallery = (np.float32(size * rng.normal(size=(n, 8))) for n in (5, 40))
    a, b = query.astype(np.float64)[:, None], gallery.astype(np.float64)[None]
    if metric == "euclidean":
        expected = np.sqrt(((a - b) ** 2).sum(2))
    else:
        expected = 1 - (a * b).sum(2) / np.linalg.norm(a, axis=2) / np.linalg.norm(b, axis=2)
    grain = 1.5e-45 if metric == "euclidean" else 1e-7
    np.testing.assert_allclose(pairwise(query, gallery, metric), expected, rtol=1e-6, atol=grain)
    found = topk(Embeddings(query), Embeddings(gallery), 3, metric)
    assert (found.indices >= 0).all()
    np.testing.assert_allclose(found.distances, np.sort(expected, axis=1)[:, :3], rtol=1e-6, atol=grain)
    again = topk(Embeddings(query), Embeddings(gallery), 40, metric, rerank=KReciprocal(k1=5, k2=2))
    assert all(sorted(row) == list(range(40)) for row in again.indices.tolist())


@pytest.mark.parametrize("size", [1e-40, 1e25])
def test_the_length_of_a_vector_does_not_change_its_cosine_distance(rng, size):
    vectors = rng.normal(size=(6, 16)).astype(np.float32)
    other = vectors.copy()
    other[2] = np.float32(size) * vectors[2].astype(np.float64)
    np.testing.assert_allclose(pairwise(other, vectors, "cosine"), pairwise(vectors, vectors, "cosine"), atol=1e-4)
