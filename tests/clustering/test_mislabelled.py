"""Identities that a model doubts, on vectors whose people are known."""

from __future__ import annotations

import numpy as np

from resight.clustering.mislabelled import mislabelled
from resight.records import Embeddings


def people(labels: dict[int, list[int]], images: int = 5) -> Embeddings:
    """``images`` vectors of each person, whom ``labels`` gives by the identity they are under."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 32))
    rows = [(identity, person) for identity, own in labels.items() for person in own for _ in range(images)]
    vectors = np.array([centres[person] + 0.3 * rng.normal(size=32) for _, person in rows], np.float32)
    paths = np.array([f"{identity}/{person}_{at}.jpg" for at, (identity, person) in enumerate(rows)])
    return Embeddings(vectors, np.array([identity for identity, _ in rows]), paths=paths)


def test_right_labels_are_not_doubted() -> None:
    right = people({identity: [identity] for identity in range(1, 31)})
    assert mislabelled(right) == mislabelled(right, "euclidean") == []
    assert mislabelled(right.take(slice(5))) == []


def test_two_people_under_one_label_and_one_under_two() -> None:
    labels = {identity: [identity] for identity in range(1, 31)} | {31: [31, 32], 33: [33], 34: [33]}
    for metric in ("cosine", "euclidean"):
        parted, alike = mislabelled(people(labels), metric)
        assert parted.count == alike.count == 1 and parted.severity == alike.severity == "warning"
        assert {path.split("_")[0] for path in parted.examples[0]} == {"31/31", "31/32"}
        assert {path.split("_")[0] for path in alike.examples[0]} == {"33/33", "34/33"}


def test_junk_and_distractors_are_not_asked() -> None:
    every = people({1: [1], 2: [2], -1: [3, 4], 0: [5, 6]})
    assert mislabelled(every) == []
