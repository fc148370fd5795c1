"""A track's embedding is the mean direction of its images, each as heavy as its quality."""

import numpy as np
import pytest

from resight.embedding.tracks import pool_tracks
from resight.errors import DataError
from resight.records import Embeddings


def images(tracks: list[int]) -> Embeddings:
    vectors = np.random.default_rng(3).normal(size=(len(tracks), 5)).astype(np.float32)
    people, cameras = np.array(tracks) % 4 + 1, np.array(tracks) % 2 + 1
    return Embeddings(vectors, people, cameras, columns={"tracks": np.array(tracks)}, fingerprint="f")


def by_loop(some: Embeddings, tracks: list[int], quality: list[float]) -> list[np.ndarray]:
    found = []
    for track in sorted(set(tracks)):
        total = np.zeros(5)
        for vector, mine, weight in zip(some.vectors.astype(np.float64), tracks, quality, strict=True):
            if mine == track:
                total += weight * vector / np.sqrt((vector**2).sum())
        found.append(total / np.sqrt((total**2).sum()))
    return found


def test_mean_and_weighted_mean_are_those_of_a_loop() -> None:
    tracks = [9, 2, 2, 5, 9, 9, 2, 11]
    weights = [0.5, 3.0, 0.0, 1.0, 2.0, 0.1, 7.0, 0.4]
    some = images(tracks)
    plain, weighted = pool_tracks(some), pool_tracks(some, tracks, weights)
    np.testing.assert_allclose(plain.vectors, by_loop(some, tracks, [1.0] * 8), atol=1e-6)
    np.testing.assert_allclose(weighted.vectors, by_loop(some, tracks, weights), atol=1e-6)
    for found in (plain, weighted):
        assert found.columns["tracks"].tolist() == [2, 5, 9, 11] and found.fingerprint == "f"
        assert found.identities is not None and found.identities.tolist() == [3, 2, 2, 4]
        assert found.cameras is not None and found.cameras.tolist() == [1, 2, 2, 2]
    assert np.abs(plain.vectors - weighted.vectors).max() > 0.1
    np.testing.assert_allclose(pool_tracks(some, quality=np.full(8, 2.5)).vectors, plain.vectors, atol=1e-6)


def test_what_cannot_be_pooled() -> None:
    some = images([1, 1, 2])
    with pytest.raises(DataError, match="no column 'tracks'"):
        pool_tracks(Embeddings(some.vectors))
    for quality in ([1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0]):
        with pytest.raises(DataError, match="quality must be one number per image"):
            pool_tracks(some, quality=quality)
    with pytest.raises(DataError, match="Track 2 has no image of a quality above 0"):
        pool_tracks(some, quality=[1.0, 0.0, 0.0])
    with pytest.raises(DataError, match="another identity"):
        pool_tracks(some, [1, 2, 2])
