"""Checkpoints under the names of a registered network, as torchreid and torchvision write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resight.errors import ModelError
from resight.models import registry, weights
from resight.models.foreign.recognised import Asked, Recognised
from resight.models.shapes import without_memory


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A checkpoint that fills a registered network with its usual arguments, or None.

    Raises:
        ModelError: it fills several, and ``given`` has no ``architecture``; or it does not fill the one given.
    """
    fitting = architectures(tensors)
    if not fitting:
        return None
    asked, first = Asked(given), next(iter(fitting))
    chosen = asked.value("architecture", first, "its keys and shapes")
    if chosen not in fitting or (len(fitting) > 1 and "architecture" not in given):
        all_of_them = " and ".join(fitting)
        raise ModelError(f"The checkpoint fits {all_of_them} alike: choose one, as in --set architecture={first}.")
    usual = registry.preprocessing(chosen).model_dump()
    names = ("height", "width", "mean", "std", "interpolation")
    pictures = {name: asked.value(name, usual[name], f"usual for {chosen}") for name in names}
    asked.check_used(chosen)
    arguments = registry.size_arguments(chosen, pictures["height"], pictures["width"])
    found, dropped = fitting[chosen]
    kept = {key: value for key, value in found.items() if key not in dropped}
    return Recognised(
        "torchreid or torchvision", chosen, arguments, kept, pictures, dropped, tuple(asked.unsaid), metric="euclidean"
    )


def architectures(tensors: Mapping[str, Tensor]) -> dict[str, tuple[dict[str, Tensor], tuple[str, ...]]]:
    """The registered networks, with their usual arguments, that the tensors fill by name and shape.

    Returns:
        For each the tensors under its names, and which of them it does not have.
    """
    fitting = {}
    for name in registry.list_models():
        with without_memory():
            own = registry.create(name).state_dict()
        found = weights.revealed(tensors, own)
        report = weights.compared(found, own)
        if report.used and not weights.differing(report, own):
            fitting[name] = found, report.dropped
    return fitting
