import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference import ranking as plain
from reference.ranking_cases import cases
from resight import DataError, Embeddings
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.within import matches_within

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MEMORY = st.sampled_from([1, 50, 100, 200, 10**6])


@pytest.mark.parametrize("protocol", [None, "market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(case=cases(), memory=MEMORY, share=st.floats(0, 1))
@FAST
def test_the_matches_are_the_front_of_a_stable_sort(case, memory, share, metric, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors, metric)
    threshold = float(np.quantile(distances, share, method="nearest"))
    found = matches_within(query, gallery, threshold, metric, protocol, memory)
    assert len(found) == len(query)
    for q in range(len(query)):
        expected = [g for g in plain.order(q, query, gallery, distances, protocol) if distances[q][g] <= threshold]
        assert found.of(q).tolist() == expected
        apart = found.distances[found.offsets[q] : found.offsets[q + 1]]
        assert apart.tolist() == distances[q, expected].tolist()


@pytest.mark.parametrize("threshold", [-1.0, np.inf, np.nan])
def test_thresholds_that_are_no_distance_are_refused(threshold):
    one = Embeddings(np.zeros((1, 1)))
    with pytest.raises(DataError, match="threshold is"):
        matches_within(one, one, threshold)
