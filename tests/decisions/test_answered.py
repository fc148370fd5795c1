"""Calibration on single pairs: thresholds and intervals by hand, the table with its refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from resight import DataError, Decision, Embeddings
from resight.decisions.answered import calibrate_answers, read_answers
from resight.retrieval.ranking.distance import pairwise


def some(seed=0, genuine=60, impostors=400, metric=""):
    """Pairs on a plane: the same identity moves by 0.3, another is anywhere."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(genuine + impostors, 8))
    second = np.concatenate([first[:genuine] + 0.3 * rng.normal(size=(genuine, 8)), rng.normal(size=(impostors, 8))])
    same = np.arange(genuine + impostors) < genuine
    order = rng.permutation(len(same))
    sides = (Embeddings(side[order].astype(np.float32), fingerprint="aa", metric=metric) for side in (first, second))
    return *sides, same[order]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_by_hand(metric):
    first, second, same = some(metric=metric)
    found = calibrate_answers(first, second, same, false_match_rate=0.02, coverage=0.9)
    distances = np.diag(pairwise(first.vectors, second.vectors, metric))
    impostors, genuine = np.sort(distances[~same]), np.sort(distances[same])
    allowed = int(0.02 * 401 - 1 + 1e-9)  # (c + 1) / (n + 1) is at most the rate
    assert impostors[allowed - 1] <= found.threshold < impostors[allowed]
    assert found.metric == metric and found.fingerprint == "aa" and found.facts.fmr.value == allowed / 400
    at = int(np.ceil(61 * 0.9)) - 1
    assert genuine[at] <= found.set_distance < 1.001 * genuine[at]
    low, high = beta.ppf(0.025, allowed, 400 - allowed + 1), beta.ppf(0.975, allowed + 1, 400 - allowed)
    assert (found.facts.fmr.low, found.facts.fmr.high) == pytest.approx((low, high))
    assert found.probability(genuine[0]) > 0.9 > 0.1 > found.probability(impostors[-1])
    assert Decision.from_plain(json.loads(json.dumps(found.plain()))) == found
    assert "images;" not in str(found)
    assert [point.threshold is None for point in found.facts.errors.points] == [False, False, True, True, True]


def test_too_few_answers_say_how_many_are_needed():
    first, second, same = some(genuine=25, impostors=40)
    with pytest.raises(DataError, match=r"needs at least 20 pairs that are the same, .* of 0.001 at least 3,000 that"):
        calibrate_answers(first, second, same)
    assert calibrate_answers(first, second, same, false_match_rate=0.1).facts.genuine == 25
    with pytest.raises(DataError, match="pass one pair of images and one True or False for each"):
        calibrate_answers(first, second, same[:-1])
    with pytest.raises(DataError, match="pass one pair of images and one True or False for each"):
        calibrate_answers(first, second, same.astype(int))
    other = Embeddings(second.vectors, fingerprint="bb")
    with pytest.raises(DataError, match="embedded by aa and the gallery by bb"):
        calibrate_answers(first, other, same)


def test_the_table(tmp_path: Path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(b"picture")
    table = tmp_path / "pairs.csv"
    table.write_text("a,b,same,who asked\na.jpg,b.jpg,yes,Ann\nb.jpg,c.jpg,0,\nc.jpg,a.jpg,FALSE,Bea\n")
    found = read_answers(table)
    assert found.same.tolist() == [True, False, False]
    assert [Path(one).name for one in found.second] == ["b.jpg", "c.jpg", "a.jpg"]
    for wrong, message in (
        ("a,b\na.jpg,b.jpg\n", "the header lacks 'same'"),
        ("a,b,same\na.jpg,b.jpg,perhaps\n", "line 2: the answer is 'perhaps': write yes or no"),
        ("a,b,same\na.jpg,d.jpg,yes\n", "line 2: d.jpg is neither in"),
        ("a,b,same\na.jpg,b.jpg,\n", "line 2: the cell of same is empty"),
        ("a,b,same\na.jpg,b.jpg,yes\nc.jpg,c.jpg,yes\n", "line 3: it pairs .*c.jpg with itself"),
        ("a,b,same\na.jpg,b.jpg,yes\nb.jpg,a.jpg,1\n", "line 3: it repeats line 2: leave each pair in once"),
        ("a,b,same\na.jpg,b.jpg,yes\nb.jpg,./a.jpg,no\na.jpg,b.jpg,no\n", r"line 3: it contradicts line 2 \(2 lines"),
    ):
        table.write_text(wrong)
        with pytest.raises(DataError, match=message):
            read_answers(table)
