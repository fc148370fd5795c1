"""Libraries that compute a model file: ONNX Runtime, OpenVINO and TorchScript, each opened and run in the same way.

A runtime has ``names`` of its outputs, the ``shape`` of its input (None where any size goes), the ``card`` written
inside the file, and ``run(threads, streams, half, alone)``: a function from images (B, 3, H, W) to outputs that
``streams`` callers may call at the same time, and that gets one image a call where ``alone``. ``half`` lets OpenVINO
compute in bfloat16; the others are not asked to.

After a fork, ONNX Runtime opens its file again, torch computes with one thread, and OpenVINO says that it cannot.
"""

from __future__ import annotations

import os
import queue
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resight.errors import ModelError
from resight.pools import Lock, OfProcess

CARD = "resight.card"  # where the card stands inside a file
MOST = 16  # outputs of a TorchScript file
SEVERAL = 5  # any batch but one, to see whether a graph takes it

Floats = NDArray[np.float32]
Run = Callable[[Floats], list[Floats]]

making_ready = Lock()
"""Held while a model is prepared: exporters change what belongs to the whole process, and one first use at a time."""

_started_in = os.getpid()  # the process whose threads torch has
_openvino: list[tuple[int, Any]] = []  # the process that uses it, and its core


def settle_torch() -> None:
    """Let torch compute with one thread in a forked process, as in PyTorch's own data loaders.

    Its pool of threads does not exist there: it would wait for it for ever.
    """
    global _started_in
    if os.getpid() != _started_in:
        _started_in = os.getpid()
        torch.set_num_threads(1)


class Onnx:
    """ONNX Runtime on the CPU."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.alone = OfProcess(lambda: self._session(1))
        first = self.alone()
        (images,) = first.get_inputs()
        self.input, self.names = images.name, [one.name for one in first.get_outputs()]
        self.shape = tuple(size if isinstance(size, int) else None for size in images.shape)

    def _session(self, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would be in torch's threads' way
        try:
            return onnxruntime.InferenceSession(os.fspath(self.file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base but Exception
            raise RuntimeError(str(error)) from None

    def run(self, threads: int, streams: int, half: bool, alone: bool = False) -> Run:
        del half, alone
        shared = self.alone if streams == threads else OfProcess(lambda: self._session(threads))
        shared()

        def run(images: Floats) -> list[Floats]:  # runs of one session may overlap
            try:
                found: list[Floats] = shared().run(None, {self.input: images})
            except Exception as error:
                raise RuntimeError(str(error)) from None
            return found

        return run

    def card(self) -> str:
        return str(self.alone().get_modelmeta().custom_metadata_map.get(CARD, ""))


def openvino_core() -> Any:
    """The one OpenVINO core of this process, which lives as long as it does.

    A core that computes on the CPU gives its thread another stack for signals, and puts the stack before back when it
    ends. Of two cores that end in the order they began, the second puts back the stack of the first, whose memory is
    gone: the next signal, such as that of a child process that has ended, then ends the process without a word.

    Raises:
        ModelError: OpenVINO cannot be imported, or this process was forked from one that used it, whose threads do
            not exist here.
    """
    with making_ready:
        if not _openvino:
            try:
                import openvino  # its own type hints leave out what it exports
            except RuntimeError as error:  # its telemetry asks for a home when it is imported
                raise ModelError(
                    f"OpenVINO cannot be imported ({str(error).rstrip('.')}): set HOME to a folder, such as HOME=/tmp, "
                    "or choose engine 'onnx' or 'torch'."
                ) from None
            vino: Any = openvino
            vino.Type.f32.to_dtype()  # fills a table; two threads that both did it first would wait for each other
            _openvino.append((os.getpid(), vino.Core()))
    if not openvino_works():
        raise ModelError(
            "OpenVINO cannot compute in a process that was forked from one that used it: start processes with the "
            "method 'spawn', or choose engine 'onnx' or 'torch'."
        )
    return _openvino[0][1]


def openvino_works() -> bool:
    """Whether OpenVINO can compute in this process, as far as forks are concerned."""
    return not _openvino or _openvino[0][0] == os.getpid()


class OpenVino:
    """OpenVINO on the CPU, in float32 even where the processor would rather use bfloat16, unless it is allowed to."""

    def __init__(self, file: Path) -> None:
        self.core = openvino_core()
        self.model = self.core.read_model(os.fspath(file))
        (images,) = self.model.inputs
        self.names = [_name(one, at) for at, one in enumerate(self.model.outputs)]
        shape: list[int | None] = [size.get_length() if size.is_static else None for size in images.partial_shape]
        if shape[0] is not None and len(shape) == 4:
            shape[0] = self._free_batch(shape)
        self.shape = tuple(shape)

    def _free_batch(self, shape: list[int | None]) -> int | None:
        """Let the batch be of any size, where the graph allows it; else the size it is made for."""
        sizes = [-1 if size is None else size for size in shape[1:]]
        try:
            self.model.clone().reshape([SEVERAL, *sizes])
        except RuntimeError:  # some layer has the batch written into it
            return shape[0]
        self.model.reshape([-1, *sizes])
        return None

    def run(self, threads: int, streams: int, half: bool, alone: bool = False) -> Run:
        openvino_core()  # refuses a forked process, where the next line would never end
        kind = "bf16" if half and "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        settings = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": kind}
        model, size = self.model, self.shape[1:]
        if alone and None not in size:  # a graph of known sizes is computed up to twice as fast as one of free batches
            model = model.clone()
            model.reshape([1, *size])
        compiled = self.core.compile_model(model, "CPU", settings)
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            free.put(compiled.create_infer_request())

        def run(images: Floats) -> list[Floats]:
            if not openvino_works():
                openvino_core()
            request = free.get()
            try:
                found = request.infer({0: images}, share_inputs=True)
                return [found[at].astype(np.float32) for at in range(len(self.names))]  # a copy
            finally:
                free.put(request)

        return run

    def card(self) -> str:
        path = CARD.split(".")
        return str(self.model.get_rt_info(path).astype(str)) if self.model.has_rt_info(path) else ""


def _name(output: Any, at: int) -> str:
    names = sorted(output.get_names())
    return names[0] if names else f"output {at}"


class TorchScript:
    """TorchScript, with torch's own threads."""

    def __init__(self, file: Path) -> None:
        extra = {CARD: b""}
        with making_ready, warnings.catch_warnings():  # the filter of warnings belongs to the whole process
            warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather have its newer format
            self.module = torch.jit.load(os.fspath(file), map_location="cpu", _extra_files=extra).eval()
        self.text = bytes(extra[CARD]).decode()
        own = ["embedding", "attributes"]  # of files that resight wrote; others do not name their outputs
        self.names = own if self.text else [f"output {at}" for at in range(MOST)]
        self.shape: tuple[int | None, ...] = (None, 3, None, None)

    def run(self, threads: int, streams: int, half: bool, alone: bool = False) -> Run:
        del threads, streams, half, alone

        def run(images: Floats) -> list[Floats]:
            with torch.inference_mode():
                found = self.module(torch.from_numpy(images))
            return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]

        return run

    def card(self) -> str:
        return self.text
