"""Weights of Open Model Zoo's ``person-reidentification-retail-02xx``, out of OpenVINO's files, as a network to train.

The files hold a graph, not a state dict: names are lost where batch normalisation was folded into a convolution. The
constants are therefore taken in the order in which the graph uses them, which is the network's own order, and each is
checked by its kind and size. The graph is XML and its constants lie in the ``.bin`` beside it: OpenVINO is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from resight.errors import ModelError
from resight.models.foreign.recognised import Recognised, Unsaid
from resight.models.networks.osnet import WIDTHS
from resight.paths import expanded

TYPES = {"f16": np.float16, "f32": np.float32}
KINDS = {
    "Convolution": "weight",
    "GroupConvolution": "weight",
    "MatMul": "weight",
    "Subtract": "subtract",
    "Add": "add",
    "Multiply": "multiply",
}
SIZES = ("1_0", "0_5")  # of OSNet-LCT: 0265 and 0287
EPS = 1e-5


def read(file: str | Path) -> Recognised:
    """The network in an OpenVINO file of this family.

    Args:
        file: the ``.xml``; its ``.bin`` lies beside it.

    Raises:
        ModelError: unreadable, or of another network.
    """
    path = Path(expanded(file))
    if path.suffix.lower() != ".xml":
        raise ModelError(f"{path} is a whole model: use it as it is (resight models card), or import its weights.")
    if not path.is_file():
        raise ModelError(f"{path} does not exist: check the path of the model.")
    try:
        steps = list(_steps(path))
    except (OSError, ElementTree.ParseError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read as an OpenVINO model with its .bin beside it ({error}).") from None
    stems = [len(value) for kind, value in steps if kind == "weight" and value.shape[1:] == (3, 7, 7)]
    width = next((name for name in SIZES if stems == [WIDTHS[name][0]]), None)
    if width is None:
        raise ModelError(
            f"{path} is neither person-reidentification-retail-0265 nor -0287: other OpenVINO models are used "
            "as they are (resight models card), not as networks to train."
        )
    normalise = next((at for at, (kind, _) in enumerate(steps) if kind == "instance"), len(steps))
    used = iter(step for step in steps[normalise:] if step[0] != "instance")
    tensors: dict[str, Tensor] = {}
    for key, kind in _order(WIDTHS[width]):
        found, value = next(used, ("nothing", np.empty(0)))
        if found != kind:
            raise ModelError(f"{path} has {found} where {key} should be: it is another network than OSNet-LCT.")
        tensors[key] = torch.from_numpy(value.astype(np.float32))
    if next(used, None) is not None:
        raise ModelError(f"{path} goes on after the embedding: it is another network than OSNet-LCT.")
    return Recognised(
        "Open Model Zoo person-reidentification-retail",
        f"osnet_lct_x{width}",
        {"norm": "fixed"},
        _named(tensors),
        preprocessing=_colours(steps[:normalise]),
        unsaid=(Unsaid("interpolation", "linear-area", "the file takes images that are resized already"),),
        licence="Apache-2.0 (Intel, Open Model Zoo); the training data was not published",
    )


def _steps(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """What the graph does with its constants, in order: ``weight``, ``add``, ``multiply``, ``slope``, ``instance``."""
    root = ElementTree.parse(path).getroot()
    layers = root.findall("./layers/layer")
    by_id = {layer.attrib["id"]: layer for layer in layers}
    inputs: dict[str, list[str]] = {}
    for edge in sorted(root.findall("./edges/edge"), key=lambda edge: int(edge.attrib["to-port"])):
        inputs.setdefault(edge.attrib["to-layer"], []).append(edge.attrib["from-layer"])
    data = path.with_suffix(".bin").read_bytes()

    def constants(layer: str) -> Iterator[np.ndarray]:
        for source in inputs.get(layer, ()):
            one = by_id[source]
            if one.attrib["type"] == "Convert":
                one = by_id[inputs[source][0]]
            said = one.find("data")
            if one.attrib["type"] == "Const" and said is not None and said.attrib["element_type"] in TYPES:
                shape = [int(side) for side in said.attrib["shape"].split(",")]
                count, at = int(np.prod(shape)), int(said.attrib["offset"])
                yield np.frombuffer(data, TYPES[said.attrib["element_type"]], count, at).reshape(shape)

    for layer in layers:
        kind, values = layer.attrib["type"], list(constants(layer.attrib["id"]))
        if kind == "MVN" and not _within_groups(layer):
            yield "instance", np.empty(0)
        elif kind == "PReLU":
            yield "slope", values[0].ravel()
        elif kind in KINDS and values:
            value = values[0]
            if kind == "GroupConvolution":
                value = value.squeeze(1) if value.ndim == 5 else value
            yield KINDS[kind], value if KINDS[kind] == "weight" else value.ravel()


def _within_groups(layer: ElementTree.Element) -> bool:
    return len(layer.findall("./output/port/dim")) == 3  # of the gates, whose means are (images, groups, channels)


def _order(widths: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """The keys in the order of use, each with the kind of its constant; shared gates come once for each stream."""

    def folded(name: str, conv: str = "conv") -> Iterator[tuple[str, str]]:
        yield f"{name}.{conv}.weight", "weight"
        yield f"{name}.bn.bias", "add"

    def light(name: str) -> Iterator[tuple[str, str]]:
        yield f"{name}.conv1.weight", "weight"
        yield from folded(name, "conv2")

    def affine(name: str, weight: str = "weight", bias: str = "bias") -> Iterator[tuple[str, str]]:
        yield f"{name}.{weight}", "multiply"
        yield f"{name}.{bias}", "add"

    yield from affine("input_IN")
    yield "conv1.conv.weight", "weight"
    yield from affine("conv1.bn")
    for stage, _ in enumerate(pairwise(widths), start=2):
        for at in (0, 1):
            block = f"conv{stage}.{at}"
            yield from folded(f"{block}.conv1")
            for depth, letter in enumerate("abcd", start=1):
                for one in range(depth):
                    yield from light(f"{block}.conv2{letter}" + (f".{one}" if depth > 1 else ""))
                if at == 0:
                    for part in ("fc1", "fc2"):
                        yield f"{block}.gate.{part}.weight", "weight"
                        yield f"{block}.gate.{part}.bias", "add"
                else:
                    yield from affine(f"{block}.gate", "w", "b")
            yield from folded(f"{block}.conv3")
            if at == 0:
                yield from folded(f"{block}.downsample")
        if stage < 4:
            yield from folded(f"conv{stage}.2.0")
    yield from folded("conv5")
    yield "pool.weight", "weight"
    yield "pool.bias", "add"
    yield "fc.0.weight", "weight"
    yield "fc.0.bias", "add"
    yield from affine("fc.1")
    yield "fc.2.weight", "slope"


def _named(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the means and variances of batch normalisation that change nothing more."""
    full = dict(tensors)
    for key, value in tensors.items():
        name = key.removesuffix(".bias")
        if key.endswith((".gate.w", ".gate.b")):
            full[key] = value[:, None, None]
        if key == "fc.1.bias" or (key.endswith(".bn.bias") and not key.startswith("conv1.")):
            full.setdefault(f"{name}.weight", torch.ones_like(value))
            full[f"{name}.running_mean"] = torch.zeros_like(value)
            full[f"{name}.running_var"] = torch.full_like(value, 1 - EPS)
    return full


def _colours(steps: list[tuple[str, np.ndarray]]) -> dict[str, object]:
    """Preprocessing of RGB images in [0, 1], from what the graph does to BGR images of 0 to 255 before the network."""
    mean, factor = np.zeros(3), np.ones(3)
    for kind, value in steps:
        if kind == "subtract":
            mean = mean + value.ravel() / factor
        elif kind == "add":
            mean = mean - value / factor
        elif kind == "multiply":
            factor = factor * value
    return {"mean": tuple((mean / 255).tolist()), "std": tuple((1 / factor / 255).tolist())}
