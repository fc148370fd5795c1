"""Files that are no weights: one sentence that says what they are and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import resight
from resight.errors import ModelError
from resight.images.decode import decode_bytes
from resight.models import weights
from resight.models.exported import Exported
from resight.models.loading import from_published

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"
PAGE = b"\n<!DOCTYPE html><html><body>404</body></html>"


@pytest.mark.parametrize(
    ("content", "message"),
    [(POINTER, "is a pointer of Git LFS, .*: fetch it with git lfs pull"), (PAGE, "is a web page, .*: download it")],
)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.onnx", "a.torchscript"])
def test_what_lies_in_the_place_of_a_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ModelError, match=f"^{file} {message}"):
        Exported(file) if name.endswith((".onnx", "script")) else resight.load("osnet_x0_25", weights=file)
    with pytest.raises(resight.DataError, match=f"^some.jpg {message}"):
        decode_bytes(content, "some.jpg")


def test_a_folder_and_a_torchscript_file_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a folder: pass the weight file in it"):
        resight.load("osnet_x0_25", weights=tmp_path)
    file = tmp_path / "whole.pt"
    torch.jit.script(torch.nn.Flatten()).save(file)
    for load in (lambda: resight.load(file), lambda: resight.load("osnet_x0_25", weights=file)):
        with pytest.raises(ModelError, match=r"whole\.pt is a TorchScript file, .*: rename it to whole\.torchscript"):
            load()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_and_named(tmp_path: Path, value: float) -> None:
    tensors = resight.load("osnet_x0_25").network.state_dict()
    tensors |= {"conv1.bn.running_var": torch.full((16,), value)}
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=r"a\.safetensors has weights that are NaN or infinite, first in conv1\.bn"):
        resight.load("osnet_x0_25", weights=tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "make",
    [torch.Tensor.to_sparse, lambda t: t.to("meta"), lambda t: t.to(torch.complex64)],
    ids=["sparse", "meta", "complex"],
)
def test_tensors_that_are_no_plain_arrays_are_refused(tmp_path: Path, make: Callable[[Tensor], Tensor]) -> None:
    tensors = resight.load("osnet_x0_25").network.state_dict()
    torch.save(tensors | {"conv1.conv.weight": make(tensors["conv1.conv.weight"])}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=r"sparse, quantised, complex or without content, first conv1\.conv\.weight"):
        resight.load(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["model.onnx", "model.torchscript"])
def test_a_whole_model_is_not_imported(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)  # nothing is read of it
    with pytest.raises(ModelError, match="is a whole model: use it as it is"):
        from_published(tmp_path / name, {})


def test_a_model_with_a_card_is_not_imported(tmp_path: Path) -> None:
    """Its size of 32 x 16 would become the usual one."""
    resight.load("osnet_x0_25", height=32, width=16).save(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors has a card already: use it as it is"):
        from_published(tmp_path / "model.safetensors", {})


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model = resight.load("osnet_x0_25", height=32, width=16)
    model.save(tmp_path / "model.safetensors")
    fingerprint = model.card.fingerprint
    assert resight.load("~/model.safetensors").card.fingerprint == fingerprint
    assert resight.load(Path("~/model.safetensors")).card.fingerprint == fingerprint
    assert weights.read("~/model.safetensors").keys() == weights.read(tmp_path / "model.safetensors").keys()
    with pytest.raises(ModelError, match=f"^{tmp_path}/none.pth does not exist"):
        resight.load("osnet_x0_25", weights="~/none.pth")
