"""What docs/peers.md says of other packages' evaluation, shown with their own installed files."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

import peers
from reference import reranking as dense
from resight import Embeddings, KReciprocal
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.distance import pairwise

RANK = {"torchreid": "reid/metrics/rank.py", "fastreid": "evaluation/rank.py"}
BOTH = pytest.mark.parametrize("package", list(RANK))


def people(rng: np.random.Generator, queries: int = 40, images: int = 200) -> tuple[Embeddings, Embeddings]:
    """Continuous vectors of 30 people in four cameras."""
    centres = rng.normal(size=(30, 8))

    def some(count: int) -> Embeddings:
        who = rng.integers(0, 30, count)
        vectors = centres[who] + 0.7 * rng.normal(size=(count, 8))
        return Embeddings(vectors.astype(np.float32), who + 1, rng.integers(1, 5, count))

    return some(queries), some(images)


def labels(query: Embeddings, gallery: Embeddings) -> tuple[np.ndarray, ...]:
    return query.identities, gallery.identities, query.cameras, gallery.cameras


@BOTH
def test_the_metric_for_cuhk03_needs_a_name_that_numpy_1_26_has_not(
    package: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(np, "bool", raising=False)  # as from 1.24 to 1.26
    query, gallery = people(rng)
    rank = peers.load_file(package, RANK[package])
    distances = pairwise(query.vectors, gallery.vectors)
    with pytest.raises(AttributeError, match="bool"):
        rank.evaluate_rank(distances, *labels(query, gallery), use_metric_cuhk03=True, use_cython=False)


@BOTH
def test_the_metric_for_cuhk03_mixes_two_galleries(
    package: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "bool", bool, raising=False)
    query, gallery = people(rng)
    rank = peers.load_file(package, RANK[package])
    distances = pairwise(query.vectors, gallery.vectors)

    def ask(single_shot: bool) -> tuple[list[float], float]:
        found = rank.evaluate_rank(
            distances, *labels(query, gallery), 20, use_metric_cuhk03=single_shot, use_cython=False
        )
        return found[0].tolist(), float(np.mean(found[1]))

    np.random.seed(0)
    (one, its_precision), (two, _) = ask(True), ask(True)
    whole, precision = ask(False)
    assert its_precision == precision == pytest.approx(evaluate(query, gallery).mAP)  # of the whole gallery
    assert one != two and one != whole  # the CMC of draws, others each time
    np.random.seed(0)
    assert ask(True)[0] == one


def test_fastreid_swaps_the_classes_of_its_roc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))  # imported there, not used
    roc = peers.load_file("fastreid", "evaluation/roc.py")
    # One query; ten images of the same person at these distances, then ten of others.
    genuine = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9])
    impostors = np.array([0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8])
    distances = np.concatenate([genuine, impostors])[None]
    who = np.repeat([1, 2], 10)
    scores, truth = roc.evaluate_roc_py(distances, np.array([1]), who, np.array([1]), np.full(20, 2))
    assert sorted(scores[truth == 0]) == sorted(genuine) and sorted(scores[truth == 1]) == sorted(impostors)
    # So "positive" is another person, found where the distance is at least t. At 10% false positives, as they print it:
    rates = [((scores[truth == 0] >= t).mean(), (scores[truth == 1] >= t).mean()) for t in np.unique(scores)]
    printed = next(tpr for fpr, tpr in sorted(rates, reverse=True) if fpr <= 0.1)
    assert printed == (impostors > 0.1).mean() == 1.0
    # What the name says: how many genuine pairs are found where 10% of the impostors are taken for them.
    rates = [((impostors <= t).mean(), (genuine <= t).mean()) for t in np.unique(distances)]
    assert max(tpr for fpr, tpr in rates if fpr <= 0.1) == 0.9


def test_torchreid_squares_twice_before_it_re_ranks(rng: np.random.Generator) -> None:
    distance = peers.load_file("torchreid", "reid/metrics/distance.py")
    rerank = peers.load_file("torchreid", "reid/utils/rerank.py")
    query, gallery = people(rng, 20, 60)
    q, g = torch.from_numpy(query.vectors.copy()), torch.from_numpy(gallery.vectors.copy())
    passed = [distance.compute_distance_matrix(a, b).numpy() for a, b in ((q, g), (q, q), (g, g))]  # as its engine does
    theirs = rerank.re_ranking(*passed)
    both = np.concatenate([query.vectors, gallery.vectors])
    plain = pairwise(both, both).astype(np.float64)
    fourth = dense.rerank(plain**2, len(query), 20, 6, 0.3)  # squares what it is given
    np.testing.assert_allclose(theirs, fourth, atol=1e-4)
    ours = KReciprocal()(query, gallery, "euclidean").block(slice(0, 20), slice(0, 60))
    np.testing.assert_allclose(ours, dense.rerank(plain, len(query), 20, 6, 0.3), atol=1e-5)
    assert np.abs(theirs - ours).max() > 0.01
