"""The inference engines. An engine is added here, with the class that opens its files (:mod:`resight.models.runtimes`).

This file imports nothing heavy, since ``--help`` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineFacts:
    """What there is to know of an engine.

    Attributes:
        name: as it is chosen.
        packages: what it needs, under their names on PyPI.
        reads: endings of the model files that it computes; the first is its own.
        half: whether it can compute in 16 bits.
        opens: the class in :mod:`resight.models.runtimes` that opens such a file.
    """

    name: str
    packages: tuple[str, ...]
    reads: tuple[str, ...]
    half: bool
    opens: str


ENGINES = {
    engine.name: engine
    for engine in (
        EngineFacts("torch", ("torch",), (".torchscript",), half=True, opens="TorchScript"),
        EngineFacts("onnx", ("onnxruntime", "onnx"), (".onnx",), half=False, opens="Onnx"),
        EngineFacts("openvino", ("openvino", "onnx"), (".xml", ".onnx"), half=True, opens="OpenVino"),
    )
}
CHOICES = ("auto", *ENGINES)


def in_words(names: tuple[str, ...] = CHOICES) -> str:
    """``'auto', 'torch' or 'onnx'``, for messages."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last
