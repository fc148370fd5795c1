"""Checkpoints of TransReID, TransReID-SSL, PersonViT and PASS, also bare trunks with timm's key names.

Sources of the values that files do not hold: the published configurations of damo-cv/TransReID (VIT, SIE and JPM
configs), damo-cv/TransReID-SSL, hustvl/PersonViT and CASIA-IVA-Lab/PASS-reID.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resight.errors import ModelError
from resight.models.card import HALF
from resight.models.foreign.recognised import Asked, Recognised, Unsaid, add_neck, count, split
from resight.models.layers.patches import grid

UNNEEDED = ("classifier", "base.fc.", "base.head.", "base.head_dist.", "base.mask_token", "arcface.")
SIZES = {  # length of the table of positions, class position included: height, width, stride
    129: (256, 128, 16),
    211: (256, 128, 12),
    193: (384, 128, 16),
    311: (384, 128, 12),
    257: (256, 256, 16),
    442: (256, 256, 12),
    197: (224, 224, 16),
}
CAMERAS = {6: "Market-1501's six cameras", 15: "MSMT17's 15 cameras", 160: "VeRi-776's 20 cameras with 8 views"}


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A TransReID-like checkpoint, or None."""
    if "cls_token" in tensors and "blocks.0.norm1.weight" in tensors and "blocks.0.ls1.gamma" not in tensors:
        tensors = {f"base.{key}": value for key, value in tensors.items()}  # a bare trunk
    if "base.cls_token" not in tensors or "base.blocks.0.norm1.weight" not in tensors:
        return None
    asked = Asked(given)
    kept, dropped = split(tensors, UNNEEDED)
    passes = "base.part_token1" in kept
    dim, depth = int(kept["base.cls_token"].shape[-1]), count(kept, "base.blocks.")
    hidden = int(kept["base.blocks.0.mlp.fc1.weight"].shape[0])
    arguments: dict[str, Any] = {"dim": dim, "depth": depth}
    positions = int(kept["base.pos_embed"].shape[1]) + passes
    height, width, stride = size_of(positions, asked)
    arguments |= {"height": height, "width": width, "stride": stride}
    own = not passes and depth == 8 and hidden == 3 * dim and "base.blocks.0.attn.qkv.bias" not in kept
    if own:  # TransReID's vit_small, of an old timm
        arguments |= {"qkv_bias": False, "scale": dim**-0.5}
    arguments["heads"] = asked.value("heads", 8 if own else max(dim // 64, 1), "width / 64 in every published model")
    arguments["neck"] = asked.value("neck", "before", "TEST.NECK_FEAT of the published configurations")
    if passes:
        arguments["joining"] = "mean"
        if "bottleneck.weight" in kept and len(kept["bottleneck.weight"]) == 2 * dim:
            arguments["joining"] = "cat"
    else:
        arguments |= {"hidden": hidden} | _extras(kept, asked, square=height == width)
    filled = add_neck(
        kept, "bottleneck", 2 * dim if arguments.get("joining") == "cat" else arguments.get("reduce", dim)
    )
    pictures = asked.pictures(HALF, HALF, "published")
    family = "PASS" if passes else "TransReID"
    asked.check_used(family)
    base = {384: "small", 192: "tiny"}.get(dim, "base")
    architecture = f"pass_{'small' if dim == 384 else 'base'}" if passes else f"transreid_{base}"
    extra = tuple(key for key in kept if passes and key.startswith("bottleneck_"))
    for key in extra:  # PASS with several necks trains the part tokens with them; they are not compared
        del kept[key]
    return Recognised(
        family,
        architecture,
        arguments,
        kept,
        {"height": height, "width": width} | pictures,
        (*dropped, *extra),
        tuple(asked.unsaid),
        (filled,) if filled else (),
    )


def _extras(kept: dict[str, Tensor], asked: Asked, *, square: bool) -> dict[str, Any]:
    """Stem, camera table, jigsaw patches, pooling and reduction of TransReID and its successors."""
    arguments: dict[str, Any] = {}
    if "base.patch_embed.conv.0.weight" in kept:
        arguments["stem"] = "ics"
    if "base.sie_embed" in kept:
        rows = len(kept["base.sie_embed"])
        cameras, views = asked.get("cameras"), asked.get("views")
        if (cameras or views) and (cameras or 1) * (views or 1) != rows:
            raise ModelError(
                f"The camera table has {rows} rows, not cameras {cameras or 1} x views {views or 1}: correct them."
            )
        arguments["cameras"] = rows
        arguments["sie_coefficient"] = asked.value("sie_coefficient", 3.0, "SIE_COE of all published configurations")
        known = CAMERAS.get(rows, f"{rows} rows")
        asked.unsaid.append(
            Unsaid("cameras", "averaged", f"a camera table ({known}): published figures used the camera of each image")
        )
    if "b1.0.norm1.weight" in kept:
        arguments["jpm"] = True
        default = 8 if square else 5
        arguments["shift"] = asked.value("shift", default, "SHIFT_NUM: 8 for vehicles (square images), 5 for people")
    else:
        arguments["pool"] = asked.value("pool", "class", "the class token, as in every released model")
        if "fcneck.weight" in kept:
            arguments["reduce"] = len(kept["fcneck.weight"])
    return arguments


def size_of(positions: int, asked: Asked) -> tuple[int, int, int]:
    """(height, width, stride) for a table of positions, from the published sizes or from what is given.

    Raises:
        ModelError: an unknown length, or given values that do not fit it.
    """
    height, width, stride = asked.get("height"), asked.get("width"), asked.get("stride")
    if height is None and width is None and stride is None:
        if positions not in SIZES:
            raise ModelError(
                f"A table of {positions} positions is of no published size: give height, width and stride."
            )
        return SIZES[positions]
    known = SIZES.get(positions, (256, 128, 16))
    found = (int(height or known[0]), int(width or known[1]), int(stride or known[2]))
    rows, columns = grid(found[0], found[1], 16, found[2])
    if rows * columns + 1 != positions:
        raise ModelError(
            f"Images of {found[0]}x{found[1]} with stride {found[2]} have {rows} x {columns} patches, but the file has "
            f"positions for {positions - 1}: correct height, width or stride."
        )
    return found
