"""Galleries of made-up vectors, without any network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.models.card import Card
from resight.records import Embeddings


def card(dim: int = 8, metric: str = "cosine", fingerprint: str = "made-up") -> Card:
    return Card(architecture="none", dim=dim, metric=metric, fingerprint=fingerprint)


def vectors(count: int, dim: int = 8, seed: int = 0, people: int = 6) -> NDArray[np.float32]:
    """Some near one another, as pictures of a few people are."""
    random = np.random.default_rng(seed)
    middles = random.normal(size=(people, dim))
    found = middles[random.integers(0, people, count)] + 0.3 * random.normal(size=(count, dim))
    return found.astype(np.float32)


def embeddings(count: int, dim: int = 8, seed: int = 0) -> Embeddings:
    return Embeddings(vectors(count, dim, seed))
