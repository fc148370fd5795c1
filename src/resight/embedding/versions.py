"""Which versions of the packages that decide numbers are installed."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "resight",
    "torch",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "simplejpeg",
    "onnxruntime",
    "openvino",
    "accelerate",
    "safetensors",
)


def versions() -> dict[str, str]:
    """Those of Python and of every such package that is there."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
