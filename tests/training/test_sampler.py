"""What every epoch's batches hold to, for any data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from resight.errors import DataError, RecipeError
from resight.training.parts import Sampler
from resight.training.sampler import epoch_batches, share


def shuffled(counts: list[int]) -> NDArray[np.int64]:
    """Labels with ``counts[i]`` images of identity i, in some order."""
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 13), min_size=4, max_size=20),
    K=st.sampled_from([1, 2, 4]),
    P=st.sampled_from([2, 4]),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 300),
)
def test_batches_of_identities(counts: list[int], K: int, P: int, seed: int, epoch: int) -> None:
    labels = shuffled(counts)
    how = Sampler(batch_size=P * K, images_per_identity=K)
    batches = epoch_batches(labels, how, seed, epoch)
    assert batches.dtype == np.int64 and batches.shape[1] == P * K
    seen = np.zeros(len(labels), np.int64)
    groups_taken = np.zeros(len(counts), np.int64)
    for batch in batches:
        groups = labels[batch].reshape(P, K)
        assert (groups == groups[:, :1]).all(), "the K images of an identity stand together"
        assert len(set(groups[:, 0])) == P, "P different identities"
        for identity, images in zip(groups[:, 0], batch.reshape(P, K), strict=True):
            groups_taken[identity] += 1
            if counts[identity] >= K:
                assert len(set(images)) == K
                seen[images] += 1
    assert seen.max() <= 1, "no image twice in an epoch"
    left = np.maximum(1, np.array(counts) // K) - groups_taken
    assert (left >= 0).all() and (left > 0).sum() < P, "the epoch ends only when fewer than P identities are left"
    np.testing.assert_array_equal(batches, epoch_batches(labels, how, seed, epoch))


def test_seed_and_epoch_change_the_batches() -> None:
    labels = shuffled([8] * 10)
    for how in (Sampler(batch_size=8), Sampler(kind="random", batch_size=8)):
        first = epoch_batches(labels, how, 1, 0)
        assert not np.array_equal(first, epoch_batches(labels, how, 1, 1))
        assert not np.array_equal(first, epoch_batches(labels, how, 2, 0))


def test_identities_of_few_images_take_part() -> None:
    labels = shuffled([1, 3, 8, 8])
    drawn = [epoch_batches(labels, Sampler(batch_size=16, images_per_identity=4), 5, epoch) for epoch in range(40)]
    assert all(len(batches) == 1 for batches in drawn)  # each has all four identities
    images = np.concatenate([batches.ravel() for batches in drawn])
    assert set(images) == set(range(len(labels))), "over the epochs every image is seen"


def test_random_batches() -> None:
    labels = np.zeros(23, np.int64)
    batches = epoch_batches(labels, Sampler(kind="random", batch_size=5, images_per_identity=4), 0, 0)
    assert batches.shape == (4, 5) and len(np.unique(batches)) == 20


def test_too_little_data() -> None:
    with pytest.raises(DataError, match=r"a batch needs 16 identities but there are 3: lower sampler\.batch_size"):
        epoch_batches(shuffled([9, 9, 9]), Sampler(), 0, 0)
    with pytest.raises(DataError, match="a batch needs 64 images but there are 27"):
        epoch_batches(shuffled([9, 9, 9]), Sampler(kind="random"), 0, 0)
    with pytest.raises(DataError, match="there are 0"):
        epoch_batches(np.zeros(0, np.int64), Sampler(), 0, 0)


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("kind", ["identities", "random"])
def test_processes_divide_every_batch(processes: int, kind: str) -> None:
    labels = shuffled([9] * 20)
    how = Sampler(kind=kind, batch_size=32, images_per_identity=4)  # type: ignore[arg-type]
    batches = epoch_batches(labels, how, 0, 0)
    parts = [batches[:, share(batches, how, process, processes)] for process in range(processes)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), batches)  # disjoint, together all, in order of rank
    assert len({part.shape for part in parts}) == 1
    if kind == "identities":
        for batch in np.stack(parts, 1):
            identities = [set(labels[part]) for part in batch]
            assert sum(map(len, identities)) == len(set.union(*identities)) == 8


def test_a_batch_that_cannot_be_divided() -> None:
    batches = np.zeros((1, 24), np.int64)
    with pytest.raises(
        RecipeError, match=r"24 cannot be divided among 4 processes in whole identities of 4 images: use a mult.* 16"
    ):
        share(batches, Sampler(batch_size=24), 0, 4)
    with pytest.raises(RecipeError, match="24 cannot be divided among 5 processes: use a multiple of 5"):
        share(batches, Sampler(kind="random", batch_size=24), 0, 5)
    assert share(batches, Sampler(batch_size=24), 1, 2) == slice(12, 24)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 13), min_size=5, max_size=20),
    cameras=st.integers(1, 4),
    K=st.sampled_from([2, 4]),
    steps=st.sampled_from([0, 1, 7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_batches_over_cameras(counts: list[int], cameras: int, K: int, steps: int, seed: int) -> None:
    labels = shuffled(counts)
    labels[:2] = -1
    seen = np.random.default_rng(seed).integers(0, cameras, len(labels))
    sizes = np.bincount(labels[labels >= 0], minlength=len(counts))
    P = 2
    how = Sampler(kind="cameras", batch_size=P * K, images_per_identity=K, steps=steps)
    if (sizes > 1).sum() < P:
        with pytest.raises(DataError, match="identities of two images or more"):
            epoch_batches(labels, how, seed, 0, cameras=seen)
        return
    batches = epoch_batches(labels, how, seed, 0, cameras=seen)
    assert batches.shape == (steps or max(1, sizes[sizes > 1].sum() // (P * K)), P * K)
    for batch in batches:
        who = labels[batch].reshape(P, K)
        assert (who == who[:, :1]).all() and len(set(who[:, 0])) == P and who.min() >= 0
        for images in batch.reshape(P, K):
            group = np.flatnonzero(labels == labels[images[0]])
            others = group[seen[group] != seen[images[0]]]
            pool = others if len(others) else np.setdiff1d(group, images[:1])
            assert np.isin(images[1:], pool).all(), "the others are of other cameras where there are any"
            assert len(pool) < K - 1 or len(set(images[1:])) == K - 1, "none twice where there are enough"
    np.testing.assert_array_equal(batches, epoch_batches(labels, how, seed, 0, cameras=seen))
