"""Groups against plain average linkage, and their measures against loops over all pairs."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from resight.clustering import linkage
from resight.clustering.group import group, measure_groups
from resight.errors import DataError
from resight.records import Embeddings


def clouds(identities: int = 12, images: int = 6, spread: float = 0.25, seed: int = 0) -> tuple[Embeddings, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(1, identities + 1), images)
    vectors = rng.normal(size=(identities, 16))[who - 1] + spread * rng.normal(size=(len(who), 16))
    order = rng.permutation(len(who))
    return Embeddings(vectors[order].astype(np.float32)), who[order]


def plain(vectors: np.ndarray, threshold: float, metric: str) -> list[set[int]]:
    """The same rule, with every average taken over all pairs of members."""
    x = vectors.astype(np.float64)
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        apart = 1 - x @ x.T
    else:
        apart = ((x[:, None] - x[None]) ** 2).sum(2)
    limit = threshold if metric == "cosine" else threshold**2
    groups = [{i} for i in range(len(x))]
    pairs = sorted((apart[i, j], i, j) for i, j in combinations(range(len(x)), 2))
    for distance, i, j in pairs:
        if distance > limit:
            break
        a, b = (next(g for g in groups if k in g) for k in (i, j))
        if a is not b and np.mean([apart[p, q] for p in a for q in b]) <= limit:
            groups.remove(b)
            a |= b
    return groups


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("spread", [0.2, 0.6, 1.0])
def test_average_linkage(metric: str, spread: float) -> None:
    embeddings, _ = clouds(spread=spread, seed=int(10 * spread))
    for threshold in (0.1, 0.4, 0.8) if metric == "cosine" else (1.0, 3.0, 4.5):
        found = group(embeddings, threshold, metric)
        expected = plain(embeddings.vectors, threshold, metric)
        assert {frozenset(np.flatnonzero(found == g).tolist()) for g in set(found.tolist())} == set(
            map(frozenset, expected)
        )
        firsts = [np.flatnonzero(found == g)[0] for g in range(found.max() + 1)]
        assert firsts == sorted(firsts)


def test_people_far_apart_are_found_whatever_the_memory() -> None:
    embeddings, who = clouds()
    found = group(embeddings, 0.3)
    assert measure_groups(found, who).f1 == 1.0 and found.max() + 1 == 12
    assert np.array_equal(group(embeddings, 0.3, memory=1), found)


def test_a_bridge_does_not_chain_two_people() -> None:
    """Points at 0..3 and 10..13 with a bridge of 4..9: neighbours are 1 apart, yet the ends are not one group."""
    line = Embeddings(np.arange(14, dtype=np.float32)[:, None])
    found = group(line, 3.0, "euclidean")
    assert found[0] != found[-1] and found.max() >= 2
    assert group(line, 0.0, "euclidean").tolist() == list(range(14))
    twins = Embeddings(np.array([[1.0, 0], [1, 0], [0, 1]], np.float32))
    assert group(twins, 0.0).tolist() == [0, 0, 1]


def test_measures_by_all_pairs() -> None:
    rng = np.random.default_rng(4)
    groups, who = rng.integers(6, size=60), rng.integers(-1, 7, size=60)
    known = [(g, w) for g, w in zip(groups.tolist(), who.tolist(), strict=True) if w > 0]
    pairs = [(a[0] == b[0], a[1] == b[1]) for a, b in combinations(known, 2)]
    right = sum(t and s for t, s in pairs)
    together, same, n = sum(t for t, _ in pairs), sum(s for _, s in pairs), len(pairs)
    found = measure_groups(groups, who)
    assert found.precision == pytest.approx(right / together) and found.recall == pytest.approx(right / same)
    assert found.f1 == pytest.approx(2 * right / (together + same))
    expected = together * same / n
    assert found.adjusted_rand == pytest.approx((right - expected) / ((together + same) / 2 - expected))
    assert (found.images, found.identities, found.groups) == (len(known), 6, 6)
    assert "pairwise precision" in str(found) and found.numbers()["images"] == len(known)


def test_extremes() -> None:
    who = np.array([1, 1, 2, 2])
    assert measure_groups([0, 0, 1, 1], who).adjusted_rand == 1.0
    alone = measure_groups([0, 1, 2, 3], who)
    assert (alone.precision, alone.recall, alone.adjusted_rand) == (1.0, 0.0, 0.0)
    single = measure_groups([0], [5])
    assert (single.f1, single.adjusted_rand) == (1.0, 1.0)


def test_what_cannot_be_grouped() -> None:
    with pytest.raises(DataError, match="no images to group"):
        group(Embeddings(np.empty((0, 4), np.float32)), 0.5)
    with pytest.raises(DataError, match="threshold is -1"):
        group(clouds()[0], -1.0)
    with pytest.raises(DataError, match=r"Groups of shape \(3,\) do not go with identities of shape \(2,\)"):
        measure_groups([0, 0, 1], [1, 1])
    with pytest.raises(DataError, match="No image has a known identity"):
        measure_groups([0, 0], [0, -1])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_pairs_gathered_in_several_passes_give_the_same_groups(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, _ = clouds(spread=0.6, seed=3)
    twins = Embeddings(np.concatenate([embeddings.vectors, embeddings.vectors[:20]]))  # many equal distances
    threshold = 0.4 if metric == "cosine" else 3.0
    expected = group(twins, threshold, metric)
    for most in (1, 7, 60):
        monkeypatch.setattr(linkage, "_MOST", most)
        monkeypatch.setattr(linkage, "_TOGETHER", 5)
        assert np.array_equal(group(twins, threshold, metric, memory=1), expected)


def test_thousands_of_pictures_of_one_empty_room_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 near-duplicates have 4.5 million pairs within the threshold, which would take 90 MB at 20 bytes each."""
    monkeypatch.setattr(linkage, "_MOST", 2**16)
    rng = np.random.default_rng(0)
    room = rng.normal(size=(1, 32)) + 1e-3 * rng.normal(size=(3_000, 32))
    others = rng.normal(size=(50, 32))
    images = Embeddings(np.concatenate([room, others]).astype(np.float32))
    group(images[:100], 0.3)  # what is imported or compiled at first use does not count
    tracemalloc.start()
    found = group(images, 0.3, memory=2**22)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found[:3_000] == 0).all() and (found[3_000:] > 0).all()
    assert peak < 60 * 2**20
