"""fast-reid's ResNets (He et al., arXiv 2006.02631), and its checkpoints (the keys ``backbone.*`` and ``heads.*``).

They differ from torchvision's, and so from ``bot_resnet50``, in the first max pooling: it has no padding and rounds up.
Read are ResNet-18, -34, -50 and -101 and ResNeSt-50 and -101 (BoT-SORT's ``mot17_sbs_S50``) with batch norm, also with
IBN-a and with non-local blocks, pooled by average or by generalised mean, with BNNeck and no reduction before it: its
BoT, AGW and SBS configurations. Other networks of fast-reid are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.card import Preprocessing
from resight.models.foreign.recognised import Asked, Recognised, Unsaid, split
from resight.models.networks import resnest
from resight.models.networks.resnet import BAG_OF_TRICKS, LAYERS, ResNet
from resight.models.registry import register


@register
def fastreid_resnet(num_identities: int = 0, depth: int = 50, **arguments: Any) -> ResNet:
    """fast-reid's ResNet of any depth, for its checkpoints: Bag of Tricks, the first pooling without padding."""
    network = ResNet(depth, num_identities, **BAG_OF_TRICKS | arguments)
    network.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return network


def is_its_network(network: nn.Module) -> bool:
    """Whether a network is a ResNeSt or one that :func:`fastreid_resnet` built."""
    return isinstance(network, resnest.ResNeSt) or (isinstance(network, ResNet) and bool(network.maxpool.ceil_mode))


def is_fastreid(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of a fast-reid checkpoint."""
    return any(key.startswith("backbone.") for key in tensors) and any(key.startswith("heads.") for key in tensors)


def recognise(tensors: Mapping[str, Tensor], given: Mapping[str, Any]) -> Recognised | None:
    """A fast-reid checkpoint, or None."""
    if not is_fastreid(tensors) or "backbone.cls_token" in tensors:
        return None
    found = arguments_of(tensors, "The file")
    asked = Asked(given)
    split_attention = is_resnest(tensors)
    size = (384, 128) if split_attention else (256, 128)
    height, width = (
        asked.value(name, side, "SIZE_TEST; SBS configurations have 384x128, AGW and BoT 256x128")
        for name, side in zip(("height", "width"), size, strict=True)
    )
    found["last_stride"] = asked.value("last_stride", 1, "LAST_STRIDE of all its re-ID configurations")
    if split_attention:
        dilated = "non_local" not in found and "ibn" not in found  # parts that its last version does not have
        source = "last stage: dilation 2 with stride 1 in fast-reid's last version and BoT-SORT, 1 in earlier ones"
        found["dilated"] = asked.value("dilated", dilated, source)
    if "pool" not in found:
        found["pool"] = asked.value("pool", "average", "GlobalAvgPool; a fixed generalised mean has no key either")
    asked.unsaid.append(Unsaid("neck", "after", "its test compares vectors after the BNNeck"))
    imagenet = Preprocessing()
    known = colours(tensors) or {
        name: asked.value(name, getattr(imagenet, name), "its default, ImageNet's") for name in ("mean", "std")
    }
    known["interpolation"] = asked.value("interpolation", "bicubic", "Resize(interpolation=3) of Pillow images")
    asked.check_used("fast-reid")
    kept, dropped = split(renamed(tensors), ("classifier",))
    return Recognised(
        "fast-reid",
        "fastreid_resnest" if split_attention else "fastreid_resnet",
        found,
        kept,
        {"height": height, "width": width} | known,
        dropped,
        tuple(asked.unsaid),
    )


def is_resnest(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the backbone of a fast-reid checkpoint is a ResNeSt."""
    return any(key.endswith(".conv2.conv.weight") for key in tensors)


def arguments_of(tensors: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """How the network has to be built for a fast-reid checkpoint: what its keys tell.

    They do not tell a fixed pooling (average and ``pool="gem"`` with p = 3 look alike: average is taken) nor the last
    stride (1 is taken, as in all of its re-ID configurations).

    Raises:
        ModelError: not fast-reid's, or another network than its ResNets and ResNeSts; the message says which part.
    """
    if not is_fastreid(tensors):
        raise ModelError(f"{source} is not a checkpoint of fast-reid: choose the architecture it was made for.")
    layers = tuple(_count(tensors, f"backbone.layer{stage}.") for stage in range(1, 5))
    split_attention = is_resnest(tensors)
    bottlenecks = any(".conv3.weight" in key for key in tensors)
    known = resnest.LAYERS if split_attention else LAYERS
    depths = [depth for depth, blocks in known.items() if blocks == layers and (depth >= 50) == bottlenecks]
    if not depths:
        raise _refused(source, "its backbone is not a ResNet-18, -34, -50 or -101 or a ResNeSt-50 or -101")
    odd = [key for key in tensors if ".se." in key or key.startswith(("heads.bottleneck.1.", "heads.bnneck."))]
    odd += [key for key in tensors if key.startswith("heads.bottleneck.0.weight") and tensors[key].dim() == 4]
    if odd:
        raise _refused(source, f"it has {odd[0]}, a part that is not read")
    if "heads.bottleneck.0.running_mean" not in tensors:
        raise _refused(source, "it has no BNNeck (heads.bottleneck.0)")
    first = tensors.get("backbone.conv1.0.weight" if split_attention else "backbone.conv1.weight")
    side = 3 if split_attention else 7
    if first is None or first.shape[2:] != (side, side):
        raise _refused(source, f"its first convolution is not one of {side}x{side}")
    arguments: dict[str, Any] = {"depth": depths[0]}
    if any(".bn1.IN." in key for key in tensors):
        arguments["ibn"] = True
    if any(key.startswith("backbone.NL_") for key in tensors):
        counts = [_count(tensors, f"backbone.NL_{stage}.") for stage in range(1, 5)]
        arguments["non_local"] = counts
    if "heads.pool_layer.p" in tensors:
        arguments["pool"] = "gem"
    return arguments


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A fast-reid checkpoint under the names of :class:`~resight.models.networks.resnet.ResNet`."""
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if key.startswith("pixel_"):
            continue
        block = re.fullmatch(r"backbone\.NL_(\d)\.(\d+)\.(.+)", key)
        if block:
            stage, at, rest = int(block[1]), int(block[2]), block[3]
            rest = re.sub(r"^W\.1\.", "bn.", re.sub(r"^W\.0\.", "W.", rest))
            before = _count(tensors, f"backbone.layer{stage}.") - _count(tensors, f"backbone.NL_{stage}.")
            name = f"layer{stage}.{before + at}.after.{rest}"
        elif key.startswith("heads.bottleneck.0."):
            name = key.replace("heads.bottleneck.0.", "bottleneck.")
        else:
            name = key.removeprefix("backbone.").replace("heads.pool_layer.p", "pool.p")
            name = name.replace("heads.weight", "classifier.weight").replace("heads.classifier.", "classifier.")
        out[name] = value
    return out


def _count(tensors: Mapping[str, Tensor], beginning: str) -> int:
    return len({key.split(".")[2] for key in tensors if key.startswith(beginning)})


def colours(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Mean and deviation where the checkpoint has them (0..255 there), in the words of a card."""
    if not {"pixel_mean", "pixel_std"} <= tensors.keys():
        return {}
    mean, std = (
        tuple(round(float(v) / 255, 6) for v in tensors[f"pixel_{name}"].flatten()) for name in ("mean", "std")
    )
    return {"mean": mean, "std": std}


def _refused(source: str, why: str) -> ModelError:
    return ModelError(
        f"{source} is a fast-reid checkpoint that is not read, for {why}: read are its ResNets with BNNeck; export "
        "others to ONNX with fast-reid's own tools."
    )
