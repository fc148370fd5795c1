"""Real embeddings of real images: resight and the evaluators of torchreid and fast-reid agree."""

from pathlib import Path

import numpy as np
import pytest

import resight
from peers import load_file
from resight.embedding.measure import measure
from resight.records import Embeddings


@pytest.fixture(scope="module")
def embedded(market_zip: Path, msmt17_weights: Path) -> tuple[Embeddings, Embeddings]:
    """The validation fold of Market-1501 through the MSMT17 weights, at 64x32 to be quick."""
    data = resight.datasets.load("market1501", market_zip, fold="validation")
    query, gallery, _ = measure(resight.load("osnet_x0_25", weights=msmt17_weights, height=64, width=32), data)
    return query, gallery


@pytest.mark.long
@pytest.mark.parametrize(
    ("package", "path"), [("torchreid", "reid/metrics/rank.py"), ("fastreid", "evaluation/rank.py")]
)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equals_the_peers_on_real_embeddings(
    embedded: tuple[Embeddings, Embeddings], metric: str, package: str, path: str
) -> None:
    rank = load_file(package, path)
    query, gallery = embedded
    some = query.take(np.arange(0, len(query), 4))  # the peers are slow
    q, g = some.vectors.astype(np.float64), gallery.vectors.astype(np.float64)
    if metric == "cosine":
        q, g = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (q, g))
        distances = 1 - q @ g.T
    else:
        distances = np.sqrt(np.maximum((q**2).sum(1)[:, None] + (g**2).sum(1) - 2 * q @ g.T, 0))
    cmc, mean, *more = rank.evaluate_rank(
        distances, some.identities, gallery.identities, some.cameras, gallery.cameras, use_cython=False
    )
    report = resight.evaluate(some, gallery, metric=metric)
    assert report.evaluated == len(some) == 167
    assert report.mAP == pytest.approx(float(np.mean(mean)), abs=1e-6)
    assert all(report.mINP == pytest.approx(float(np.mean(penalties)), abs=1e-6) for penalties in more)
    assert [report.cmc[k] for k in range(1, 51)] == pytest.approx(cmc.tolist(), abs=1e-6)
    report = resight.evaluate(query, gallery, metric=metric)
    assert report.evaluated == len(query) == 665
    assert report.cmc[1] > 0.1  # weights that were trained on people see people
