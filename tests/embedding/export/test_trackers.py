"""Files for BoxMOT and Ultralytics: their published preprocessing, written again, leads to the model's embeddings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import resight
from resight.datasets import synthetic
from resight.embedding.export.trackers import export_for
from resight.errors import ModelError, RecipeError
from resight.models.exported import Exported
from resight.models.model import Model

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
pytest.importorskip("onnx")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def crop(height: int, width: int) -> np.ndarray:
    """A person as OpenCV reads it: BGR."""
    return synthetic.draw("person", 3, 1, 0, size=(height, width))[..., ::-1].copy()


def boxmot(image: np.ndarray) -> np.ndarray:
    """Stretched to 256x128 linearly, RGB, divided by 255, ImageNet's mean and deviation."""
    resized = cv2.resize(image, (128, 256), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    return ((resized / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


def ultralytics(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Letterboxed on grey 114, RGB, divided by 255."""
    ratio = min(shape[0] / image.shape[0], shape[1] / image.shape[1])
    new = round(image.shape[1] * ratio), round(image.shape[0] * ratio)
    wide, high = (shape[1] - new[0]) / 2, (shape[0] - new[1]) / 2
    resized = cv2.resize(image, new, interpolation=cv2.INTER_LINEAR)
    edges = round(high - 0.1), round(high + 0.1), round(wide - 0.1), round(wide + 0.1)
    padded = cv2.copyMakeBorder(resized, *edges, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return (padded[..., ::-1] / 255).transpose(2, 0, 1)[None].astype(np.float32)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    """As both do: the first input and the first output of the session."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: images})[0]


@pytest.fixture(scope="module")
def same_size() -> Model:
    return resight.load("osnet_x0_25")  # 256x128, RGB, ImageNet


@pytest.fixture(scope="module")
def other_size() -> Model:
    model = resight.load("osnet_x0_25", height=64, width=32)
    to = model.card.preprocessing.model_copy(
        update={"colour": "BGR", "scale": 1.0, "mean": (100.0, 110.0, 120.0), "std": (50.0, 60.0, 70.0)}
    )
    return Model(model.network, model.card.model_copy(update={"preprocessing": to}))


def reference(model: Model, rgb: np.ndarray) -> np.ndarray:
    """The network on (1, 3, h, w) RGB from 0 to 1, resized and prepared in plain steps."""
    to = model.card.preprocessing
    x = torch.nn.functional.interpolate(torch.from_numpy(rgb), (to.height, to.width), mode="bilinear")
    pixels = x.numpy()[0].transpose(1, 2, 0) * 255
    pixels = pixels[..., ::-1] if to.colour == "BGR" else pixels
    prepared = ((pixels / to.scale - np.array(to.mean)) / np.array(to.std)).transpose(2, 0, 1)[None]
    with torch.inference_mode():
        return model.network.eval()(torch.from_numpy(prepared.astype(np.float32))).embedding.numpy()


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() < 1e-4 * np.abs(b).max())


@pytest.mark.parametrize("which", ["same_size", "other_size"])
def test_boxmots_images_lead_to_the_models_embeddings(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: Model = request.getfixturevalue(which)
    made = export_for(model, "boxmot", tmp_path / "osnet_x0_25_mine.onnx")
    assert made.use.startswith("boxmot track --reid")
    images = boxmot(crop(180, 70))
    rgb = (images * STD[:, None, None] + MEAN[:, None, None]).astype(np.float32)
    found = run(made.path, images)
    assert close(found, reference(model, rgb))
    assert close(run(made.path, np.repeat(images, 3, axis=0))[2:], found)  # any batch
    if which == "same_size":
        own = resight.Embedder(model, "torch", device="cpu")(cv2.resize(crop(180, 70), (128, 256))[..., ::-1].copy())
        assert close(found, own.vectors)


@pytest.mark.parametrize("which", ["same_size", "other_size"])
def test_ultralyticss_images_of_any_size(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model: Model = request.getfixturevalue(which)
    made = export_for(model, "ultralytics", tmp_path / "reid.onnx")
    for shape in ((256, 128), (256, 96), (192, 128)):  # one crop alone is padded to the next stride only
        images = ultralytics(crop(180, 70), shape)
        assert images.shape[2:] == shape
        assert close(run(made.path, images), reference(model, images))
    session = onnxruntime.InferenceSession(str(made.path))
    told = session.get_modelmeta().custom_metadata_map
    assert (told["task"], int(told["stride"])) == ("detect", 32)
    assert eval(told["imgsz"]) == [256, 128] and eval(told["names"]) == {0: "person"}  # as Ultralytics reads them
    assert eval(told["args"])["dynamic"] is True and set(told) >= {"batch", "stride", "task", "names", "imgsz"}


def test_what_would_be_misread_is_refused(same_size: Model, tmp_path: Path) -> None:
    for name in ("mine.onnx", "osnet_x0_25_veri776.onnx"):
        with pytest.raises(RecipeError, match="BoxMOT would misread"):
            export_for(same_size, "boxmot", tmp_path / name)
    with pytest.raises(RecipeError, match=r"must end in \.onnx"):
        export_for(same_size, "ultralytics", tmp_path / "a.pt")
    with pytest.raises(RecipeError, match="choose boxmot or ultralytics"):
        export_for(same_size, "bytetrack")
    made = export_for(same_size, "ultralytics", tmp_path / "reid.onnx")
    with pytest.raises(ModelError, match="is a file already"):
        export_for(Model(Exported(made.path), same_size.card), "ultralytics", tmp_path / "again.onnx")
    assert not list(tmp_path.glob("*.pt")) and not (tmp_path / "again.onnx").exists()
