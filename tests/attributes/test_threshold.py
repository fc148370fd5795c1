import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from limits import files_no_larger_than
from reference import ranking as plain
from reference.ranking_cases import cases
from resight import DataError, Embeddings, ResightError
from resight.attributes.threshold import choose_threshold, measure_matches, write_matches
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.within import matches_within

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MEMORY = st.sampled_from([1, 50, 100, 200, 10**6])


def asked(query, gallery, protocol):
    """For each query with a match: (valid gallery images, true matches among them)."""
    for q in range(len(query)):
        left = [g for g in range(len(gallery)) if plain.valid(q, g, query, gallery, protocol)]
        right = [g for g in left if gallery.identities[g] == query.identities[q] and query.identities[q] > 0]
        if right:
            yield q, left, right


def quality(query, gallery, distances, protocol, threshold):
    """(precision, recall) over all queries together."""
    returned = hits = wanted = 0
    for q, left, right in asked(query, gallery, protocol):
        near = {g for g in left if distances[q][g] <= threshold}
        returned, hits, wanted = returned + len(near), hits + len(near & set(right)), wanted + len(right)
    return (hits / returned if returned else 0.0), hits / wanted


def f_beta(precision, recall, beta):
    total = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / total if total else 0.0


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(case=cases(), memory=MEMORY, beta=st.sampled_from([0.5, 1.0, 1.5, 4.0]))
@FAST
def test_no_distance_is_better_than_the_chosen_one(case, memory, beta, metric, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors, metric)
    assume(any(asked(query, gallery, protocol)))
    chosen = choose_threshold(query, gallery, protocol, metric, beta=beta, memory=memory)
    precision, recall = quality(query, gallery, distances, protocol, chosen.distance)
    assert (chosen.precision, chosen.recall, chosen.beta) == (precision, recall, beta)
    assert chosen.f == pytest.approx(f_beta(precision, recall, beta))
    for other in np.unique(distances):
        score = f_beta(*quality(query, gallery, distances, protocol, other), beta)
        assert score <= chosen.f + 1e-12
        if other > chosen.distance:  # among equals the largest that ends at a match
            near = {float(d) for q, _, right in asked(query, gallery, protocol) for d in distances[q][right]}
            assert score < chosen.f - 1e-12 or float(other) not in near


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@given(case=cases(), memory=MEMORY, wanted=st.sampled_from([0.01, 0.3, 0.5, 0.9, 1.0]))
@FAST
def test_the_smallest_distance_with_the_recall_asked_for(case, memory, wanted, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors)
    assume(any(asked(query, gallery, protocol)))
    chosen = choose_threshold(query, gallery, protocol, recall=wanted, memory=memory)
    assert chosen.recall == quality(query, gallery, distances, protocol, chosen.distance)[1] >= wanted
    for other in np.unique(distances):
        if other < chosen.distance:
            assert quality(query, gallery, distances, protocol, other)[1] < wanted


def line():
    """One query at 0; right answers at 1, 2 and 6, wrong ones at 3, 4 and 5, one more person at 7."""
    query = Embeddings(np.zeros((1, 1)), [1], [1], ["q/001261.jpg"])
    gallery = Embeddings(
        np.array([[5.0], [1], [3], [6], [2], [4], [7]]),
        [2, 1, 2, 1, 1, 2, 3],
        [2] * 7,
        [f"g/{i}.jpg" for i in range(7)],
    )
    return query, gallery


@pytest.mark.parametrize(("beta", "expected"), [(0.5, 2), (1.0, 2), (1.5, 6), (3.0, 6)])
def test_the_more_recall_counts_the_larger_the_distance(beta, expected):
    # within 2: precision 1, recall 2/3; within 6: precision 1/2, recall 1. F1: 4/5 against 2/3;
    # F1.5: 3.25 * 2/3 / (2.25 + 2/3) = 0.743 against 3.25 * 0.5 / (2.25 * 0.5 + 1) = 0.765
    chosen = choose_threshold(*line(), "market1501", beta=beta)
    assert chosen.distance == expected
    assert (chosen.precision, chosen.recall) == ((1, 2 / 3) if expected == 2 else (1 / 2, 1))


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@given(case=cases(), share=st.floats(0, 1))
@FAST
def test_quality_equals_the_plain_loop(case, share, protocol, small_grid):
    query, gallery = case
    distances = pairwise(query.vectors, gallery.vectors)
    threshold = float(np.quantile(distances, share, method="nearest")) * 0.99
    everyone = list(asked(query, gallery, protocol))
    assume(everyone)
    matches = matches_within(query, gallery, threshold, protocol=protocol)
    report = measure_matches(matches, query, gallery, protocol)
    precisions, recalls, sizes = [], [], []
    for q, left, right in everyone:
        near = [g for g in left if distances[q][g] <= threshold]
        hits = len(set(near) & set(right))
        precisions.append(hits / len(near) if near else 0.0)
        recalls.append(hits / len(right))
        sizes.append(len(near))
    assert report.precision == pytest.approx(sum(precisions) / len(everyone))
    assert report.recall == pytest.approx(sum(recalls) / len(everyone))
    assert (report.size, report.empty) == (pytest.approx(sum(sizes) / len(everyone)), sizes.count(0))
    assert (report.queries, report.evaluated) == (len(query), len(everyone))
    assert (report.pooled_precision, report.pooled_recall) == pytest.approx(
        quality(query, gallery, distances, protocol, threshold)
    )


def test_the_result_file(tmp_path):
    _, gallery = line()
    both = Embeddings(np.array([[0.0], [-9]]), [1, 1], [1, 1])
    paths = np.array(["q/001261.jpg", "zip.zip/q/a b.jpg"])
    matches = matches_within(both, gallery, 3.0)
    write_matches(tmp_path / "out" / "reid_test.txt", paths, gallery.paths, matches)
    assert (tmp_path / "out" / "reid_test.txt").read_text() == "001261.jpg: 1.jpg, 4.jpg, 2.jpg\na b.jpg:\n"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    query, gallery = line()
    matches = matches_within(query, gallery, 9.0)
    (tmp_path / "results.txt").write_text("old")
    with files_no_larger_than(10), pytest.raises(ResightError, match=r"results\.txt cannot be written"):
        write_matches(tmp_path / "results.txt", query.paths, gallery.paths, matches)
    assert (tmp_path / "results.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["results.txt"]


def test_two_images_of_one_name_are_refused(tmp_path):
    query, gallery = line()
    matches = matches_within(query, gallery, 9.0)
    with pytest.raises(DataError, match=r"Two gallery images are both called 0\.jpg"):
        write_matches(tmp_path / "r.txt", query.paths, np.array(["a/0.jpg", "b/0.jpg", *gallery.paths[2:]]), matches)
    assert not (tmp_path / "r.txt").exists()


def test_refusals(tmp_path):
    query, gallery = line()
    stranger = Embeddings(np.zeros((1, 1)), [9], [1])
    for options, message in (
        ({"beta": 0}, "beta is 0"),
        ({"beta": np.nan}, "beta is nan"),
        ({"recall": 0}, "recall is 0"),
        ({"recall": 1.1}, "recall is 1.1"),
        ({"protocol": "market"}, "did you mean 'market1501'"),
        ({"query": stranger}, "None of the 1 validation queries has a true match"),
    ):
        given = {"query": query, "gallery": gallery, "protocol": "market1501"} | options
        with pytest.raises(DataError, match=message):
            choose_threshold(**given)
    matches = matches_within(query, gallery, 1.0)
    two = Embeddings(np.zeros((2, 1)), [1, 1], [1, 1])
    with pytest.raises(DataError, match="matches are of 1 queries but 2"):
        measure_matches(matches, two, gallery, "market1501")
    with pytest.raises(DataError, match="matches are of 1 queries but 2"):
        write_matches(tmp_path / "r.txt", np.array(["a", "b"]), gallery.paths, matches)
    with pytest.raises(DataError, match="None of the 1 queries has a true match"):
        measure_matches(matches, stranger, gallery, "market1501")
