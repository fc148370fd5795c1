import numpy as np
import pytest

from resight import DataError, Embeddings
from resight.attributes.distance import LinearAttributes, reliability, weighted
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.distance import pairwise


def test_reliability_is_what_guessing_does_not_earn():
    truth = np.array([[1, 1, 1, 0, 1], [1, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], np.uint8)
    chances = np.array([[1, 1, 0, 1, 1], [1, 1, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 1, 0, 1]])
    # never wrong; 2 of 3 and 1 of 1; always wrong; nobody has it; always said
    np.testing.assert_allclose(reliability(truth, chances, "abcde"), [1, 2 / 3 + 1 - 1, 0, 0, 0])


def test_nothing_reliable_is_refused():
    with pytest.raises(DataError, match="better than by guessing"):
        reliability([[1], [0]], [[0.1], [0.9]], "a")


def test_weighted_vectors_are_the_weighted_distance_apart(rng):
    a, b = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(6, 7)).astype(np.float32)
    weights = rng.random(7)
    weights[2] = 0
    found = pairwise(weighted(a, weights), weighted(b, weights))
    for i in range(5):
        for j in range(6):
            total = sum(float(w) * (float(x) - float(y)) ** 2 for w, x, y in zip(weights, a[i], b[j], strict=True))
            assert found[i, j] == pytest.approx(total**0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1], r"shape \(2,\) for vectors of shape \(4, 3\)"),
        ([1, -1, 1], "weight in place 1"),
        ([1, 1, np.nan], "weight in place 2"),
        ([1, np.inf, 1], "weight in place 1"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(DataError, match=message):
        weighted(np.ones((4, 3)), weights)


def people(rng, count=60, images=6):
    """Five attributes: one tells people apart, two are its noisy copies, one is noise, one never varies."""
    ids = np.repeat(np.arange(1, count + 1), images)
    who = rng.normal(size=count)[ids - 1]
    x = 0.2 * rng.normal(size=(len(ids), 5))
    x[:, 0] += who
    shared = 2 * rng.normal(size=len(ids))  # disturbs two attributes alike, so that their difference tells
    x[:, 1] += who + shared
    x[:, 2] += shared
    x[:, 3] *= 30
    x[:, 4] = 1
    return x.astype(np.float32), ids


def test_the_directions_solve_fishers_equation(rng):
    x, ids = people(rng)
    layer = LinearAttributes.fit(x, ids, shrinkage=0.1)
    within, between, middle = np.zeros((5, 5)), np.zeros((5, 5)), x.astype(np.float64).mean(0)
    for i in np.unique(ids):
        mine = x[ids == i].astype(np.float64)
        for row in mine:
            within += np.outer(row - mine.mean(0), row - mine.mean(0)) / (len(x) - 60)
            between += np.outer(mine.mean(0) - middle, mine.mean(0) - middle) / len(x)
    within = 0.9 * within + 0.1 * np.trace(within) / 5 * np.eye(5)
    assert (np.diff(layer.separation) <= 0).all() and (layer.separation >= 0).all()
    share = layer.separation / (1 + layer.separation)
    np.testing.assert_allclose(layer.matrix.T @ within @ layer.matrix, np.diag(share), atol=1e-9)
    strengths = share * layer.separation
    np.testing.assert_allclose(layer.matrix.T @ between @ layer.matrix, np.diag(strengths), atol=1e-9)


def test_the_layer_finds_new_people_better_than_the_outputs(rng):
    train, ids = people(rng)
    layer = LinearAttributes.fit(train, ids, shrinkage=0.01)
    x, ids = people(np.random.default_rng(9))
    first = np.arange(len(x)) % 6 == 0

    def score(vectors):
        query = Embeddings(vectors[first], ids[first], np.ones(first.sum(), np.int64))
        return evaluate(query, Embeddings(vectors[~first], ids[~first], np.full((~first).sum(), 2))).mAP

    assert score(layer(x)) > 2 * score(x)


def test_junk_distractors_and_the_order_of_images_change_nothing(rng):
    x, ids = people(rng, count=12)
    layer = LinearAttributes.fit(x, ids)
    order = rng.permutation(len(x))
    noise = rng.normal(size=(7, 5)) * 100
    other = LinearAttributes.fit(
        np.concatenate([noise, x[order]]), np.concatenate([[0, -1, 0, -1, 0, 0, 0], ids[order]])
    )
    np.testing.assert_allclose(pairwise(layer(x), layer(x)), pairwise(other(x), other(x)), atol=1e-4)


def test_fewer_people_than_attributes(rng):
    """Two people differ in one direction only, and that one is kept."""
    ids = np.repeat([3, 8], 10)
    x = 0.1 * rng.normal(size=(20, 6)) + np.where(ids == 3, 1.0, -1.0)[:, None]
    layer = LinearAttributes.fit(x, ids)
    assert layer.separation[0] > 1 and (layer.separation[1:] < 1e-9).all()
    found = layer(x)
    assert found.dtype == np.float32 and found.shape == (20, 6)
    assert np.abs(found[:, 1:]).max() < 1e-3 * np.abs(found[:, 0]).min()
    assert pairwise(found[:10], found[10:]).min() > 3 * pairwise(found[:10], found[:10]).max()


@pytest.mark.parametrize(
    ("x", "ids", "options", "message"),
    [
        (np.ones((3, 2)), [1, 2], {}, r"shape \(3, 2\) do not go with identities of shape \(2,\)"),
        (np.eye(3), [1, 1, 2], {"shrinkage": 0}, "shrinkage is 0"),
        (np.eye(3), [1, 1, 2], {"shrinkage": 1.1}, "shrinkage is 1.1"),
        (np.eye(3), [1, 2, 3], {}, "from 3 images of 3 identities"),
        (np.eye(3), [1, 1, 1], {}, "from 3 images of 1 identities"),
        (np.eye(3), [1, 0, -1], {}, "from 1 images of 1 identities"),
        (np.eye(3)[[0, 0, 1]], [1, 1, 2], {}, "within any identity"),
        ([[1.0], [3], [1], [3]], [1, 1, 2, 2], {}, "between identities"),
        ([[1.0], [np.nan], [1], [3]], [1, 1, 2, 2], {}, "NaN or infinity"),
    ],
)
def test_what_cannot_be_fitted(x, ids, options, message):
    with pytest.raises(DataError, match=message):
        LinearAttributes.fit(x, ids, **options)


def test_other_attributes_are_refused(rng):
    layer = LinearAttributes.fit(*people(rng, 4, 3))
    with pytest.raises(DataError, match=r"learned for 5 attributes but the vectors have shape \(2, 4\)"):
        layer(np.ones((2, 4)))
