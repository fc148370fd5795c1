import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference import ranking as plain
from reference.pairs import every_pair
from reference.ranking_cases import cases
from resight import Embeddings
from resight.decisions.pairs import collect, end_of, middle_of, near_impostors, step_of, to_end_of_step
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.distance import pairwise

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MEMORY = st.sampled_from([1, 50, 100, 200, 10**6])


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(case=cases(), memory=MEMORY)
@FAST
def test_equals_the_plain_loop(case, memory, metric, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors, metric)
    found = collect(query, gallery, protocols.get(protocol), metric, memory)
    everything = list(every_pair(query, gallery, distances, protocol))
    genuine = sorted((q, g, d) for q, g, d, same in everything if same)
    impostors = [(q, g, d) for q, g, d, same in everything if not same]
    kept = zip(found.genuine_query.tolist(), found.genuine_gallery.tolist(), found.genuine.tolist(), strict=True)
    assert sorted(kept) == genuine
    steps = np.zeros_like(found.impostors)
    for _, _, distance in impostors:
        steps[step_of([distance])[0]] += 1
    assert found.impostors.tolist() == steps.tolist()
    assert found.different_impostors == len(impostors) and found.different_genuine == len(genuine)
    for q in range(len(query)):
        assert found.asked[q] == (query.identities[q] > 0)
        assert found.nearest_match[q] == min((d for p, _, d in genuine if p == q), default=np.inf)
        assert found.nearest_other[q] == min((d for p, _, d in impostors if p == q), default=np.inf)
        ranked = plain.hits(q, query, gallery, distances, protocol)
        assert found.match_first[q] == bool(ranked and ranked[0] and found.asked[q])


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@given(case=cases(), memory=MEMORY, share=st.floats(0, 1))
@FAST
def test_near_impostors_equal_the_plain_loop(case, memory, share, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors)
    limit = float(np.quantile(distances, share, method="nearest"))
    found = []
    for q, g, d in near_impostors(query, gallery, protocols.get(protocol), "euclidean", limit, memory):
        found += zip(q.tolist(), g.tolist(), d.tolist(), strict=True)
    expected = [(q, g, d) for q, g, d, same in every_pair(query, gallery, distances, protocol) if not same]
    assert sorted(found) == sorted(one for one in expected if one[2] <= limit)


@given(distances=st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_steps_are_narrow_and_in_order(distances):
    values = np.sort(np.array(distances, np.float32))
    steps = step_of(values)
    assert (np.diff(steps) >= 0).all()
    ends = end_of(steps)
    assert (ends >= values).all() and (step_of(ends) == steps).all()
    assert (step_of(np.nextafter(ends, np.float32(np.inf))) == steps + 1).all()
    normal = values > 1e-30
    assert (ends[normal] <= values[normal] * (1 + 2.0**-11)).all()
    assert (np.abs(middle_of(steps) - values) <= np.maximum(ends * 2.0**-11, 1e-30)).all()
    assert to_end_of_step(distances[0]) == end_of(step_of(distances[:1]))[0]


def test_memory_does_not_matter_and_a_set_against_itself_counts_twice(rng):
    images = Embeddings(
        rng.normal(size=(300, 4)).astype(np.float32),
        np.arange(300) % 60,
        np.arange(300) % 7,
        np.arange(300).astype(str),
    )
    small = collect(images, images, protocols.market1501, "cosine", memory=1)
    large = collect(images, images, protocols.market1501, "cosine", memory=2**26, copies=2)
    assert small.impostors.tolist() == large.impostors.tolist()
    assert sorted(small.genuine.tolist()) == sorted(large.genuine.tolist())
    assert large.different_impostors == int(small.impostors.sum()) // 2
    assert large.different_genuine == len(small.genuine) // 2 > 0
