"""Checkpoints of Swin transformers: SOLIDER-REID's, and Microsoft's or timm's (MegaDescriptor)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from resight.models.card import HALF
from resight.models.foreign.recognised import Asked, Recognised, add_neck, count, split

INDEX = "relative_position_index"  # follows from the size of the window
UNNEEDED = ("classifier", "base.fc.", "base.head.", "base.softplus", "head.", "base.layers.", "queue")
TABLE = "attn.w_msa.relative_position_bias_table"


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A Swin transformer, or None."""
    microsoft = "layers.0.blocks.0.attn.relative_position_bias_table" in tensors
    if microsoft:
        tensors = _renamed(tensors)
    elif "stages.0.blocks.0." + TABLE in tensors:  # a bare trunk
        tensors = {f"base.{key}": value for key, value in tensors.items()}
    if "base.stages.0.blocks.0." + TABLE not in tensors:
        return None
    asked = Asked(given)
    kept, dropped = split({key: value for key, value in tensors.items() if not key.endswith(INDEX)}, UNNEEDED)
    dim = len(kept["base.patch_embed.projection.weight"])
    heads = [int(kept[f"base.stages.{stage}.blocks.0.{TABLE}"].shape[1]) for stage in range(4)]
    depths = [count(kept, f"base.stages.{stage}.blocks.") for stage in range(4)]
    window = (isqrt(len(kept["base.stages.0.blocks.0." + TABLE])) + 1) // 2
    arguments: dict[str, Any] = {"dim": dim, "depths": depths, "heads": heads, "window": window}
    if "base.semantic_embed_w.0.weight" in kept:
        arguments["semantic_weight"] = asked.value("semantic_weight", 0.2, "run.sh and runtest.sh of SOLIDER-REID")
    else:
        arguments["semantic_weight"] = None
    if microsoft:
        arguments |= {"merge": "quarter", "shift_small": False}
    if "fcneck.weight" in kept:
        arguments["reduce"] = len(kept["fcneck.weight"])
    arguments["neck"] = asked.value("neck", "before", "TEST.NECK_FEAT of the published configurations")
    side = 384 if window == 12 else 224
    height = asked.value("height", side if microsoft else 384, "not in the file; published size")
    width = asked.value("width", side if microsoft else 128, "not in the file; published size")
    preprocessing: dict[str, Any] = {"height": int(height), "width": int(width)}
    preprocessing |= asked.pictures(HALF, HALF, "published")
    family = "Swin" if microsoft else "SOLIDER"
    asked.check_used(family)
    filled = [name for name in (add_neck(kept, "bottleneck", arguments.get("reduce", 8 * dim)),) if name]
    filled += _unused_norms(kept, dim)
    name = "base" if dim >= 128 else "small" if depths[2] > 6 else "tiny"
    return Recognised(
        family, f"solider_{name}", arguments, kept, preprocessing, dropped, tuple(asked.unsaid), tuple(filled)
    )


def _unused_norms(kept: dict[str, Tensor], dim: int) -> list[str]:
    """Norms of the first three stages, which some files leave out and no embedding needs."""
    added = []
    like = kept["base.norm3.weight"]
    for stage in range(3):
        if f"base.norm{stage}.weight" not in kept:
            kept[f"base.norm{stage}.weight"] = like.new_ones(dim * 2**stage)
            kept[f"base.norm{stage}.bias"] = like.new_zeros(dim * 2**stage)
            added.append(f"base.norm{stage}")
    return added


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Microsoft's and timm's keys as SOLIDER's. New timm has the merging at the start of the next stage."""
    early = "layers.0.downsample.reduction.weight" in tensors
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if key.endswith(("attn_mask", INDEX)):
            continue
        name = re.sub(r"^patch_embed\.proj\.", "patch_embed.projection.", key)
        name = re.sub(r"^norm\.", "norm3.", name)
        merging = re.match(r"layers\.(\d)\.downsample\.(.+)", name)
        if merging:
            stage = int(merging[1]) - (0 if early else 1)
            name = f"stages.{stage}.downsample.{merging[2]}"
        name = re.sub(r"^layers\.", "stages.", name)
        name = re.sub(r"\.attn\.(qkv|proj|relative_position_bias_table)", r".attn.w_msa.\1", name)
        name = name.replace(".mlp.fc1.", ".ffn.layers.0.0.").replace(".mlp.fc2.", ".ffn.layers.1.")
        out[key if name.startswith("head.") else f"base.{name}"] = value
    return out
