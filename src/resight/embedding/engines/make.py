"""One engine for one model."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import torch
from torch import nn

from resight.embedding.engines.convert import converted, example
from resight.embedding.engines.fused import fused
from resight.embedding.engines.half import Half
from resight.engines import ENGINES, in_words
from resight.errors import ModelError
from resight.models.exported import Exported
from resight.models.model import Model
from resight.models.runtimes import making_ready, openvino_works

PACKAGES = {engine.name: engine.packages for engine in ENGINES.values()}
IN_HALF = tuple(engine.name for engine in ENGINES.values() if engine.half)
READS = {
    ending: tuple(engine.name for engine in ENGINES.values() if ending in engine.reads)
    for ending in dict.fromkeys(ending for engine in ENGINES.values() for ending in engine.reads)
}


def installed() -> dict[str, dict[str, str]]:
    """The engines that can be used here, each with the versions of the packages it needs."""
    found: dict[str, dict[str, str]] = {}
    for engine, packages in PACKAGES.items():
        try:
            found[engine] = {package: version(package) for package in packages}
        except PackageNotFoundError:
            continue
    return found


def engines_of(model: Model, half: bool = False) -> tuple[str, ...]:
    """The engines among which to choose for a model here: those that work; a file has the one it is made for."""
    if not isinstance(model.network, Exported):
        there = tuple(engine for engine in installed() if engine in IN_HALF or not half)
        return there if openvino_works() else tuple(engine for engine in there if engine != "openvino")
    if not half or model.network.runtime in IN_HALF:
        return (model.network.runtime,)
    return tuple(engine for engine in READS[model.network.file.suffix.lower()] if engine in IN_HALF)


def build(model: Model, engine: str, device: torch.device, *, half: bool = False) -> nn.Module:
    """The model's function as a module, made from its weights as they are now.

    ``device`` is where torch computes a network; files and the other engines are computed on the CPU. With ``half``,
    convolutions and products are computed in 16 bits.

    Raises:
        ModelError: the engine is not installed, cannot compute this model, or not in 16 bits.
    """
    if engine not in installed():
        raise ModelError(f"engine {engine!r} is not installed: pip install 'resight[{engine}]', or choose 'torch'.")
    if half and engine not in IN_HALF:
        raise ModelError(f"engine {engine!r} computes in 32 bits alone: choose {in_words(IN_HALF)}, or not in 16 bits.")
    network = model.network
    if isinstance(network, Exported):
        if engine not in READS[network.file.suffix.lower()]:
            known = " or ".join(READS[network.file.suffix.lower()])
            raise ModelError(f"{network.file} cannot be computed by {engine}: choose engine 'auto' or {known}.")
        alike = (engine, half) == (network.runtime, network.in_half)
        return network if alike else Exported(network.file, engine, half=half, output=network.output)
    with making_ready:
        if engine == "torch":
            folded = fused(network, example(model)).to(device)
            return Half(folded) if half else folded
        return Exported(converted(model), engine, half=half)
