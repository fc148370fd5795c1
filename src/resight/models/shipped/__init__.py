"""Trained models that come with the package, in half precision, each with its card: ``resight.load("person")``.

They are made by ``resight models ship``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from resight.errors import ModelError
from resight.models.weights import CLASSIFIER

FOLDER = Path(__file__).parent
DEFAULT = "person"


def names() -> list[str]:
    """The names of the models that are here, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors"))


def file_of(name: str) -> Path:
    """The weights of one of :func:`names`, whose card stands beside them."""
    return FOLDER / f"{name}.safetensors"


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a network needs to embed, with matrices and kernels rounded to 16 bits.

    The classifier and the counters of batches are left out. Vectors, batch statistics among them, keep their 32 bits:
    they are few, and variances may lie outside what 16 bits can hold.

    Raises:
        ModelError: a weight that is too large for 16 bits.
    """
    found = {}
    for key, value in tensors.items():
        if key.startswith(CLASSIFIER) or key.endswith("num_batches_tracked"):
            continue
        found[key] = value.detach().half() if value.is_floating_point() and value.ndim > 1 else value.detach()
        if not torch.isfinite(found[key]).all():
            raise ModelError(f"{key} has weights beyond 65,504, which half precision cannot hold: ship it in float32.")
    return found
