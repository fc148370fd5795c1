import numpy as np
import pytest

from resight.retrieval import distance, rough


@pytest.fixture
def small_grid(monkeypatch):
    """A grid of tiny tiles, so that small cases cross many tile and block edges."""
    monkeypatch.setattr(distance, "TILE_QUERIES", 2)
    monkeypatch.setattr(distance, "TILE_GALLERY", 3)
    monkeypatch.setattr(rough, "_LEAST", 8)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
