"""Checkpoints under the names of a registered network, without its name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from conftest import SHARED
from resight.errors import ModelError
from resight.models.foreign import registered

SOME = ["bot_resnet50", "fastreid_resnet", "osnet_ain_x0_25", "osnet_x0_25", "osnet_x0_5", "resnet18", "resnet34"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some architectures only: to build all takes seconds."""
    monkeypatch.setattr(registered.registry, "list_models", lambda: SOME)


def written(path: Path, name: str, prefix: str = "", **arguments: Any) -> Path:
    torch.manual_seed(0)
    tensors = resight.models.create(name, **arguments).state_dict()
    torch.save({"state_dict": {prefix + key: value for key, value in tensors.items()}, "epoch": 3}, path)
    return path


@pytest.mark.parametrize(
    ("name", "prefix"), [("osnet_x0_25", ""), ("osnet_ain_x0_25", "module."), ("resnet18", "model.")]
)
def test_the_architecture_is_recognised(few: None, tmp_path: Path, name: str, prefix: str) -> None:
    file = written(tmp_path / "model.pth.tar-60", name, prefix, num_identities=20)
    found, named = resight.load(file, height=64, width=32), resight.load(name, weights=file, height=64, width=32)
    assert found.card.architecture == name
    assert found.card.fingerprint == named.card.fingerprint
    assert {one["name"] for one in found.card.unsaid} >= {"architecture", "height", "width", "mean"}
    image = np.random.default_rng(0).integers(0, 256, (64, 32, 3), dtype=np.uint8)
    pair = [resight.Embedder(model, "torch")([image]).vectors for model in (found, named)]
    np.testing.assert_array_equal(*pair)


def test_several_that_fit_are_a_choice(few: None, tmp_path: Path) -> None:
    file = written(tmp_path / "bot.pth", "bot_resnet50")
    with pytest.raises(ModelError, match=r"fits bot_resnet50 and fastreid_resnet alike: choose one, as in --set arch"):
        resight.load(file)
    assert resight.load(file, architecture="bot_resnet50").card.architecture == "bot_resnet50"
    with pytest.raises(ModelError, match=r"fits bot_resnet50 and fastreid_resnet"):
        resight.load(file, architecture="osnet_x1_0")
    with pytest.raises(ModelError, match=r"has no use for stride: what can be given is architecture, height"):
        resight.load(file, architecture="bot_resnet50", stride=12)


def test_torchreids_own_file() -> None:
    file = SHARED / "weights" / "osnet_x0_25_msmt17.pth"
    if not file.is_file():
        pytest.skip(f"needs {file}, which may not be passed on")
    assert resight.load(file).card.fingerprint == resight.load("osnet_x0_25", weights=file).card.fingerprint
