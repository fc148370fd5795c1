"""A decision from twenty answers: the belief by plain loops, what is asked next, and whether the promise is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from reference.pairs import people
from resight.decisions.asked import believe, decide_by, most_telling, rates
from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.ranking.distance import pairwise

Drawn = tuple[Embeddings, NDArray[np.float32], NDArray[np.bool_]]
MIDDLE, SLOPE = 0.4, 12.0


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_belief_is_bayes_rule() -> None:
    asked, same = [0.1, 0.5, 0.7], [True, True, False]
    belief = believe(asked, same, MIDDLE, SLOPE)
    expected = []
    for m, b in zip(belief.middles, belief.slopes, strict=True):
        weight = math.exp(-0.5 * (math.log(m / MIDDLE) / 0.7) ** 2 - 0.5 * (math.log(b / SLOPE) / 0.7) ** 2)
        for distance, answer in zip(asked, same, strict=True):
            share = logistic(b * (m - distance))
            weight *= share if answer else 1 - share
        expected.append(weight)
    np.testing.assert_allclose(belief.weights, np.array(expected) / sum(expected), atol=1e-12)
    shares = [logistic(b * (m - 0.3)) for m, b in zip(belief.middles, belief.slopes, strict=True)]
    assert belief.same([0.3])[0] == pytest.approx(float(np.dot(shares, belief.weights)))


def test_what_an_answer_tells_is_how_much_it_lessens_the_entropy_of_the_belief() -> None:
    before = believe([0.3, 0.6], [True, False], MIDDLE, SLOPE)

    def entropy(weights: NDArray[np.float64]) -> float:
        return -float(sum(weights[weights > 0] * np.log(weights[weights > 0])))

    for distance in (0.2, 0.45, 0.8):
        share = before.same([distance])[0]
        after = [believe([0.3, 0.6, distance], [True, False, answer], MIDDLE, SLOPE) for answer in (True, False)]
        expected = entropy(before.weights) - share * entropy(after[0].weights) - (1 - share) * entropy(after[1].weights)
        assert before.told([distance])[0] == pytest.approx(expected, abs=1e-9)
    some = np.linspace(0, 2, 400)
    np.testing.assert_allclose(most_telling(before, some), before.told(some), atol=2e-3)


@pytest.fixture(scope="module")
def strangers() -> Drawn:
    """Images of 60 people, the distances of all pairs, and whether both are of one."""
    images = people(np.random.default_rng(3), 60, noise=0.45, fingerprint="x")
    first, second = np.triu_indices(len(images), 1)
    distances = np.maximum(pairwise(images.vectors, images.vectors, "cosine")[first, second], 0)
    assert images.identities is not None
    return images, distances, images.identities[first] == images.identities[second]


@pytest.mark.parametrize("middle", [0.05, 0.6])  # a decision before that is far too strict, and one far too loose
def test_twenty_answers_keep_the_promise(middle: float, strangers: Drawn) -> None:
    images, distances, same = strangers
    asked: list[int] = []
    for _ in range(20):
        telling = most_telling(believe(distances[asked], same[asked], middle, 5 / middle), distances)
        telling[asked] = -1
        asked.append(int(telling.argmax()))
    belief = believe(distances[asked], same[asked], middle, 5 / middle)
    found = decide_by(belief, distances, images, metric="cosine", false_match_rate=1e-2, coverage=0.9)
    false = float((distances[~same] <= found.threshold).mean())
    missed = float((distances[same] > found.threshold).mean())
    assert 1e-3 <= false <= 2e-2  # promised: 1e-2
    best = np.quantile(distances[~same], 1e-2)
    assert missed <= (distances[same] > best).mean() + 0.15
    assert found.facts.fmr.low <= false <= found.facts.fmr.high and found.fingerprint == "x"
    before = float((distances[~same] <= middle).mean()), float((distances[same] > middle).mean())
    assert before[0] > 0.05 or before[1] > missed + 0.2
    told = rates(belief, distances, middle)[0]
    assert told.low - 1e-3 <= before[0] <= told.high + 0.05


def test_too_few_images_for_a_rate(strangers: Drawn) -> None:
    images, distances, same = strangers
    belief = believe(distances[:20], same[:20], 0.4, 10.0)
    with pytest.raises(DataError, match=r"needs at least 3,000,000 pairs of different ones.*add more images"):
        decide_by(belief, distances, images, metric="cosine", false_match_rate=1e-6, coverage=0.9)
