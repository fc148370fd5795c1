"""Checkpoints of DINOv2 (facebookresearch/dinov2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from resight.errors import ModelError
from resight.models.foreign.recognised import Asked, Recognised, count, split


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A DINOv2 trunk, or None."""
    # pretraining keeps its blocks in chunks: blocks.0.3.norm1
    tensors = {re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", key): value for key, value in tensors.items()}
    if "blocks.0.ls1.gamma" not in tensors or "pos_embed" not in tensors:
        return None
    asked = Asked(given)
    kept, dropped = split(tensors, ("head", "dino_head", "ibot_head"))
    dim = int(kept["cls_token"].shape[-1])
    positions = isqrt(int(kept["pos_embed"].shape[1]) - 1)
    if positions**2 + 1 != kept["pos_embed"].shape[1]:
        raise ModelError(f"A table of {kept['pos_embed'].shape[1]} positions is of no square grid: not DINOv2's.")
    arguments: dict[str, Any] = {"dim": dim, "depth": count(kept, "blocks."), "positions": positions}
    if "register_tokens" in kept:
        arguments["registers"] = int(kept["register_tokens"].shape[1])
    if "blocks.0.mlp.w12.weight" in kept:
        arguments |= {"feed_forward": "swiglu", "hidden": int(kept["blocks.0.mlp.w3.weight"].shape[1])}
    else:
        arguments["hidden"] = len(kept["blocks.0.mlp.fc1.weight"])
    arguments["heads"] = asked.value("heads", max(dim // 64, 1), "width / 64 in every published model")
    arguments["feature"] = asked.value("feature", "class", "the class token; class_patches joins the mean patch")
    size = {
        "height": int(asked.value("height", 252, "not in the file; multiples of 14, near 256x128")),
        "width": int(asked.value("width", 126, "not in the file; multiples of 14, near 256x128")),
    }
    asked.check_used("DINOv2")
    filled = []
    if "mask_token" not in kept:
        kept["mask_token"] = kept["cls_token"].new_zeros(1, dim)
        filled.append("mask_token")
    name = {768: "base", 1024: "large", 1536: "giant"}.get(dim, "small")
    return Recognised("DINOv2", f"dinov2_{name}", arguments, kept, size, dropped, tuple(asked.unsaid), tuple(filled))
