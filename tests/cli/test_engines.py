"""``resight engines``, ``resight export`` and ``resight models card``."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import resight
from conftest import SHARED
from resight.embedding.engines.make import installed

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(resight.models.create("resnet18").state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_engines_are_told_and_measured(shell: Shell, weights: Path) -> None:
    code, out, _ = shell("engines", "--json")
    assert code == 0 and set(json.loads(out)["installed"]) == set(installed())
    model = ("resnet18", "--weights", weights, "--height", 32, "--width", 16, "--batch-size", 2)
    assert "Not measured yet" in shell("engines", *model)[1]
    code, out, err = shell("engines", *model, "--measure", "--json")
    assert "Timing the engines" in err
    rates = json.loads(out)["images_per_second"]
    assert code == 0 and set(rates) == set(installed()) and all(rate > 0 for rate in rates.values())
    kept = json.loads(shell("engines", *model, "--json")[1])
    assert kept["images_per_second"] == rates and kept["fastest"] == max(rates, key=rates.__getitem__)
    code, _, err = shell("engines", "--measure")
    assert code == 2 and "--measure measures a model: name one" in err


def test_export_writes_a_model_that_other_commands_take(shell: Shell, weights: Path, tmp_path: Path) -> None:
    size = ("--height", 32, "--width", 16)
    resight.datasets.load("synthetic", tmp_path / "people", identities=6, cameras=2, seed=1)
    arguments = ("resnet18", "--weights", weights, *size, "--to", "torchscript", "--images", "people")
    code, out, _ = shell("export", *arguments, "--json")
    told = json.loads(out)
    assert code == 0 and told["file"] == "resnet18.torchscript" and told["overlap"] == 1 and told["error"] < 1e-5
    code, out, _ = shell("evaluate", "resnet18.torchscript", "people", "--json")
    plain = shell("evaluate", "resnet18", "people", "--weights", weights, *size, "--json")[1]
    assert code == 0 and json.loads(out)[0]["mAP"] == pytest.approx(json.loads(plain)[0]["mAP"], abs=1e-4)
    code, out, _ = shell("models", "show", "resnet18.torchscript")
    assert code == 0 and json.loads(out)["preprocessing"]["height"] == 32
    code, _, err = shell("export", *arguments, "-o", "reid.onnx")
    assert code == 2 and "its name must end in .torchscript" in err


def test_a_card_for_a_file_from_elsewhere(shell: Shell, tmp_path: Path) -> None:
    source = SHARED / "weights" / "openvino" / "person-reidentification-retail-0031.FP32.xml"
    if not source.is_file() or "openvino" not in installed():
        pytest.skip(f"needs openvino and {source}, which may not be passed on")
    for suffix in (".xml", ".bin"):
        (tmp_path / f"intel{suffix}").symlink_to(source.with_suffix(suffix))
    code, _, err = shell("models", "show", "intel.xml")
    assert code == 2 and "write intel.xml.card.json, such as" in err and "resight models card" in err
    prepared = ("--colour", "BGR", "--scale", "1", "--mean", "0,0,0", "--std", "1,1,1")
    code, out, _ = shell("models", "card", "intel.xml", *prepared)
    assert code == 0 and "256 numbers per image, 96x48 BGR" in out
    to = json.loads((tmp_path / "intel.xml.card.json").read_text())["preprocessing"]
    assert (to["colour"], to["scale"], to["mean"], to["std"]) == ("BGR", 1, [0, 0, 0], [1, 1, 1])
    assert shell("models", "show", "intel.xml")[0] == 0
    code, _, err = shell("models", "card", "intel.xml", "--colour", "GRAY")
    assert code == 2 and "--colour is not right" in err
    code, _, err = shell("models", "card", "weights.pth")
    assert code == 2 and "weights.pth is no ONNX" in err


class _Two(torch.nn.Module):
    """Class scores first, features second, as networks exported in the state of training."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.classifier = torch.nn.Conv2d(3, 16, 1), torch.nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(x).mean((2, 3))
        return self.classifier(features), features


def two_outputs(file: Path, *names: str) -> _Two:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = _Two().eval()
    axes = {name: {0: "b"} for name in ("x", *names)}
    settings = {"dynamo": False, "input_names": ["x"], "output_names": list(names), "dynamic_axes": axes}
    torch.onnx.export(network, (torch.randn(2, 3, 32, 16),), str(file), **settings)  # type: ignore[arg-type]
    return network


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("names", "asked", "chosen", "dim"),
    [
        (("cls_score", "feat"), "", "feat", 16),
        (("scores", "bn_embedding"), "", "bn_embedding", 16),
        (("a", "b"), "b", "b", 16),
        (("cls_score", "feat"), "cls_score", "cls_score", 4),
    ],
)
def test_of_several_outputs_one_is_the_embedding(
    shell: Shell, tmp_path: Path, names: tuple[str, str], asked: str, chosen: str, dim: int
) -> None:
    network = two_outputs(tmp_path / "two.onnx", *names)
    code, out, err = shell("models", "card", "two.onnx", *(("--output", asked) if asked else ()))
    assert code == 0 and f"{dim} numbers per image from the output {chosen}, 32x16 RGB" in out, err
    grey = np.full((32, 16, 3), 90, np.uint8)
    found = resight.Embedder(resight.load(tmp_path / "two.onnx"))(grey).vectors[0]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        scores, features = network(((torch.full((3,), 90 / 255) - mean) / std).view(1, 3, 1, 1).expand(1, 3, 32, 16))
    np.testing.assert_allclose(found, (features if dim == 16 else scores)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_outputs_that_cannot_be_told_apart_or_are_not_there(shell: Shell, tmp_path: Path) -> None:
    two_outputs(tmp_path / "two.onnx", "a", "b")
    code, _, err = shell("models", "card", "two.onnx")
    assert code == 2 and "two.onnx has several outputs (a, b)" in err and "--output NAME" in err
    code, _, err = shell("models", "card", "two.onnx", "--output", "c")
    assert code == 2 and "two.onnx has no output 'c': choose one of a, b." in err
