"""Two models on the same street: numbers recounted, and both ranked lists of the queries won and lost by most."""

from pathlib import Path

import numpy as np
import pytest

from reference import ranking as plain
from resight import DataError, Embeddings
from resight.report.comparison import Side, write_comparison
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.distance import pairwise

from .test_html import Page


@pytest.fixture
def sides(street):
    """The street through its model, and through one that sees half of the coordinates by another metric."""
    query, gallery, report = street
    few = [Embeddings(one.vectors[:, :4], one.identities, one.cameras, one.paths) for one in (query, gallery)]
    return Side("half", *few, evaluate(*few, metric="cosine")), Side("whole", query, gallery, report)


@pytest.fixture
def write(tmp_path, sides, draw):
    def make(**options):
        given = {"title": "Two", "a": sides[0], "b": sides[1], "protocol": "market1501", "images": draw}
        found = write_comparison(tmp_path / "page.html", **(given | options))
        return Page((tmp_path / "page.html").read_text(encoding="utf-8")), found

    return make


def test_the_numbers_are_there(write, sides):
    page, found = write()
    a, b = (np.array(side.report.average_precision) for side in sides)
    gained = [float(y - x) for x, y in zip(a, b, strict=True) if np.isfinite(x)]
    wins, losses = sum(one > 0 for one in gained), sum(one < 0 for one in gained)
    assert (found.wins, found.losses) == (wins, losses) and wins > losses > 0
    assert f"B is better on {wins} queries, worse on {losses} , the same on {len(gained) - wins - losses}" in page.text
    assert f"mAP {np.nanmean(a):.1%} {np.nanmean(b):.1%} {100 * np.mean(gained):+.1f}" in page.text
    assert f"{100 * found.mAP.low:+.1f} to {100 * found.mAP.high:+.1f}" in page.text
    assert f"probability {found.p_value:.2g}" in page.text
    assert "A is half (cosine distance), B is whole (euclidean distance)" in page.text


def test_both_lists_of_the_queries_won_and_lost_by_most(write, sides):
    page, _ = write(queries_shown=3, ranked=5)
    names = [Path(path).name for path in sides[0].query.paths]
    gained = np.array(sides[1].report.average_precision) - np.array(sides[0].report.average_precision)
    order = [q for q in np.argsort(gained) if np.isfinite(gained[q])]
    expected = [*order[::-1][:3], *order[:3]]
    assert [names.index(one[0][1]) for one in page.lists] == expected
    for q, shown in zip(expected, page.lists, strict=True):
        lists = [shown[: len(shown) // 2], shown[len(shown) // 2 :]]
        for side, ((kind, name), *answers) in zip(sides, lists, strict=True):
            assert (kind, name) == ("asked", names[q])
            distances = pairwise(side.query.vectors, side.gallery.vectors, side.report.metric)
            ranked = plain.order(q, side.query, side.gallery, distances, "market1501")[:5]
            same = side.gallery.identities[ranked] == side.query.identities[q]
            files = [Path(side.gallery.paths[g]).name for g in ranked]
            assert answers == [["right" if yes else "wrong", file] for yes, file in zip(same, files, strict=True)]
    assert len(page.images) == 6 * 2 * 6


def test_equal_models_have_no_lists(write, sides):
    page, found = write(a=sides[1])
    assert not page.lists and (found.wins, found.losses, found.p_value) == (0, 0, 1.0)


def test_without_pictures(write):
    page, _ = write(pictures=False, images=None)
    assert not page.images and "Pictures were left out" in page.text and page.lists


def test_other_queries_are_refused(write, sides, tmp_path):
    query, gallery = sides[1].query, sides[1].gallery
    fewer = Embeddings(query.vectors[:30], query.identities[:30], query.cameras[:30], query.paths[:30])
    with pytest.raises(DataError, match="of 40 queries under market1501 and of 30"):
        write(b=Side("fewer", fewer, gallery, evaluate(fewer, gallery)))
    assert not (tmp_path / "page.html").exists()
