"""The sparse Jaccard distances against plain loops over all pairs."""

import numpy as np
import pytest

from reference import jaccard as reference
from resight.errors import DataError
from resight.retrieval.reranking.jaccard import jaccard


def people(count: int = 9, images: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 8))
    return (np.repeat(centres, images, 0) + 0.5 * rng.normal(size=(count * images, 8))).astype(np.float32)


@pytest.mark.parametrize(("k1", "k2"), [(8, 3), (6, 1), (30, 6), (7, 2)])
def test_distances_are_those_of_the_loops(k1: int, k2: int) -> None:
    vectors = people()
    found = jaccard(vectors, k1, k2, largest=0.95).toarray()
    expected = reference.jaccard(vectors.astype(np.float64), k1, k2)
    near = expected <= 0.95
    assert near.sum() > 2 * len(vectors), "there is something to compare"
    np.testing.assert_allclose(found[near], expected[near], atol=1e-6)
    assert not found[expected > 0.95 + 1e-6].any()


def test_forbidden_pairs_are_no_neighbours() -> None:
    vectors = people()
    rng = np.random.default_rng(1)
    pairs = {(int(a), int(b)) for a, b in rng.integers(0, len(vectors), (60, 2)) if a != b}
    pairs |= {(b, a) for a, b in pairs}
    banned = np.zeros((len(vectors), len(vectors)), bool)
    banned[tuple(np.array(sorted(pairs)).T)] = True
    found = jaccard(vectors, 8, 3, largest=0.95, allowed=lambda a, b: ~banned[a, b]).toarray()
    expected = reference.jaccard(vectors.astype(np.float64), 8, 3, pairs)
    near = expected <= 0.95
    np.testing.assert_allclose(found[near], expected[near], atol=1e-6)
    assert not found[banned].any()


def test_a_wrong_image_in_a_track_moves_it_by_its_share_and_joins_nobody() -> None:
    vectors = people(count=6, images=6)
    tracks = np.full(len(vectors), -1)
    tracks[:6], tracks[6] = 0, 0  # six images of the first person and one of the second
    plain = jaccard(vectors, 8, 3, largest=0.99).toarray()
    found = jaccard(vectors, 8, 3, largest=0.99, together=tracks).toarray()
    assert plain[:6, :6].max() > 0 and found[:7, :7].max() == pytest.approx(0, abs=1e-6), "a track is one"
    far = found[:7, 7:12]
    assert (far == 0).all() or far[far > 0].min() > 0.6, "the second person stays apart"
    np.testing.assert_allclose(found[12:, 12:], plain[12:, 12:], atol=1e-6)


def test_it_is_symmetric_and_depends_on_directions_alone() -> None:
    vectors = people()
    found = jaccard(vectors, 8, 3)
    assert abs(found - found.T).max() < 1e-6
    longer = jaccard(vectors * np.linspace(0.5, 4, len(vectors), dtype=np.float32)[:, None], 8, 3)
    np.testing.assert_allclose(longer.toarray(), found.toarray(), atol=1e-5)


def test_an_embedding_without_a_direction_is_refused() -> None:
    with pytest.raises(DataError, match="length zero"):
        jaccard(np.zeros((3, 4), np.float32))
