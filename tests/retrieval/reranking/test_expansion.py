"""Query expansion and pooling against plain loops."""

import numpy as np
import pytest

from resight import DataError, Embeddings
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.reranking.expansion import expand_queries, pool


def direction(vector):
    vector = np.asarray(vector, np.float64)
    return vector / np.sqrt((vector**2).sum())


def some(rng, count, dimensions=6, **columns):
    return Embeddings(rng.normal(size=(count, dimensions)).astype(np.float32) * 3, **columns)


@pytest.mark.parametrize("alpha", [0, 1, 3.0])
@pytest.mark.parametrize("n", [1, 4, 15])
def test_expansion_equals_the_plain_loop(alpha, n, rng):
    query, gallery = some(rng, 7, identities=range(7), cameras=[1] * 7, fingerprint="aa"), some(rng, 15)
    found = expand_queries(query, gallery, n, alpha)
    for one, expanded in zip(query.vectors, found.vectors, strict=True):
        similarity = [float(direction(one) @ direction(other)) for other in gallery.vectors]
        nearest = sorted(range(15), key=lambda g: -similarity[g])[:n]
        total = direction(one)
        for g in nearest:
            total = total + max(similarity[g], 0) ** alpha * direction(gallery.vectors[g])
        np.testing.assert_allclose(expanded, direction(total), atol=1e-6)
    assert found.identities.tolist() == list(range(7)) and found.fingerprint == "aa"


def test_among_equals_the_earlier_image_is_taken():
    query = Embeddings(np.array([[1.0, 0, 0]]))
    gallery = Embeddings(np.array([[1.0, 1, 0], [1, 0, 1], [0, 1, 1]]))
    np.testing.assert_allclose(
        expand_queries(query, gallery, 1).vectors[0], direction([1 + 0.5**0.5, 0.5**0.5, 0]), atol=1e-6
    )


def test_expansion_helps_where_the_query_is_odd():
    """The first match lies between the query and another match, and a stranger stands on the other side."""

    def at(*degrees):
        return np.array([[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees])

    query = Embeddings(at(0), [1], [1])
    gallery = Embeddings(at(20, 50, -40), [1, 1, 2], [2, 2, 2])
    assert evaluate(query, gallery, metric="cosine").mAP == pytest.approx((1 + 2 / 3) / 2)
    assert evaluate(expand_queries(query, gallery, 1), gallery, metric="cosine").mAP == 1


def test_pooling_equals_the_plain_loop(rng):
    tracks = rng.integers(0, 5, 40) * 10
    images = some(rng, 40, identities=tracks + 1, cameras=tracks % 3, fingerprint="aa")
    found = pool(images, tracks)
    assert found.identities.tolist() == [1, 11, 21, 31, 41] and found.fingerprint == "aa"
    assert found.cameras.tolist() == [track % 3 for track in (0, 10, 20, 30, 40)]
    for track, vector in zip((0, 10, 20, 30, 40), found.vectors, strict=True):
        total = sum(direction(one) for one, of in zip(images.vectors, tracks, strict=True) if of == track)
        np.testing.assert_allclose(vector, direction(total), atol=1e-6)


def test_groups_by_two_columns_and_by_names():
    images = Embeddings(np.array([[1.0, 0], [0, 1], [0, 3], [2, 0]]), [1, 1, 2, 1], [1, 2, 1, 1])
    found = pool(images, np.stack([images.identities, images.cameras], axis=1))
    assert (found.identities.tolist(), found.cameras.tolist()) == ([1, 1, 2], [1, 2, 1])
    np.testing.assert_allclose(found.vectors, [[1, 0], [0, 1], [0, 1]])
    named = pool(images, ["b", "b", "a", "b"])
    assert named.identities.tolist() == [2, 1] and named.cameras is None  # b was seen by two cameras
    np.testing.assert_allclose(named.vectors, [[0, 1], direction([2, 1])], atol=1e-6)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda one: expand_queries(one, one, 0), "n is 0: pass a whole number"),
        (lambda one: expand_queries(one, one, 4), "needs 4 of 3 gallery images"),
        (lambda one: expand_queries(one, one, 1, -1), "alpha of query expansion is -1"),
        (lambda one: expand_queries(one, one, 1, np.inf), "alpha of query expansion is inf"),
        (lambda one: expand_queries(one, Embeddings(np.ones((2, 3))), 1), "dimensions"),
        (lambda one: expand_queries(one, Embeddings(one.vectors, fingerprint="bb"), 1), "embedded by aa"),
        (lambda one: expand_queries(one, Embeddings(-one.vectors[:1]), 1), "expanded query in row 0"),
        (lambda one: expand_queries(one, Embeddings(np.zeros((1, 2))), 1), "length zero"),
        (lambda one: pool(one, [1, 2]), r"shape \(2,\) for 3 images"),
        (lambda one: pool(one, [1, 1, 1]), "Image 2 has another identity than its group"),
        (lambda one: pool(Embeddings(np.array([[1.0, 0], [-1, 0]])), [4, 4]), "group in row 0 has length zero"),
        (lambda one: pool(Embeddings(np.zeros((1, 2))), [4]), "image in row 0 has length zero"),
    ],
)
def test_refusals(work, message):
    with pytest.raises(DataError, match=message):
        work(Embeddings(np.array([[1.0, 0], [0, 1], [1, 1]]), [5, 5, 6], fingerprint="aa"))
