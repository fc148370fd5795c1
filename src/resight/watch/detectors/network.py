"""A detector's network in a file: one image in, one array out, several frames side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from resight.errors import ModelError
from resight.models.runtimes import Onnx, OpenVino
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
            raise ModelError(f"{weights} does not exist: OpenVINO's weights must stand beside {file.name}.")
        try:
            opened = Onnx(file) if runtime == "onnx" else OpenVino(file)
        except ImportError as error:
            raise ModelError(
                f"{file} needs {error.name}, which is not installed: pip install 'resight[{runtime}]'."
            ) from None
        except (RuntimeError, ValueError):
            raise ModelError(f"{file} cannot be read as a model: download it again.") from None
        shape = opened.shape
        if len(shape) != 4 or shape[1] != 3 or not shape[2] or not shape[3]:
            raise ModelError(f"{file} takes {shape}, not images (1, 3, height, width): it is no detector known here.")
        self.file, self.shape = file, (shape[2], shape[3])
        threads = torch.get_num_threads()
        self._run = opened.run(threads=threads, streams=threads, half=False)
        self._pool = ThreadPoolExecutor(threads, "resight-detector")

    def run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The first output for one image (1, 3, H, W)."""
        try:
            return self._run(np.ascontiguousarray(image))[0]
        except RuntimeError as error:
            raise ModelError(f"{self.file} does not work as a detector ({error}): choose another file.") from None

    def each(self, frames: Sequence[Frame], look: Callable[[Frame], Detections]) -> list[Detections]:
        """``look`` at every frame, as many side by side as there are threads."""
        return list(self._pool.map(look, frames))
