"""One engine for one model."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import torch
from torch import nn

from resight.embedding.engines.convert import converted, example
from resight.embedding.engines.fused import fused
from resight.errors import ModelError
from resight.models.exported import Exported, Runtime
from resight.models.load import Model

PACKAGES: dict[Runtime, tuple[str, ...]] = {
    "torch": ("torch",),
    "onnx": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
}
READS: dict[str, tuple[Runtime, ...]] = {
    ".onnx": ("onnx", "openvino"),
    ".xml": ("openvino",),
    ".torchscript": ("torch",),
}


def installed() -> dict[Runtime, dict[str, str]]:
    """The engines that can be used here, each with the versions of the packages it needs."""
    found: dict[Runtime, dict[str, str]] = {}
    for engine, packages in PACKAGES.items():
        try:
            found[engine] = {package: version(package) for package in packages}
        except PackageNotFoundError:
            continue
    return found


def engines_of(model: Model) -> tuple[Runtime, ...]:
    """The installed engines among which to choose for a model; a file has the one it is made for."""
    return (model.network.runtime,) if isinstance(model.network, Exported) else tuple(installed())


def build(model: Model, engine: Runtime, device: torch.device) -> nn.Module:
    """The model's function as a module, made from its weights as they are now.

    ``device`` is where torch computes a network; files and the other engines are computed on the CPU.

    Raises:
        ModelError: the engine is not installed, or cannot compute this model.
    """
    if engine not in installed():
        raise ModelError(f"engine {engine!r} is not installed: pip install 'resight[{engine}]', or choose 'torch'.")
    network = model.network
    if isinstance(network, Exported):
        if engine not in READS[network.file.suffix.lower()]:
            known = " or ".join(READS[network.file.suffix.lower()])
            raise ModelError(f"{network.file} cannot be computed by {engine}: choose engine 'auto' or {known}.")
        return network if engine == network.runtime else Exported(network.file, engine).eval()
    if engine == "torch":
        return fused(network, example(model)).to(device)
    return Exported(converted(model), engine).eval()
