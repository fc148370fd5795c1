import numpy as np
import pytest

from reference import ranking as plain
from resight import DataError
from resight.retrieval.ranking.distance import Distances, pairwise


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
