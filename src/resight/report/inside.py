"""Inside a model: what SAVER's autoencoder leaves over, and which scales OSNet's gates let through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resight.images.cache import Images
from resight.images.transforms import prepare
from resight.models.card import Preprocessing
from resight.models.model import Model
from resight.models.networks.osnet import ChannelGate
from resight.models.networks.saver import SAVER
from resight.records import Split
from resight.report import plots
from resight.report.pictures import data_uri, shrink


@dataclass(frozen=True)
class Strip:
    """Pictures of one image on its way through the model, as (caption, data URI)."""

    path: str
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Inside:
    """What a model has inside that can be looked at.

    Attributes:
        strips: input, reconstruction, residual and combination of some images, for a model that reconstructs.
        alpha: SAVER's weight of the image; None for others.
        gates: mean gate per block and scale, for an OSNet.
    """

    strips: tuple[Strip, ...] = ()
    alpha: float | None = None
    gates: plots.Chart | None = None


def look_inside(model: Model, split: Split, *, images: int = 6, pictures: bool = True) -> Inside | None:
    """Pass the first of ``split``'s images through the model and keep what it does with them.

    Returns:
        None for a model that has nothing of the kind.
    """
    network, shown = model.network, split.take(np.arange(min(images, len(split))))
    gates, unhook = _watch_gates(network)
    try:
        drawn = steps(model, shown)
    finally:
        unhook()
    strips: tuple[Strip, ...] = ()
    if drawn and pictures:
        strips = tuple(
            Strip(str(path), tuple((name, data_uri(shrink(step[at]))) for name, step in drawn.items()))
            for at, path in enumerate(shown.paths)
        )
    alpha = float(network.alpha.detach()) if isinstance(network, SAVER) else None
    chart = _scales(gates)
    return Inside(strips, alpha, chart) if strips or chart or alpha is not None else None


def steps(model: Model, split: Split) -> dict[str, NDArray[np.uint8]]:
    """Each step of the images on their way through a model that reconstructs, as (N, H, W, 3) uint8 RGB.

    ``input``, ``reconstruction``, ``residual``, and ``combination`` where there is one; the mean colour stands for
    zero. Empty for a model that does not reconstruct.
    """
    to, network = model.card.preprocessing, model.network
    pixels = Images(split, to).read(np.arange(len(split)))
    with torch.no_grad():
        x = prepare(torch.from_numpy(pixels).to(next(network.parameters()).device), to)
        copy = network.eval()(x).reconstruction
        if copy is None:
            return {}
        found = {"input": x, "reconstruction": copy, "residual": x - copy}
        if isinstance(network, SAVER):
            found["combination"] = network.combine(x, copy)
    return {name: _pixels(step, to) for name, step in found.items()}


def _pixels(x: Tensor, to: Preprocessing) -> NDArray[np.uint8]:
    """The network's input (B, 3, H, W) as (B, H, W, 3) uint8 RGB; zero becomes the mean colour."""
    mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (to.mean, to.std))
    rgb = (x.float() * std + mean) * to.scale
    rgb = rgb.flip(1) if to.colour == "BGR" else rgb
    found: NDArray[np.uint8] = rgb.clamp(0, 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return found


def _watch_gates(network: nn.Module) -> tuple[dict[str, list[float]], Callable[[], None]]:
    """Mean gate of each block, in the order of its streams, filled by the next forward pass; and how to stop."""
    seen: dict[str, list[float]] = {}

    def watch(block: str) -> Any:
        def hook(gate: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
            assert isinstance(gate, ChannelGate)
            seen.setdefault(block, []).append(float(gate.weights(inputs[0]).mean()))

        return hook

    handles = [
        module.register_forward_hook(watch(name.partition(".gate")[0]))
        for name, module in network.named_modules()
        if isinstance(module, ChannelGate)
    ]

    def stop() -> None:
        for handle in handles:
            handle.remove()

    return seen, stop


def _scales(gates: dict[str, list[float]]) -> plots.Chart | None:
    """One curve per scale over the blocks of the network."""
    if not gates:
        return None
    blocks = list(range(1, len(gates) + 1))
    series = [
        plots.Line(f"{2 * at + 3}x{2 * at + 3}", blocks, [values[at] for values in gates.values()])
        for at in range(max(map(len, gates.values())))
    ]
    return plots.lines(
        series,
        x_label="block, from the first to the last",
        y_label="mean gate",
        alt=f"Mean gate of each scale in each of {len(blocks)} blocks of the network.",
        x_ticks=blocks,
    )
