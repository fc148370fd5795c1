"""A detector's network in a file: one image in, one array out, several frames side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resight.errors import ModelError, first_line
from resight.models.runtimes import Onnx, OpenVino
from resight.pools import Pool
from resight.watch.detectors.detector import Detections
from resight.watch.frames import Frame


class Network:
    """An opened file that takes images (1, 3, H, W).

    Attributes:
        shape: (height, width) of its images.

    Raises:
        ModelError: a missing or damaged file, or a runtime that is not installed.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise ModelError(f"{file} does not exist: check the path of the detector.")
        runtime = "onnx" if file.suffix.lower() == ".onnx" else "openvino"
        weights = file.with_suffix(".bin")
        if runtime == "openvino" and not weights.is_file():
            raise ModelError(f"{weights} does not exist: OpenVINO's weights must be beside {file.name}.")
        try:
            opened = Onnx(file) if runtime == "onnx" else OpenVino(file)
        except ImportError as error:
            raise ModelError(
                f"{file} needs {error.name}, which is not installed: pip install 'resight[{runtime}]'."
            ) from None
        except (RuntimeError, ValueError):
            raise ModelError(f"{file} cannot be read as a model: download it again.") from None
        shape = opened.shape
        if len(shape) != 4 or shape[0] not in (1, None) or shape[1] != 3 or not shape[2] or not shape[3]:
            raise ModelError(
                f"{file} takes {_sizes(shape)}, but a detector must take one image (1, 3, height, width): "
                "export it with these sizes fixed."
            )
        self.file, self.shape = file, (shape[2], shape[3])
        threads = torch.get_num_threads()
        self._run = opened.run(threads=threads, streams=threads, half=False, alone=True)
        self._pool = Pool(threads, "resight-detector")

    @property
    def output(self) -> str:
        """The sizes of the first output."""
        return _sizes(self.run(np.zeros((1, 3, *self.shape), np.float32)).shape)

    def run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output for one image (1, 3, H, W)."""
        try:
            return self._run(np.ascontiguousarray(image))[0]
        except RuntimeError as error:
            raise ModelError(
                f"{self.file} does not work as a detector ({first_line(error)}): export it with one float32 image as "
                "its input."
            ) from None

    def each(self, frames: Sequence[Frame], detect: Callable[[Frame], Detections]) -> list[Detections]:
        """``detect`` in every frame, as many side by side as there are threads."""
        return list(self._pool.map(detect, frames))


def _sizes(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
