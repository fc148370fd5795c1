"""Checkpoints of LightMBN (jixunbo/LightMBN), also those that BoxMOT publishes (``lmbn_n_market.pth``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resight.models.card import Preprocessing
from resight.models.foreign.recognised import Asked, Recognised, split
from resight.models.networks.osnet import WIDTHS

SIGNS = (
    "reduction_ch_0.bn.weight",
    "backbone.0.conv.weight",
    "batch_drop_block.drop_batch_bottleneck.conv1.conv.weight",
)


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A checkpoint of LightMBN on OSNet, or None."""
    widths = {channels[0]: name for name, channels in WIDTHS.items()}
    if not is_lightmbn(tensors) or len(tensors["backbone.0.conv.weight"]) not in widths:
        return None
    kept, dropped = split(renamed(tensors), ("classifier",))
    arguments: dict[str, Any] = {
        "scale": widths[len(tensors["backbone.0.conv.weight"])],
        "instance_norm": "backbone.2.0.IN.weight" in kept,
        "dim": len(kept["reduction_ch_0.bn.weight"]),
    }
    asked = Asked(given)
    arguments["unit"] = asked.value(
        "unit", True, "LightMBN's test normalises each of the seven vectors, BoxMOT does not"
    )
    sides = {
        side: asked.value(side, length, "lmbn_config.yaml, and BoxMOT")
        for side, length in (("height", 384), ("width", 128))
    }
    imagenet = Preprocessing()
    pictures = asked.pictures(imagenet.mean, imagenet.std, "build_transforms: ImageNet's")
    asked.check_used("LightMBN")
    return Recognised("LightMBN", "lmbn_n", arguments, kept, sides | pictures, dropped, tuple(asked.unsaid))


def is_lightmbn(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a LightMBN on OSNet."""
    return all(key in tensors for key in SIGNS)


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the classifiers under their names of :class:`~resight.models.networks.lightmbn.LightMBN`."""

    def name(key: str) -> str:
        found = re.fullmatch(r"reduction_(ch_)?(\d)\.classifier\.(.+)", key)
        return f"classifier.{int(found[2]) + 5 * bool(found[1])}.{found[3]}" if found else key

    return {name(key): value for key, value in tensors.items()}
