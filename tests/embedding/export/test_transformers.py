"""Transformers in every format: the file gives the network's embeddings for any batch, in 8 bits nearly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from resight.embedding.engines.make import installed
from resight.embedding.export.run import SUFFIXES, Format, export
from resight.models.model import Model

SMALL: dict[str, Any] = {"height": 64, "width": 32}
VIT = SMALL | {"dim": 64, "heads": 2, "depth": 2}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "TransReID": ("transreid_base", VIT),
    "TransReID, jigsaw": ("transreid_base", VIT | {"stride": 12, "jpm": True, "cameras": 3, "width": 64}),
    "TransReID's vit_small": ("transreid_vit_small", VIT | {"hidden": 192, "scale": 0.05}),
    "CLIP-ReID": ("clipreid_vit_b16", VIT | {"joint": 32}),
    "CLIP-ReID RN50": ("clipreid_rn50", SMALL | {"layers": (1, 1, 1, 1), "base": 8, "heads": 4, "joint": 32}),
    "SOLIDER": ("solider_tiny", SMALL | {"dim": 16, "depths": (2, 1, 1, 1), "heads": (1, 2, 2, 2)}),
    "DINOv2": ("dinov2_small", {"dim": 64, "depth": 2, "heads": 2, "height": 56, "width": 28}),
    "DINOv2, registers": (
        "dinov2_small",
        {"dim": 64, "depth": 1, "heads": 2, "registers": 4, "height": 56, "width": 28},
    ),
}
FORMATS: tuple[Format, ...] = ("onnx", "openvino", "torchscript")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    if not {"onnx", "openvino"} <= set(installed()):
        pytest.skip("needs onnxruntime and openvino")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn") / "people"
    resight.datasets.load("synthetic", root, identities=6, cameras=2, seed=2)
    return root


def built(name: str) -> Model:
    """A network whose layers all count: no layer scale near zero, no bias of zeros, no map that fades."""
    architecture, arguments = NETWORKS[name]
    torch.manual_seed(0)
    model = resight.load(architecture, **arguments)
    for module in model.network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        for key, value in model.network.named_parameters():
            if value.ndim == 1 or key.endswith(("_table", "_embed")):
                value.add_(0.2 * torch.randn_like(value))
    fingerprint = resight.models.weights.fingerprint(model.network, model.card)  # type: ignore[attr-defined]
    return Model(model.network, model.card.model_copy(update={"fingerprint": fingerprint}))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_format_gives_the_embeddings(name: str, people: Path, tmp_path: Path) -> None:
    model = built(name)
    x = torch.randn(3, 3, model.card.preprocessing.height, model.card.preprocessing.width)
    with torch.inference_mode():
        wanted = model.network(x).embedding
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3
    for to in FORMATS:
        done = export(model, to, tmp_path / f"reid{SUFFIXES[to]}", images=people)
        assert done.parity.error < 1e-5 and done.parity.overlap == 1
        again = resight.load(done.path)
        assert again.card.fingerprint == model.card.fingerprint
        with torch.inference_mode():
            for batch in (1, 3):  # another one than the file was made with
                found = again.network(x[:batch]).embedding
                torch.testing.assert_close(found, wanted[:batch], rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("name", ["TransReID", "CLIP-ReID", "CLIP-ReID RN50", "SOLIDER", "DINOv2"])
def test_eight_bits(name: str, people: Path, tmp_path: Path) -> None:
    import onnx

    model = built(name)
    small = export(model, "onnx", tmp_path / "small.onnx", int8=True, images=people, limit=100)
    assert small.parity.cosine > 0.95 and small.parity.error > 1e-5
    graph = onnx.load(small.path).graph
    dequantised = {out for node in graph.node if node.op_type == "DequantizeLinear" for out in node.output}
    linear = [node for node in graph.node if node.op_type == "MatMul"]
    integers = [node for node in linear if node.input[1] in dequantised]
    blocks = {"TransReID": 2, "CLIP-ReID": 2, "SOLIDER": 5, "DINOv2": 2}.get(name)
    if blocks:
        assert (
            len([node for node in integers if "/attn" in node.name or "mlp" in node.name or "/ffn" in node.name])
            == 4 * blocks
        )
        assert len(linear) - len(integers) >= 2 * blocks, "the two products of attention stay float"
    vino = export(model, "openvino", tmp_path / "small.xml", int8=True, images=people, limit=100)
    assert vino.parity.cosine > 0.95
    weights = np.array([file.stat().st_size for file in (small.path, vino.path.with_suffix(".bin"))])
    whole = 4 * sum(value.numel() for value in model.network.state_dict().values())
    assert (weights < 0.65 * whole).all()
