"""Rough distances of tiles, in float32 and bfloat16, against float64."""

import numpy as np
import pytest

from resight.embedding import bfloat16
from resight.embedding.bfloat16 import Bfloat16, Bfloat16Products, faster
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.rough import Rough
from resight.retrieval.ranking.tiles import Float32

CASES = pytest.mark.parametrize("common", [0, 1, 30, 1000])
METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])


def squared(rough, vectors, metric):
    """(N, N) |p_i - p_j|^2."""
    wide = vectors.astype(np.float64)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    apart = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    largest = pairwise(vectors, vectors, metric).max()
    return apart * (rough.squared(np.array([largest])) / apart.max())


@METRICS
@CASES
@pytest.mark.parametrize("kind", [Float32, Bfloat16])
def test_distances_are_as_near_the_truth_as_they_say(kind, common, metric, rng):
    vectors = (rng.normal(size=(200, 96)) * rng.uniform(0.1, 1, 200)[:, None] + common * rng.normal(size=96)).astype(
        np.float32
    )
    rough = Rough(vectors, vectors, metric)
    truth, tiles = squared(rough, vectors, metric), kind(rough)
    found = np.full((200, 200), np.nan, np.float32)
    for rows, columns, codes in tiles.between(slice(20, 180), slice(0, 200), 33, 70):
        values = (codes.astype(np.int32) << tiles.shift).view(np.float32)
        found[20 + rows.start : 20 + rows.stop, columns] = values
    off = np.abs(found - truth)[20:180]
    assert (off <= (tiles.error[:, None] + tiles.relative * truth)[20:180]).all()
    if common < 1000:
        assert np.median(tiles.error) < (0.05 if kind is Bfloat16 else 0.002) * truth.max()  # and useful


@METRICS
@CASES
def test_finer_distances_are_as_near_the_truth_as_they_say(common, metric, rng):
    vectors = (rng.normal(size=(200, 96)) + common * rng.normal(size=96)).astype(np.float32)
    vectors[100:] = vectors[:100] * np.float32(1 + 2e-7) + np.float32(1e-6) * rng.normal(size=96).astype(np.float32)
    rough = Rough(vectors, vectors, metric)
    truth = squared(rough, vectors, metric)
    rows, columns = np.divmod(np.arange(200 * 200), 200)
    off = np.abs(rough.finer(rows, columns).reshape(200, 200) - truth)
    error, relative = rough.error_of_finer
    assert (off <= error[:, None] + relative * truth).all()
    assert relative < 1e-4
    if metric == "euclidean" or common <= 1:
        assert np.median(error) < 1e-5  # and useful


def test_bfloat16_is_left_out_where_it_is_slower(rng, monkeypatch):
    vectors = rng.normal(size=(20, 8)).astype(np.float32)
    rough = Rough(vectors, vectors, "euclidean")
    assert (Bfloat16Products().tiles(rough) is not None) is faster()  # torch is loaded here
    monkeypatch.setattr(bfloat16, "faster", lambda: False)
    assert Bfloat16Products().tiles(rough) is None
