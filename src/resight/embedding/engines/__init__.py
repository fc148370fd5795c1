"""Engines: ways to compute the same function, from prepared images to :class:`~resight.models.output.Output`.

``torch`` runs anywhere and on the GPU. ``onnx`` (ONNX Runtime) and ``openvino`` compute on the CPU, in float32 too,
from a copy of the model that is converted once and kept in the cache folder. ``auto`` begins with torch and goes on
with the fastest of them when there are many images: :mod:`resight.embedding.engines.auto`.

With ``half``, torch and OpenVINO compute convolutions and products in 16 bits.
"""

from __future__ import annotations

import torch
from torch import nn

from resight.embedding.engines.auto import Auto
from resight.embedding.engines.make import build
from resight.models.exported import Exported
from resight.models.model import Model


def network_for(model: Model, engine: str, *, batch_size: int, half: bool, device: torch.device) -> nn.Module:
    """A module with the model's forward in evaluation mode, computed by ``engine`` for batches of ``batch_size``.

    But for ``auto``, it is made from the model's weights as they are now. Only torch computes elsewhere than on the
    CPU; a module without parameters takes images in main memory, whatever the device.

    Raises:
        ModelError: an engine that is not installed, or that cannot compute this model, or not in 16 bits.
    """
    if engine != "auto":
        return build(model, engine, device, half=half).eval()
    on_cpu = device.type == "cpu" or isinstance(model.network, Exported)
    return Auto(model, batch_size, half).eval() if on_cpu else build(model, "torch", device, half=half).eval()
