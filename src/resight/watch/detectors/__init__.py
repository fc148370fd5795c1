"""Detectors by their files; each kind is one file here, found by itself, with a function ``opened``."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from resight.errors import ModelError
from resight.models.zoo import catalog as zoo
from resight.models.zoo.fetch import fetch
from resight.watch.detectors.detector import Detections, Detector
from resight.watch.detectors.network import Network
from resight.watch.detectors.tables import Tables

__all__ = ["NEEDED", "Detections", "Detector", "Tables", "open_detector"]

_MODULES = (import_module(f"{__name__}.{file.name}") for file in iter_modules(__path__))
KINDS: tuple[Callable[[Network], Detector | None], ...] = tuple(
    module.opened for module in _MODULES if hasattr(module, "opened")
)
"""One function for each kind: the detector, if a network is of that kind."""
FILES = "an OpenVINO person detector with an SSD head (.xml), a YOLOX (.onnx), or a CSV file of boxes"
NEEDED = (
    f"No detector is given: pass --detector FILE with {FILES}, or the name of a public one: "
    "--detector zoo:person-detection-retail-0013 (downloaded once; needs pip install 'resight[openvino]')."
)


def open_detector(file: str | os.PathLike[str], what: str = "person") -> Detector:
    """The detector in a file.

    Args:
        file: OpenVINO's XML with an SSD head, ONNX of YOLOX, ``zoo:NAME`` of a public detector, or boxes as for
            :class:`~.tables.Tables`.
        what: what is in boxes that do not say so themselves.

    Raises:
        ModelError: a missing, damaged or unknown file, or a runtime that is not installed.
    """
    path = fetch(str(file)) if str(file).startswith(zoo.PREFIX) else Path(file)
    if not path.exists():
        raise ModelError(f"{path} does not exist: pass {FILES}.")
    ending = path.suffix.lower()
    if path.is_dir() or ending == ".csv":
        return Tables(path, what)
    if ending not in (".onnx", ".xml"):
        cure = {
            ".txt": "write its boxes as CSV with the header frame,x,y,width,height, frames counted from 0",
            ".bin": f"pass {path.with_suffix('.xml').name} beside it",
        }.get(ending, f"pass {FILES}")
        raise ModelError(f"{path} cannot be read as a detector: {cure}.")
    network = Network(path)
    for opened in KINDS:
        detector = opened(network)
        if detector is not None:
            return detector
    raise ModelError(f"{path} is not a known kind of detector, its output is {network.output}: pass {FILES}.")
