"""Checkpoints of CLIP-ReID (Syliz517/CLIP-ReID): its image encoder; text encoder and prompts are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from resight.errors import ModelError
from resight.models.card import HALF, IMAGENET_MEAN, IMAGENET_STD
from resight.models.foreign.recognised import Asked, Recognised, Unsaid, add_neck, count, split
from resight.models.foreign.transreid import CAMERAS, size_of

UNNEEDED = ("classifier", "prompt_learner.", "text_encoder.")
MAP_SIZES = {128: (256, 128), 192: (384, 128), 256: (256, 256)}  # places of layer 4's map


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A CLIP-ReID checkpoint, or None."""
    if "image_encoder.class_embedding" in tensors:
        return _transformer(tensors, given)
    if "image_encoder.attnpool.positional_embedding" in tensors:
        return _resnet(tensors, given)
    return None


def _transformer(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised:
    asked = Asked(given)
    kept, dropped = split(tensors, UNNEEDED)
    dim, joint = map(int, kept["image_encoder.proj"].shape)
    height, width, stride = size_of(len(kept["image_encoder.positional_embedding"]), asked)
    arguments: dict[str, Any] = {"height": height, "width": width, "stride": stride, "dim": dim, "joint": joint}
    arguments["depth"] = count(kept, "image_encoder.transformer.resblocks.")
    arguments["heads"] = asked.value("heads", max(dim // 64, 1), "width / 64 in CLIP")
    arguments["neck"] = asked.value("neck", "before", "TEST.NECK_FEAT of the published configurations")
    if "cv_embed" in kept:
        arguments["cameras"] = rows = len(kept["cv_embed"])
        arguments["sie_coefficient"] = asked.value(
            "sie_coefficient", 1.0, "README's command; the code's default is 3.0"
        )
        known = CAMERAS.get(rows, f"{rows} rows")
        asked.unsaid.append(
            Unsaid("cameras", "left out", f"a camera table ({known}), as the code does without cameras")
        )
    return _done("clipreid_vit_b16", arguments, kept, dropped, asked, (height, width), (dim, joint), (HALF, HALF))


def _resnet(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised:
    asked = Asked(given)
    kept, dropped = split(tensors, UNNEEDED)
    joint, channels = map(int, kept["image_encoder.attnpool.c_proj.weight"].shape)
    places = len(kept["image_encoder.attnpool.positional_embedding"]) - 1
    known = MAP_SIZES.get(places)
    height, width = asked.get("height") or (known and known[0]), asked.get("width") or (known and known[1])
    if not height or not width:
        raise ModelError(f"A table of {places + 1} positions is of no published size: give height and width.")
    if (height // 16) * (width // 16) != places:
        raise ModelError(
            f"Images of {height}x{width} have a map of {height // 16}x{width // 16} places, but the file has positions "
            f"for {places}: correct height or width."
        )
    arguments: dict[str, Any] = {"height": int(height), "width": int(width), "joint": joint, "base": channels // 32}
    arguments["layers"] = [count(kept, f"image_encoder.layer{stage}.") for stage in (1, 2, 3, 4)]
    arguments["heads"] = asked.value("heads", max(channels // 64, 1), "channels / 64 in CLIP")
    arguments["neck"] = asked.value("neck", "before", "TEST.NECK_FEAT of the published configurations")
    colours = (IMAGENET_MEAN, IMAGENET_STD)
    return _done("clipreid_rn50", arguments, kept, dropped, asked, (height, width), (channels, joint), colours)


def _done(
    architecture: str,
    arguments: dict[str, Any],
    kept: dict[str, Tensor],
    dropped: tuple[str, ...],
    asked: Asked,
    size: tuple[int, int],
    lengths: tuple[int, int],
    colours: tuple[tuple[float, ...], tuple[float, ...]],
) -> Recognised:
    filled = [
        name
        for name, length in zip(("bottleneck", "bottleneck_proj"), lengths, strict=True)
        if add_neck(kept, name, length)
    ]
    pictures = asked.pictures(*colours, "published configurations")
    asked.check_used("CLIP-ReID")
    preprocessing = {"height": int(size[0]), "width": int(size[1]), **pictures}
    return Recognised(
        "CLIP-ReID", architecture, arguments, kept, preprocessing, dropped, tuple(asked.unsaid), tuple(filled)
    )
