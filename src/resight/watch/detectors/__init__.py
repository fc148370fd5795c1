"""Detectors, found by their files; each kind is one file here."""

from __future__ import annotations

import os
from pathlib import Path

from resight.errors import ModelError
from resight.watch.detectors import ssd, yolox
from resight.watch.detectors.detector import Detections, Detector
from resight.watch.detectors.network import Network
from resight.watch.detectors.tables import Tables

__all__ = ["Detections", "Detector", "find_detector", "open_detector"]

KINDS = (ssd.opened, yolox.opened)  # each is asked whether a network is of its kind
SHARED = Path("../shared/weights")
KNOWN = {
    "person": ("openvino/person-detection-retail-0013.FP32.xml", "yolox_nano.onnx"),
    "vehicle": ("yolox_nano.onnx",),
    "object": ("yolox_nano.onnx",),
}


def open_detector(file: str | os.PathLike[str], what: str = "person") -> Detector:
    """The detector in a file.

    Args:
        file: OpenVINO's XML with an SSD head, ONNX of YOLOX, or boxes as for :class:`~.tables.Tables`.
        what: what is in boxes that do not say so themselves.

    Raises:
        ModelError: a missing, damaged or unknown file, or a runtime that is not installed.
    """
    path = Path(file)
    if path.is_dir() or path.suffix.lower() == ".csv":
        if not path.exists():
            raise ModelError(f"{path} does not exist: check the path of the boxes.")
        return Tables(path, what)
    network = Network(path)
    for opened in KINDS:
        detector = opened(network)
        if detector is not None:
            return detector
    raise ModelError(
        f"{path} is no detector known here: pass an SSD of OpenVINO, a YOLOX in ONNX, or a CSV file of boxes."
    )


def find_detector(what: str, folder: Path = SHARED) -> Path:
    """The file of a detector that finds ``person``, ``vehicle`` or ``object``, where it stands in the shared folder.

    Raises:
        ModelError: there is none; the message says what to get.
    """
    for name in KNOWN[what]:
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        "No detector is at hand: get person-detection-retail-0013 from Open Model Zoo (people) or yolox_nano.onnx from "
        "YOLOX (vehicles too), and pass --detector FILE."
    )
