"""Models from elsewhere: fast-reid's checkpoints, ONNX files, and Intel's networks in OpenVINO's format."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import resight
from conftest import SHARED
from peers import load_file, scramble
from resight.embedding.embedder import Embedder
from resight.errors import ModelError
from resight.models.card import Card, Preprocessing, card_path
from resight.models.model import Model

Stub = Callable[..., Any]


# ---- fast-reid


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """fast-reid's own ResNet file; of the rest of its package, which needs more, only the layers."""
    pytest.importorskip("fastreid.layers", reason="needs fastreid: pip install --no-deps fastreid")

    def module(name: str, **content: object) -> None:
        made = ModuleType(name)
        made.__path__ = []
        for key, value in content.items():
            setattr(made, key, value)
        monkeypatch.setitem(sys.modules, name, made)

    class Registry:
        def register(self) -> Stub:
            return lambda function: function

    module("fastreid.utils", comm=None)
    unused = {"get_missing_parameters_message": None, "get_unexpected_parameters_message": None}
    module("fastreid.utils.checkpoint", **unused)
    module("peer_fastreid_build", BACKBONE_REGISTRY=Registry())
    monkeypatch.setitem(sys.modules, "fastreid.modeling", ModuleType("fastreid.modeling"))
    source = Path(sys.modules["fastreid.layers"].__file__ or "").parents[1] / "modeling" / "backbones" / "resnet.py"
    text = source.read_text(encoding="utf-8").replace("from .build import", "from peer_fastreid_build import")
    made = ModuleType("peer_fastreid_resnet")
    exec(compile(text, str(source), "exec"), made.__dict__)
    return made


class Baseline(nn.Module):
    """fast-reid's ``Baseline`` in evaluation, with its names: backbone, pooling, BNNeck."""

    def __init__(self, backbone: nn.Module, pool: nn.Module, dim: int) -> None:
        super().__init__()
        from fastreid.layers import get_norm

        self.backbone, self.heads = backbone, nn.Module()
        self.heads.pool_layer = pool
        self.heads.bottleneck = nn.Sequential(get_norm("BN", dim, bias_freeze=True))
        self.heads.weight = nn.Parameter(torch.randn(7, dim))
        self.register_buffer("pixel_mean", torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = (images - self.pixel_mean) / self.pixel_std
        return self.heads.bottleneck(self.heads.pool_layer(self.backbone(x)))[..., 0, 0]  # type: ignore[operator]


def make(theirs: ModuleType, depth: int, *, ibn: bool = False, non_local: bool = False, gem: bool = False) -> Baseline:
    from fastreid.layers import pooling

    layers = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}[depth]
    block = theirs.BasicBlock if depth == 18 else theirs.Bottleneck
    torch.manual_seed(0)
    backbone = theirs.ResNet(1, "BN", ibn, False, non_local, block, layers, [0, 2, 3, 0] if non_local else [0] * 4)
    pool = pooling.GeneralizedMeanPoolingP() if gem else pooling.GlobalAvgPool()
    made = Baseline(backbone, pool, 512 * block.expansion)
    scramble(made)
    made.pixel_mean.copy_(torch.tensor([120.0, 116.28, 103.53]).view(1, 3, 1, 1))  # not everybody's
    made.pixel_std.copy_(torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1))
    if gem:
        pool.p.data.fill_(2.5)
    return made.eval()


@pytest.mark.parametrize(
    ("depth", "parts"),
    [(18, {}), (50, {"ibn": True, "non_local": True, "gem": True})],
    ids=["bot18", "sbs50_ibn"],
)
def test_a_checkpoint_of_fastreid_gives_its_embeddings(
    theirs: ModuleType, tmp_path: Path, depth: int, parts: dict[str, bool]
) -> None:
    network = make(theirs, depth, **parts)
    torch.save({"model": network.state_dict(), "iteration": 3}, tmp_path / "market.pth")
    model = resight.load("fastreid_resnet", weights=tmp_path / "market.pth", height=64, width=32)
    assert not model.loading.missing and model.loading.dropped == ("classifier.weight",)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), np.uint8)
    found = Embedder(model, "torch", device="cpu")(list(pixels)).vectors
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).numpy()
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-2 * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    with pytest.raises(ModelError, match=r"market\.pth is a checkpoint of fast-reid: load it as fastreid_resnet"):
        resight.load("bot_resnet50", weights=tmp_path / "market.pth")
    model.save(tmp_path / "ours.safetensors")  # and from then on it is a model like any other
    again = resight.load(tmp_path / "ours.safetensors")
    assert again.card == model.card


def test_other_networks_of_fastreid_are_refused(theirs: ModuleType, tmp_path: Path) -> None:
    whole = make(theirs, 18).state_dict()
    refused = {
        "its backbone is not a ResNet": {k: v for k, v in whole.items() if "layer4.1" not in k},
        r"it has backbone\.layer1\.0\.se\.fc\.weight": whole | {"backbone.layer1.0.se.fc.weight": torch.ones(3)},
        r"it has heads\.bottleneck\.0\.weight": whole | {"heads.bottleneck.0.weight": torch.ones(4, 512, 1, 1)},
        "it has no BNNeck": {k: v for k, v in whole.items() if "bottleneck" not in k},
    }
    for message, tensors in refused.items():
        torch.save(tensors, tmp_path / "a.pth")
        with pytest.raises(ModelError, match=rf"a\.pth is a fast-reid checkpoint that is not read, for {message}"):
            resight.load("fastreid_resnet", weights=tmp_path / "a.pth")
    torch.save(resight.models.create("resnet18").state_dict(), tmp_path / "b.pth")
    with pytest.raises(ModelError, match=r"b\.pth is not a checkpoint of fast-reid"):
        resight.load("fastreid_resnet", weights=tmp_path / "b.pth")


# ---- files of other runtimes


def put(name: str, folder: Path, **card: Any) -> Path:
    """A shared model file as it would lie in a user's folder, with a card if one is given."""
    source = SHARED / "weights" / name
    if not source.is_file():
        pytest.skip(f"needs {source}, which may not be passed on")
    for file in (source, source.with_suffix(".bin")):
        if file.is_file():
            (folder / file.name).symlink_to(file)
    if card:
        Card(architecture="exported", **card).save(folder / source.name)
    return folder / source.name


def intel(height: int = 256, width: int = 128) -> dict[str, Any]:
    plain: dict[str, Any] = {"colour": "BGR", "scale": 1, "mean": (0, 0, 0), "std": (1, 1, 1)}
    return {"dim": 256, "metric": "cosine", "preprocessing": Preprocessing(height=height, width=width, **plain)}


@pytest.mark.parametrize(
    ("name", "height", "width"), [("0031.FP32", 96, 48), ("0265.FP16", 256, 128), ("0287", 256, 128)]
)
def test_networks_of_intel_find_people_again(
    tmp_path: Path, market_zip: Path, name: str, height: int, width: int
) -> None:
    """12 people of Market-1501's train split, whom the networks may know; by chance, mAP would be about 9%."""
    pytest.importorskip("openvino", reason="needs openvino")
    file = put(f"openvino/person-reidentification-retail-{name}.xml", tmp_path, **intel(height, width))
    model = resight.load(file)
    train = resight.datasets.load("market1501", market_zip).train
    people = np.unique(train.identities)[::60][:12]
    chosen = [at for who in people for at in np.flatnonzero(train.identities == who)[::3][:7]]
    found = Embedder(model, batch_size=5)(train.take(np.array(chosen)))
    assert found.vectors.shape == (len(chosen), 256) and found.fingerprint == model.card.fingerprint
    first = np.array([at for who in people for at in np.flatnonzero(found.identities == who)[:1]])
    rest = np.setdiff1d(np.arange(len(found)), first)
    query, gallery = (
        resight.Embeddings(found.vectors[at], found.identities[at], found.cameras[at])  # type: ignore[index]
        for at in (first, rest)
    )
    report = resight.evaluate(query, gallery, metric="cosine")
    assert report.mAP > 0.5, report
    alone = Embedder(model, batch_size=1)(train.take(np.array(chosen[:3]))).vectors
    np.testing.assert_allclose(alone, found.vectors[:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_an_onnx_file_is_the_same_function_as_its_weights_in_torch(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime), reason=f"needs {runtime}")
    model = resight.load(put("osnet_x0_25_msmt17.onnx", tmp_path, preprocessing=Preprocessing()))
    weights = put("osnet_x0_25_msmt17_bnfolded.pth", tmp_path)
    theirs = resight.load("osnet_x0_25", weights=weights)
    pixels = list(np.random.default_rng(0).integers(0, 256, (11, 256, 128, 3), np.uint8))
    wanted = Embedder(theirs, "torch", device="cpu")(pixels)
    found = Embedder(model, runtime, batch_size=11)(pixels)  # type: ignore[arg-type]
    assert found.fingerprint != wanted.fingerprint
    unit = [e.vectors / np.linalg.norm(e.vectors, axis=1, keepdims=True) for e in (found, wanted)]
    np.testing.assert_allclose(*unit, rtol=0, atol=2e-6)


def test_a_file_without_a_card_says_what_to_write(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    file = put("osnet_x0_25_msmt17.onnx", tmp_path)
    with pytest.raises(
        ModelError, match=r'has no card .* write .*\.onnx\.card\.json, such as \{"architecture"'
    ) as told:
        resight.load(file)
    assert '"height": 256, "width": 128' in str(told.value)
    example = str(told.value).split("such as ")[1].split("}}")[0] + "}}"
    card_path(file).write_text(example)
    assert resight.load(file).card.preprocessing.colour == "BGR"
    Card(architecture="exported", dim=99).save(file)
    with pytest.raises(ModelError, match=r"gives 512 numbers per image, but its card says 99"):
        resight.load(file)
    Card(architecture="exported", preprocessing=Preprocessing(height=128, width=64)).save(file)
    with pytest.raises(ModelError, match="takes images of 256x128, but its card says 128x64"):
        resight.load(file)
    Card(architecture="exported", fingerprint="0" * 16).save(file)
    with pytest.raises(ModelError, match="does not match its card"):
        resight.load(file)
    with pytest.raises(ModelError, match="is a complete model, not weights for one"):
        resight.load("osnet_x0_25", weights=file)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "alone.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"alone\.bin does not exist: OpenVINO's weights must be beside alone\.xml"):
        resight.load(tmp_path / "alone.xml")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    with pytest.raises(ModelError, match=r"gone\.onnx does not exist"):
        resight.load(tmp_path / "gone.onnx")
    for suffix in ("onnx", "torchscript"):
        (tmp_path / f"bad.{suffix}").write_bytes(b"this is no model\n")
        with pytest.raises(ModelError, match=rf"bad\.{suffix} does not work as a re-ID model: it cannot be read"):
            resight.load(tmp_path / f"bad.{suffix}")


def test_a_file_is_named_by_its_bytes_and_its_preprocessing(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    file = put("osnet_x0_25_msmt17.onnx", tmp_path, preprocessing=Preprocessing())
    first = resight.load(file)
    assert isinstance(first, Model) and len(first.card.fingerprint) == 24
    Card(architecture="exported", preprocessing=Preprocessing(colour="BGR")).save(file)
    assert resight.load(file).card.fingerprint != first.card.fingerprint
    with pytest.raises(ModelError, match="is no network of torch: copy the file and its card"):
        first.save(tmp_path / "copy.safetensors")


def test_a_checkpoint_of_torchreid_keeps_its_names(tmp_path: Path) -> None:
    peer = load_file("torchreid", "reid/models/osnet.py").osnet_x0_25(num_classes=5, pretrained=False)
    scramble(peer)
    torch.save({"state_dict": {f"module.{k}": v for k, v in peer.state_dict().items()}, "epoch": 1}, tmp_path / "a.pth")
    model = resight.load("osnet_x0_25", weights=tmp_path / "a.pth", height=64, width=32)
    x = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.network(x).embedding, peer.eval()(x), rtol=1e-4, atol=1e-4)
