"""Which family of published checkpoints a file is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from resight.errors import ModelError
from resight.models.foreign import clipreid, dinov2, fastreid, lightmbn, registered, swin, transreid
from resight.models.foreign.recognised import Recognised

Recogniser = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Recognised | None]
FAMILIES: dict[str, tuple[Recogniser, tuple[str, ...]]] = {  # each with the keys that tell it
    "CLIP-ReID": (clipreid.recognise, ("image_encoder.class_embedding", "image_encoder.attnpool.q_proj.weight")),
    "DINOv2": (dinov2.recognise, ("blocks.0.ls1.gamma", "pos_embed", "cls_token")),
    "SOLIDER or Swin": (swin.recognise, ("base.stages.0.blocks.0.attn.w_msa.qkv.weight", "layers.0.blocks.0.attn.qkv")),
    "fast-reid": (fastreid.recognise, ("backbone.layer1.0.conv1.weight", "heads.bottleneck.0.weight")),
    "LightMBN": (lightmbn.recognise, lightmbn.SIGNS),
    "TransReID, PersonViT or PASS": (transreid.recognise, ("base.cls_token", "base.blocks.0.norm1.weight")),
}


def recognise(tensors: Mapping[str, Tensor], source: str, given: Mapping[str, Any]) -> Recognised:
    """A published checkpoint under the names of a registered network.

    Args:
        tensors: of the file, without wrappers.
        source: the file, for messages.
        given: values that override what is inferred or taken, such as ``heads`` or ``stride``.

    Raises:
        ModelError: of no known family (the nearest one and the first keys are named), or a value that does not fit.
    """
    for prefix in ("", "backbone.", "model.", "encoder."):  # of pretraining and Lightning
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        for family, (read, _) in FAMILIES.items():
            try:
                found = read(own, given)
            except KeyError as missing:
                raise ModelError(
                    f"{source} looks like a {family} checkpoint, but lacks {missing}: copy it again."
                ) from None
            if found is not None:
                return found
    if found := registered.recognise(tensors, given):
        return found
    keys = sorted(tensors)

    def likeness(family: str) -> int:
        return max(len(_common(key, sign)) for key in keys for sign in FAMILIES[family][1])

    nearest = max(FAMILIES, key=likeness)
    raise ModelError(
        f"{source} has no card, and fits no architecture as it usually is: name one with its arguments, as "
        f'in load("osnet_x0_25", weights="{source}"). It is of no known family (nearest: {nearest}); its first keys '
        f"are {', '.join(keys[:3])}."
    )


def _common(one: str, other: str) -> str:
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]
