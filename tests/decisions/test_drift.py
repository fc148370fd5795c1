import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from reference.pairs import people
from resight import DataError, Embeddings
from resight.decisions.drift import (
    GROUP,
    NEIGHBOUR,
    QUANTILES,
    STATISTICS,
    drift,
    kolmogorov_distance,
    reference,
)
from resight.retrieval.ranking.distance import pairwise


def looks(vectors):
    return Embeddings(np.asarray(vectors, np.float32))


def test_statistics_by_hand(rng):
    """With one group of 64 images there is no chance in who the others are."""
    vectors = rng.normal(size=(GROUP, 5))
    found = reference(looks(vectors), "euclidean")
    distances = np.sort(pairwise(vectors.astype(np.float32), vectors.astype(np.float32)), axis=1)
    expected = (np.linalg.norm(vectors, axis=1), vectors.mean(axis=1), distances[:, NEIGHBOUR])  # the first is itself
    for quantiles, values in zip(found.quantiles, expected, strict=True):
        assert np.allclose(quantiles, np.quantile(values, np.linspace(0, 1, QUANTILES)), rtol=1e-4, atol=1e-6)
    assert (found.images, found.dim) == (GROUP, 5)


def test_junk_counts_nowhere_and_each_distractor_is_somebody(rng):
    images = people(rng, 40, images=5)
    who = images.identities.copy()
    who[::5], who[1::50] = -1, 0
    found = reference(Embeddings(images.vectors, who), "euclidean")
    assert (found.images, found.identities) == (160, 40 + 4)


@given(
    before=st.lists(st.floats(-3, 3), min_size=2, max_size=8),
    now=st.lists(st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0, 5.0]), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_distance_of_distributions_equals_a_scan(before, now):
    quantiles = np.round(np.sort(before), 1)
    found = kolmogorov_distance(quantiles, np.array(now))
    levels = np.linspace(0, 1, len(quantiles))
    largest = 0.0
    for x in np.unique(np.r_[quantiles, now, np.arange(-4, 6, 0.0625)]):
        for eps in (-1e-3, 1e-3):  # farther than rounding, nearer than any two quantiles
            at = x + eps
            below = quantiles <= at
            k = int(below.sum())
            if k == 0 or k == len(quantiles):
                straight = float(k > 0)
            else:
                low, high = quantiles[k - 1], quantiles[k]
                straight = levels[k - 1] + (at - low) / (high - low) * (levels[k] - levels[k - 1])
            largest = max(largest, abs(np.mean(np.array(now) <= at) - straight))
    assert found == pytest.approx(largest, abs=0.02)


def test_close_to_scipys_two_sample_statistic(rng):
    before, now = rng.normal(size=3_000), rng.normal(0.4, 1.2, 500)
    quantiles = np.quantile(before, np.linspace(0, 1, QUANTILES))
    assert kolmogorov_distance(quantiles, now) == pytest.approx(ks_2samp(before, now).statistic, abs=0.01)


def test_images_of_the_same_kind_rarely_look_unlike(rng):
    known = reference(people(rng, 100), "euclidean")
    assert sum(drift(known, people(rng, 60), "euclidean").unlike for _ in range(40)) <= 2
    nameless = people(rng, 300, images=1)
    assert not drift(known, looks(nameless.vectors), "euclidean").unlike


@pytest.mark.parametrize(
    ("change", "statistic"),
    [
        (lambda v: 0.7 * v, "norm"),
        (lambda v: v + 0.6, "mean"),
        (lambda v: 0.5 * v + 2.5 * np.sign(v[:1]), "neighbour"),  # all in one corner: everybody looks like everybody
    ],
)
def test_changed_images_look_unlike(rng, change, statistic):
    known = reference(people(rng, 100), "euclidean")
    found = drift(known, looks(change(people(rng, 60).vectors)), "euclidean")
    shifted = {one.statistic for one in found.shifts if one.shifted}
    assert found.unlike and statistic in shifted
    assert "calibrate again" in str(found) and statistic in str(found)
    of = dict(zip(STATISTICS, found.shifts, strict=True))[statistic]
    assert of.p < 0.01 and of.distance > 0.15


def test_rounding_is_no_drift(rng):
    """Vectors of length 1 have lengths that differ in the seventh digit."""
    vectors = people(rng, 100).vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    known = reference(looks(unit), "cosine")
    again = drift(known, looks(unit * np.float32(1 - 1e-6)), "cosine")
    assert again.shifts[0].distance == 0 and not again.unlike
    assert "look like those of the calibration" in str(again)


def test_a_network_trained_alike_may_have_longer_embeddings(rng):
    now = people(rng, 60).vectors
    own = reference(people(rng, 100), "cosine")
    longer, crowded = looks(1.5 * now), looks(now + 4 * np.sign(now[:1]))
    assert drift(own, longer, "cosine").unlike
    taken = own.for_another_network()
    found = drift(taken, longer, "cosine")
    assert not found.unlike and [one.statistic for one in found.shifts] == ["neighbour"]
    (shift,) = drift(taken, crowded, "cosine").shifts
    assert shift.shifted
    every = {one.statistic: one.p for one in drift(own, looks(now), "cosine").shifts}
    (alone,) = drift(taken, looks(now), "cosine").shifts
    assert alone.p == pytest.approx(every["neighbour"] / 3) or every["neighbour"] == 1  # one test instead of three


def test_refusals(rng):
    known = reference(people(rng, 20), "euclidean")
    with pytest.raises(DataError, match="at least 64 images but there are 63"):
        drift(known, looks(np.ones((63, 16))), "euclidean")
    with pytest.raises(DataError, match="8 dimensions and the calibration's have 16"):
        drift(known, looks(np.ones((99, 8))), "euclidean")
