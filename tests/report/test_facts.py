import numpy as np
import pytest

from resight import DataError, Embeddings
from resight.report import facts
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.distance import pairwise


def test_camera_pairs_are_small_evaluations(street):
    query, gallery, _ = street
    pairs = facts.camera_pairs(query, gallery, protocols.market1501, "euclidean")
    assert pairs.query == pairs.gallery == [1, 2, 3, 4] and pairs.left_out == 0
    filled = 0
    for asked, line in zip(pairs.query, pairs.cells, strict=True):
        for there, cell in zip(pairs.gallery, line, strict=True):
            part = query.take(np.flatnonzero(query.cameras == asked))
            other = gallery.take(np.flatnonzero(gallery.cameras == there))
            if asked == there:
                assert cell is None
                with pytest.raises(DataError):
                    evaluate(part, other)
            else:
                report = evaluate(part, other)
                assert (cell.queries, cell.rank1, cell.mAP) == (report.evaluated, report.cmc[1], report.mAP)
                filled += 1
    assert filled == 12 == len(list(pairs.values()))


def test_only_the_largest_cameras_are_kept(street, monkeypatch):
    query, gallery, _ = street
    monkeypatch.setattr(facts, "MOST_CAMERAS", 2)
    pairs = facts.camera_pairs(query, gallery, protocols.market1501, "euclidean")
    counts = np.bincount(gallery.cameras)
    assert set(pairs.gallery) == set(np.argsort(-counts, kind="stable")[:2].tolist())
    assert len(pairs.cells) == 2 and 2 <= pairs.left_out <= 4


def test_one_camera_has_no_pairs(street):
    query, gallery, _ = street
    one = Embeddings(query.vectors, query.identities, np.ones(len(query), np.int64))
    assert facts.camera_pairs(one, one, protocols.single_camera, "euclidean") is None
    assert (
        facts.camera_pairs(Embeddings(query.vectors, query.identities), gallery, protocols.single_camera, "cosine")
        is None
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_sampled_distances(street, metric):
    query, gallery, _ = street
    same, other = facts.sample_distances(query, gallery, protocols.market1501, metric)
    distances = pairwise(query.vectors, gallery.vectors, metric)
    person = query.identities[:, None] == gallery.identities
    match = person & (query.cameras[:, None] != gallery.cameras)
    np.testing.assert_allclose(np.sort(same), np.sort(distances[match]), rtol=1e-6)
    wrong = distances[~person & (gallery.identities != -1) & match.any(axis=1)[:, None]]
    wrong = np.sort(wrong)
    place = np.searchsorted(wrong, other).clip(1, len(wrong) - 1)
    nearest = np.minimum(abs(other - wrong[place]), abs(other - wrong[place - 1]))
    assert len(other) > 4000 and nearest.max() < 1e-6
    few, _ = facts.sample_distances(query, gallery, protocols.market1501, metric, queries=1)
    assert 0 < len(few) < len(same)


def test_choice_of_queries(street):
    _, _, report = street
    groups = dict(facts.choose_queries(report, 12))
    assert [len(groups[name]) for name in ("Worst", "Random", "Best")] == [6, 3, 3]
    chosen = np.concatenate(list(groups.values()))
    assert len(set(chosen.tolist())) == 12 and np.isfinite(report.average_precision[chosen]).all()
    everything = np.concatenate([which for _, which in facts.choose_queries(report, 10**6)])
    assert sorted(everything.tolist()) == np.flatnonzero(report.first_match > 0).tolist()
    assert facts.choose_queries(report, 0) == []
