"""Transformers in every format: the file gives the network's embeddings for any batch, in 8 bits nearly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from resight.embedding.engines.convert import Outputs, example, to_onnx
from resight.embedding.engines.make import installed
from resight.embedding.export.quantise import quantise
from resight.models.model import Model

SMALL: dict[str, Any] = {"height": 64, "width": 32}
VIT = SMALL | {"dim": 32, "heads": 2, "depth": 2}
DINO = {"dim": 32, "depth": 2, "heads": 2, "height": 56, "width": 28}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "TransReID": ("transreid_base", VIT),
    "TransReID, jigsaw": ("transreid_base", VIT | {"stride": 12, "jpm": True, "cameras": 3, "width": 64}),
    "TransReID's vit_small": ("transreid_vit_small", VIT | {"hidden": 96, "scale": 0.05}),
    "PASS": ("pass_small", VIT),
    "CLIP-ReID": ("clipreid_vit_b16", VIT | {"joint": 16}),
    "CLIP-ReID RN50": ("clipreid_rn50", SMALL | {"layers": (1, 1, 1, 1), "base": 8, "heads": 4, "joint": 16}),
    "SOLIDER": ("solider_tiny", SMALL | {"dim": 8, "depths": (2, 1, 1, 1), "heads": (1, 1, 1, 1)}),
    "DINOv2": ("dinov2_small", DINO),
    "DINOv2, registers": ("dinov2_small", DINO | {"registers": 4, "feature": "class_patches"}),
}
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning:torch")
LINEAR = {"TransReID": 8, "CLIP-ReID": 9, "SOLIDER": 23, "DINOv2": 8}  # on tokens: 4 of each block; projection; merging


@pytest.fixture(autouse=True)
def needs() -> None:
    if not {"onnx", "openvino"} <= set(installed()):
        pytest.skip("needs onnxruntime and openvino")


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
    return model


def run(file: Path, x: torch.Tensor) -> np.ndarray:
    import onnxruntime

    found: np.ndarray = onnxruntime.InferenceSession(file).run(None, {"images": x.numpy()})[0]
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_every_format_gives_the_embeddings(name: str, tmp_path: Path) -> None:
    import openvino

    model = built(name)
    x = torch.randn(3, 3, model.card.preprocessing.height, model.card.preprocessing.width)
    to_onnx(model, tmp_path / "reid.onnx")
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(str(tmp_path / "reid.onnx"), "CPU", precise)
    with torch.inference_mode():
        traced = torch.jit.trace(Outputs(model.network), example(model), check_trace=False)
        wanted = model.network(x).embedding
        assert (wanted[0] - wanted[1]).abs().max() > 1e-3
        near = {"rtol": 1e-4, "atol": 1e-4 * float(wanted.abs().max())}
        for batch in (1, 3):  # another one than the file was made with
            for found in (run(tmp_path / "reid.onnx", x[:batch]), compiled(x[:batch].numpy())[0], traced(x[:batch])):
                torch.testing.assert_close(torch.as_tensor(found), wanted[:batch], **near)


@pytest.mark.parametrize("name", ["TransReID", "CLIP-ReID", "CLIP-ReID RN50", "SOLIDER", "DINOv2"])
def test_eight_bits(name: str, tmp_path: Path) -> None:
    import onnx
    import openvino

    model = built(name)
    x = torch.randn(8, 3, model.card.preprocessing.height, model.card.preprocessing.width)
    to_onnx(model, tmp_path / "reid.onnx")
    quantise(tmp_path / "reid.onnx", tmp_path / "small.onnx", x.numpy())
    wanted = run(tmp_path / "reid.onnx", x)
    compiled = openvino.compile_model(str(tmp_path / "small.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for found in (run(tmp_path / "small.onnx", x), compiled(x.numpy())[0]):
        one, other = (v - wanted.mean(0) for v in (found, wanted))
        cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        assert cosine.mean() > 0.95 and np.abs(found - wanted).max() > 1e-5
    graph = onnx.load(tmp_path / "small.onnx").graph
    dequantised = {out for node in graph.node if node.op_type == "DequantizeLinear" for out in node.output}
    linear = [node for node in graph.node if node.op_type == "MatMul"]
    integers = [node.name for node in linear if node.input[1] in dequantised]
    if name in LINEAR:
        assert len(integers) == LINEAR[name] and len(linear) > len(integers), "products of attention stay float"
    first = next(node for node in graph.node if node.op_type == "Conv")
    assert first.input[1] not in dequantised
