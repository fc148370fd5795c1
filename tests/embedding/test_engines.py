"""Every engine computes the same function, and the fastest is chosen by what was measured."""

import builtins
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import resight
import tiny
from conftest import SHARED
from peers import scramble
from resight.embedding.embedder import Embedder
from resight.embedding.engines import auto, network_for
from resight.embedding.engines.convert import converted, converted_path, example, identity, to_onnx
from resight.embedding.engines.fused import fused
from resight.embedding.engines.make import installed
from resight.errors import ModelError
from resight.models import runtimes
from resight.models.exported import Exported
from resight.models.model import Model
from resight.models.output import Output
from resight.models.runtimes import openvino_core

CPU = torch.device("cpu")
ENGINES = ("torch", "onnx", "openvino")


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def common(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests convert each model once between them; most need no larger network than the tiny one."""
    monkeypatch.setenv("RESIGHT_CACHE", str(shared_cache))
    tiny.install(monkeypatch)


@pytest.fixture
def cache(tmp_path: Path, common: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path))
    return tmp_path


def need(engine: str) -> None:
    if engine not in installed():
        pytest.skip(f"engine {engine} is not installed")


def made(name: str = "tiny", height: int = 64, width: int = 32, **arguments: object) -> Model:
    torch.manual_seed(0)
    model = resight.load(name, height=height, width=width, **arguments)
    scramble(model.network)
    return model


def unit(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(x)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("osnet_x0_25", {}), ("agw_resnet18", {"ibn": True}), ("saver_resnet18", {})],
    ids=["osnet", "agw", "saver"],
)
def test_all_engines_compute_the_same(name: str, arguments: dict[str, object], engine: str) -> None:
    need(engine)
    model = made(name, **arguments)
    network = network_for(model, engine, batch_size=11, half=False, device=CPU)  # type: ignore[arg-type]
    with torch.inference_mode():
        for batch in (1, 2, 11):  # alone, fewer than a piece, several pieces of which one is not full
            x = example(model, batch)
            wanted, found = model.network.eval()(x).embedding, network(x).embedding
            assert found.shape == wanted.shape and found.dtype == torch.float32
            assert float((found - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())
            torch.testing.assert_close(unit(found), unit(wanted), rtol=0, atol=2e-6)


@pytest.mark.parametrize("engine", ["torch", "openvino", "auto"])
def test_in_16_bits_the_embeddings_are_near_and_not_the_same(engine: str) -> None:
    need(engine if engine != "auto" else "torch")
    model = made("agw_resnet18", ibn=True)
    plain, x = made("agw_resnet18", ibn=True), example(model, 11)
    network = network_for(model, engine, batch_size=11, half=True, device=CPU)  # type: ignore[arg-type]
    with torch.inference_mode():
        wanted, found = plain.network.eval()(x).embedding, network(x).embedding
        assert found.shape == wanted.shape and found.dtype == torch.float32
        apart = (unit(found) - unit(wanted)).norm(dim=1)
        assert float(apart.max()) < 0.05  # bfloat16 keeps 8 bits: 0.4% for each number, and 20 layers
        if engine == "torch" or "BF16" in capabilities():
            assert float(apart.min()) > 1e-5
        again = model.network.eval()(x).embedding  # the model itself stays what it is
        torch.testing.assert_close(unit(again), unit(wanted), rtol=0, atol=1e-5)


def capabilities() -> list[str]:
    return list(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def test_attributes_in_16_bits_are_float32_again() -> None:
    model = made("attributes_osnet_x0_25", attributes=5)
    found = network_for(model, "torch", batch_size=3, half=True, device=CPU)(example(model, 3))
    assert found.attributes is not None and found.attributes.dtype == torch.float32


def test_onnx_runtime_is_not_asked_for_16_bits(tmp_path: Path) -> None:
    need("onnx")
    model = made()
    with pytest.raises(ModelError, match="'onnx' computes in 32 bits alone: choose 'torch' or 'openvino'"):
        network_for(model, "onnx", batch_size=3, half=True, device=CPU)
    need("openvino")
    rates = auto.measure(model, 3, half=True, rounds=1)
    assert set(rates) == {"torch", "openvino"} and auto.known(model, 3, half=True) == rates
    assert auto.known(model, 3) != rates
    file = resight.load(converted_with_card(model, tmp_path))
    assert isinstance(file.network, Exported) and file.network.runtime == "onnx"
    in_half = network_for(file, "auto", batch_size=3, half=True, device=CPU)
    assert isinstance(in_half, auto.Auto) and in_half.engine == "openvino"
    x = example(model, 3)
    torch.testing.assert_close(unit(in_half(x).embedding), unit(file.network(x).embedding), rtol=0, atol=0.05)


def converted_with_card(model: Model, folder: Path) -> Path:
    file = folder / "model.onnx"
    to_onnx(model, file)
    model.card.model_copy(update={"architecture": "exported", "arguments": {}, "fingerprint": ""}).save(file)
    return file


def test_attributes_come_out_of_every_engine() -> None:
    need("onnx")
    model = made("attributes_osnet_x0_25", attributes=5)
    x = example(model, 3)
    with torch.inference_mode():
        wanted = model.network(x)
        for engine in installed():
            found = network_for(model, engine, batch_size=3, half=False, device=CPU)(x)
            torch.testing.assert_close(found.attributes, wanted.attributes, rtol=1e-4, atol=1e-4)


def test_threads_change_nothing() -> None:
    need("onnx")
    from resight.models.exported import Exported

    model = made()
    x, file = example(model, 11), converted(model)
    one = Exported(file, threads=1)(x).embedding
    for runtime in [engine for engine in ("onnx", "openvino") if engine in installed()]:
        for threads in (2,):
            network = Exported(file, runtime, threads=threads)  # type: ignore[arg-type]
            for batch in (1, 11):
                torch.testing.assert_close(network(x[:batch]).embedding, one[:batch], rtol=1e-4, atol=1e-5)


def test_normalisation_is_folded_into_convolutions_and_the_model_stays_as_it_is() -> None:
    model = made("bot_resnet18")
    network, before = model.network.train(), {k: v.clone() for k, v in model.network.state_dict().items()}
    folded = fused(network, example(model))
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert network.training and all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(
        isinstance(m, nn.BatchNorm2d) for m in fused(made("saver_resnet18").network, example(model)).modules()
    )


class Odd(nn.Module):
    """A convolution and a batch norm that must not become one."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv, self.bn = kind, nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        nn.init.uniform_(self.bn.running_mean)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> Output:
        maps = self.conv(x)
        normed = self.bn(maps)
        if self.kind == "the maps are used besides":
            normed = normed + maps
        if self.kind == "computed twice":
            normed = normed + self.conv(x)
        if self.kind == "the norm is used twice":
            normed = normed + self.bn(maps * 2)
        if self.kind == "steps depend on the input" and x.mean() > 0:
            normed = normed * maps
        return Output(normed.mean((2, 3)))


@pytest.mark.parametrize(
    "kind",
    ["the maps are used besides", "computed twice", "the norm is used twice", "steps depend on the input"],
)
def test_what_must_not_be_folded_is_not(kind: str) -> None:
    network, images = Odd(kind).eval(), -torch.rand(2, 3, 8, 8)
    found = fused(network, images)
    assert any(isinstance(m, nn.BatchNorm2d) for m in found.modules())
    for x in (images, -images):
        torch.testing.assert_close(found(x).embedding, network(x).embedding)


def test_a_convolution_and_its_norm_alone_become_one() -> None:
    network, images = Odd("").eval(), torch.rand(2, 3, 8, 8)
    found = fused(network, images)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in found.modules())
    torch.testing.assert_close(found(images).embedding, network(images).embedding)


def test_a_file_is_converted_once_for_each_state_of_the_weights(cache: Path) -> None:
    need("onnx")
    model = made()
    first = converted(model)
    stamp = first.stat().st_mtime_ns
    assert converted(model) == first and first.stat().st_mtime_ns == stamp and first.is_relative_to(cache)
    assert [file.name for file in first.parent.iterdir()] == [first.name]
    model.network.one[0].weight.data += 0.01  # type: ignore[union-attr, index, operator]
    assert converted_path(model) != first
    strided = [identity(made("resnet18", last_stride=stride)) for stride in (1, 2)]
    assert strided[0] != strided[1], "the same weights, another function"


def test_auto_is_torch_for_few_images_and_goes_on_with_the_fastest(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    need("onnx")
    model = made()
    x = example(model, 4)
    with torch.inference_mode():
        wanted = model.network.eval()(x).embedding
        network = network_for(model, "auto", batch_size=4, half=False, device=CPU)
        assert isinstance(network, auto.Auto)
        torch.testing.assert_close(network(x).embedding, wanted)
        assert network.engine is None and not (cache / "engines").exists(), "a few images cost nothing"
        monkeypatch.setattr(auto, "PATIENCE", 8)
        network(x)
        torch.testing.assert_close(network(x).embedding, wanted, rtol=1e-4, atol=1e-4)
    rates = auto.known(model, 4)
    assert set(rates) == set(installed()) and network.engine == auto.fastest(rates)
    assert auto.known(model, 5) == {} and auto.known(made(dim=24), 4) == {}
    measured = json.loads((cache / "engines" / "measured.json").read_text())
    (key,) = measured
    for slow, engine in enumerate(("onnx", "torch")):  # what was measured decides from the first image on
        measured[key] = {"torch": 10.0 * (1 + slow), "onnx": 15.0}
        (cache / "engines" / "measured.json").write_text(json.dumps(measured))
        again = network_for(model, "auto", batch_size=4, half=False, device=CPU)
        assert isinstance(again, auto.Auto) and again.engine == engine and again.chosen is not None
    (cache / "engines" / "measured.json").write_text("{")
    assert auto.known(model, 4) == {}


def test_auto_keeps_the_networks_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    network = network_for(model, "auto", batch_size=4, half=False, device=CPU)
    model.network.train()
    with torch.inference_mode():
        found = network(example(model)).embedding
        assert model.network.training
        torch.testing.assert_close(found, model.network.eval()(example(model)).embedding)


def test_a_model_that_an_engine_cannot_compute_is_left_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    need("onnx")

    class Untold(nn.Module):
        def forward(self, x: torch.Tensor) -> Output:
            return Output(torch.linalg.eigvals(x[:, 0, :8, :8]).real)

    model = Model(Untold(), made().card)
    with pytest.raises(ModelError, match=r"tiny cannot be written as ONNX \(.*\): use engine='torch'"):
        network_for(model, "onnx", batch_size=4, half=False, device=CPU)
    assert set(auto.measure(model, 4, rounds=1)) == {"torch"}


def test_engines_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    monkeypatch.setattr("resight.embedding.engines.make.PACKAGES", {"torch": ("torch",), "onnx": ("no-such-package",)})
    with pytest.raises(ModelError, match=r"engine 'onnx' is not installed: pip install 'resight\[onnx\]'"):
        network_for(model, "onnx", batch_size=4, half=False, device=CPU)
    assert list(installed()) == ["torch"]


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_the_same_map_on_market1501(market_zip: Path, engine: str) -> None:
    """Real images: identities of the official test, with all their images."""
    need(engine)
    weights = SHARED / "weights" / "osnet_x0_25_msmt17.pth"
    if not weights.is_file():
        pytest.skip(f"needs {weights}, which may not be passed on")
    model = resight.load("osnet_x0_25", weights=weights, height=128, width=64)
    data = resight.datasets.load("market1501", market_zip)
    people = np.unique(data.query.identities)[::150]
    parts = [split.take(np.flatnonzero(np.isin(split.identities, people))) for split in (data.query, data.gallery)]
    vectors, found = [], []
    for one in ("torch", engine):
        query, gallery = (Embedder(model, one, device="cpu")(part) for part in parts)  # type: ignore[arg-type]
        vectors.append(np.concatenate([query.vectors, gallery.vectors]))
        found.append(resight.evaluate(query, gallery, protocol=data.protocol, metric="cosine").mAP)
    assert len(vectors[0]) > 120 and 0.3 < found[0] < 0.999
    assert abs(found[1] - found[0]) < 1e-4
    unit_length = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors]
    np.testing.assert_allclose(*unit_length, rtol=0, atol=2e-6)


OPEN_TWO_AND_CLOSE_THEM = """
import gc, os, signal, sys
import numpy as np
from pathlib import Path
from typing import Any
from resight.models.runtimes import OpenVino

signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
opened = [OpenVino(Path(sys.argv[1])) for _ in range(2)]
for one in opened:
    one.run(1, 1, False)(np.zeros((1, 3, 64, 32), np.float32))
del one
while opened:
    del opened[0]
    gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_process_outlives_a_signal_after_its_openvino_models(tmp_path: Path) -> None:
    """A core of its own for every model left the process a stack for signals that was gone."""
    need("openvino")
    file = converted_with_card(made(), tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_TWO_AND_CLOSE_THEM, str(file)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_one_image_is_computed_by_a_graph_of_fixed_sizes_and_batches_by_a_free_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need("openvino")
    model, core, sizes = made(), openvino_core(), []
    compile_model = core.compile_model

    def spied(graph: object, *arguments: object) -> object:
        sizes.append(str(graph.inputs[0].partial_shape))  # type: ignore[attr-defined]
        return compile_model(graph, *arguments)

    monkeypatch.setattr(core, "compile_model", spied)
    for threads in (1, 2):
        network = Exported(converted(model), "openvino", threads=threads)
        for batch in (1, 3, 1):
            x = example(model, batch)
            found, wanted = network(x).embedding, model.network.eval()(x).embedding
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert sizes == ["[1,3,64,32]", "[?,3,64,32]"] * 2


def test_openvino_without_a_home_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its telemetry looks for a home when it is imported, and in a container a user may have none."""
    real = builtins.__import__

    def without_home(name: str, *more: Any) -> Any:
        if name == "openvino":
            raise RuntimeError("Could not determine home directory.")
        return real(name, *more)

    monkeypatch.setattr(runtimes, "_openvino", [])
    monkeypatch.setattr(builtins, "__import__", without_home)
    with pytest.raises(ModelError, match=r"home directory\): set HOME to a folder, such as HOME=/tmp, or choose"):
        runtimes.openvino_core()
