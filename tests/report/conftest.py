import numpy as np
import pytest

from resight import Embeddings
from resight.retrieval.evaluation.evaluate import evaluate


@pytest.fixture(scope="session")
def street():
    """(query, gallery, report): 40 queries, 200 gallery images, junk, distractors, four cameras, one lost identity."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(15, 8))

    def embeddings(kind, ids):
        cameras = rng.integers(1, 5, len(ids))
        vectors = (centres[ids] + 0.9 * rng.normal(size=(len(ids), 8))).astype(np.float32)
        names = [f"{kind}/{i:04d}_c{c}_{n:03d}.jpg" for n, (i, c) in enumerate(zip(ids, cameras, strict=True))]
        return Embeddings(vectors, ids, cameras, names, fingerprint="model-1")

    query = embeddings("query", np.concatenate([rng.integers(1, 13, 38), [13, 13]]))
    gallery = embeddings("gallery", rng.integers(-1, 13, 200))
    return query, gallery, evaluate(query, gallery)


@pytest.fixture
def draw():
    """A decode function for paths that lead nowhere: a colour and as much noise as bad cameras make."""

    def decode(path):
        rng = np.random.default_rng(sum(path.encode()))
        pixels = rng.integers(40, 216, 3) + 12 * rng.normal(size=(128, 64, 3))
        return np.clip(pixels, 0, 255).astype(np.uint8)

    return decode
