"""A GPU computes what the CPU does: embeddings in 32 and 16 bits, evaluation, re-ranking."""

import numpy as np
import pytest
import torch

import resight
from resight.embedding.products import TorchProducts

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
SIZE = {"height": 64, "width": 32}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 64, 32, 3), dtype=np.uint8)


def cosines(one: resight.Embeddings, other: resight.Embeddings) -> np.ndarray:
    a, b = (x.vectors / np.linalg.norm(x.vectors, axis=1, keepdims=True) for x in (one, other))
    return (a * b).sum(axis=1)


@pytest.mark.parametrize(("half", "least"), [(False, 1 - 1e-5), (True, 1 - 1e-3)])
@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_x1_0", "resnet50"])
def test_embeddings_are_those_of_the_cpu_in_order(name: str, half: bool, least: float, images: np.ndarray) -> None:
    model = resight.load(name, **SIZE)
    there = resight.Embedder(model, "torch", batch_size=16, half=half, device="cuda")(images)
    here = resight.Embedder(model, "torch", batch_size=16, device="cpu")(images)
    assert cosines(here, there).min() > least


def test_bfloat16_is_near_float32(images: np.ndarray) -> None:
    network = resight.load("osnet_x1_0", **SIZE).network.cuda().eval()
    x = torch.from_numpy(images).cuda().permute(0, 3, 1, 2).float().sub_(127).div_(64)
    with torch.no_grad():
        wanted = network(x).embedding
        with torch.autocast("cuda", torch.bfloat16):
            found = network(x).embedding.float()
    assert torch.cosine_similarity(wanted, found).min() > 1 - 1e-2


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_evaluation_and_reranking_are_those_of_the_cpu(metric: str, half: bool) -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(40, 64))
    who, cameras = np.arange(800) % 40, np.arange(800) % 3
    vectors = (centres[who] + rng.normal(size=(800, 64))).astype(np.float32)
    both = resight.Embeddings(vectors, who + 1, cameras + 1)
    query, gallery = both.take(np.arange(120)), both.take(np.arange(120, 800))
    products = TorchProducts("cuda", half)
    plain = resight.evaluate(query, gallery, metric=metric)
    assert resight.evaluate(query, gallery, metric=metric, products=products).numbers() == plain.numbers()
    wanted = resight.evaluate(query, gallery, metric=metric, rerank=resight.KReciprocal())
    found = resight.evaluate(query, gallery, metric=metric, rerank=resight.KReciprocal(products=products))
    assert found.numbers() == wanted.numbers()
