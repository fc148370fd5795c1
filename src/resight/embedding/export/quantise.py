"""An ONNX model in 8-bit integers, after training: weights per output channel, maps per tensor (Jacob et al. 2018).

The ranges of the maps are the smallest and largest values on the calibration images. What decides much and costs little
stays float: the first convolution, gates (convolutions of 1x1 maps) and fully connected layers of whole images. Of a
transformer, the linear layers of the tokens are in integers; norms, attention weights and sums stay float.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import ModelError, first_line

BATCH = 16  # images per step of the calibration
WEIGHTED = ("Conv", "Gemm", "MatMul")
OF_TRANSFORMERS = ["Conv", "MatMul"]  # what is quantised in a network with layer norms


def quantise(source: Path, target: Path, images: NDArray[np.float32], *, keep: Iterable[str] = ()) -> None:
    """Write the 8-bit version of a float ONNX file.

    Args:
        source, target: ONNX files.
        images: (N, 3, H, W) float32, prepared as the model wants them.
        keep: beginnings of the names of further nodes that stay float, such as ``stages`` gives.

    Raises:
        ModelError: the graph cannot be quantised.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            float_nodes = sensitive(prepared) + [name for name in _names(prepared) if name.startswith(tuple(keep))]
            quantization.quantize_static(
                str(prepared),
                str(target),
                _reader(images, _input(prepared)),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=float_nodes,
                op_types_to_quantize=OF_TRANSFORMERS if _names(prepared, "LayerNormalization") else None,
            )
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            reason = first_line(error)[:160]
            raise ModelError(f"{source} cannot be quantised ({reason}): export it in float.") from None


def sensitive(file: Path) -> list[str]:
    """The nodes that always stay float: the first convolution, gates, fully connected layers, products in attention."""
    layers = _layers(file)
    first = next((name for name, (kind, _) in layers.items() if kind == "Conv"), "")
    few = [name for name, (kind, places) in layers.items() if name == first or kind == "Gemm" or places in (0, 1)]
    return few + _names(file, "BatchNormalization")  # one that no convolution could take in


def stages(file: Path) -> list[str]:
    """The parts of a network that can be kept float as a whole: the longest beginnings that several layers share."""
    names = list(_layers(file))
    depth = 1
    while depth < 8 and len({_beginning(name, depth) for name in names}) < 3:
        depth += 1
    return list(dict.fromkeys(_beginning(name, depth) for name in names))


def _beginning(name: str, depth: int) -> str:
    return "/".join(name.split("/")[: depth + 1]) + "/"


def _layers(file: Path) -> dict[str, tuple[str, int]]:
    """Name of every node with weights or a product of maps, its kind, and at how many places its weights are used.

    The number is the pixels of a convolution's input (-1 where that is not known) and 1 for fully connected layers. A
    linear layer on tokens has -1, a product of two maps 0.
    """
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(file)).graph
    constants, pixels = {value.name for value in graph.initializer}, {}
    for value in (*graph.value_info, *graph.input):
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        pixels[value.name] = sizes[2] * sizes[3] or -1 if len(sizes) == 4 else -1

    def places(node: Any) -> int:
        if node.op_type == "MatMul":
            return -1 if node.input[1] in constants else 0
        return 1 if node.op_type == "Gemm" else pixels.get(node.input[0], -1)

    return {node.name: (str(node.op_type), places(node)) for node in graph.node if node.op_type in WEIGHTED}


def _names(file: Path, kind: str = "") -> list[str]:
    import onnx

    return [str(node.name) for node in onnx.load(file).graph.node if kind in ("", node.op_type)]


def _input(file: Path) -> str:
    import onnx

    return str(onnx.load(file).graph.input[0].name)


def _reader(images: NDArray[np.float32], name: str) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[NDArray[np.float32]] = iter(_batches(images))

        def get_next(self) -> dict[str, NDArray[np.float32]]:
            batch = next(self.batches, None)
            return {} if batch is None else {name: batch}  # nothing ends it

    return Reader()


def _batches(images: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
    return [images[at : at + BATCH] for at in range(0, len(images), BATCH)]
