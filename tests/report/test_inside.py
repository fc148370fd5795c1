"""What can be seen inside SAVER and OSNet, and that nothing is left behind by looking."""

import base64

import cv2
import numpy as np
import pytest
import torch

import resight
from resight.datasets import Dataset
from resight.report.inside import look_inside


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("drawn") / "vehicles"
    return resight.datasets.load("synthetic", root, kind="vehicle", identities=6, cameras=2, images_per_camera=2)


def pixels(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(float)


def test_the_strip_of_a_vehicle(drawn: Dataset) -> None:
    torch.manual_seed(0)
    model = resight.load("saver_resnet18", height=64, width=64)
    found = look_inside(model, drawn.query, images=2)
    assert found is not None and found.alpha == 0.5 and found.gates is None and len(found.strips) == 2
    for strip in found.strips:
        assert [name for name, _ in strip.pictures] == ["input", "reconstruction", "residual", "combination"]
        image, copy, residual, both = (pixels(uri) for _, uri in strip.pictures)
        mean = np.array([0.485, 0.456, 0.406]) * 255
        inside = np.abs(image - copy + mean - 127.5) < 120  # where nothing was cut off at 0 or 255
        assert np.abs((image - copy + mean - residual)[inside]).mean() < 6  # JPEG
        assert np.abs((0.5 * image + 0.5 * residual - both)[inside]).mean() < 6


def test_gates_of_osnet(drawn: Dataset) -> None:
    model = resight.load("osnet_x0_25", height=64, width=32)
    found = look_inside(model, drawn.query)
    assert found is not None and not found.strips and found.gates is not None
    assert [name for _, name in found.gates.legend] == ["3x3", "5x5", "7x7", "9x9"]
    assert "in each of 6 blocks" in found.gates.svg
    assert not any(module._forward_hooks for module in model.network.modules())


def test_nothing_to_see(drawn: Dataset) -> None:
    assert look_inside(resight.load("resnet18", height=64, width=32), drawn.query) is None
    hidden = look_inside(resight.load("saver_resnet18", height=64, width=64), drawn.query, pictures=False)
    assert hidden is not None and not hidden.strips and hidden.alpha == 0.5
