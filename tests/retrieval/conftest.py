from pathlib import Path

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


@pytest.fixture(scope="session")
def msmt17_weights() -> Path:
    """Real OSNet x0.25 weights; the test is skipped where they are absent."""
    path = Path(__file__).parents[3] / "shared" / "weights" / "osnet_x0_25_msmt17.pth"
    if not path.is_file():
        pytest.skip(f"needs the OSNet weights at {path}, which may not be passed on")
    return path
