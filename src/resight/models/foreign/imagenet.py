"""torchvision's ImageNet weights: a start for training, not a re-ID model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn

from resight.errors import ModelError
from resight.models import weights
from resight.models.networks.resnet import ResNetMaps

IMAGENET = "imagenet"  # as a recipe or load() names them
PLACE = "https://download.pytorch.org/models/"
FILES = {
    18: "resnet18-f37072fd.pth",
    34: "resnet34-b627a593.pth",
    50: "resnet50-0676ba61.pth",
    101: "resnet101-63fe2227.pth",
}


def folder() -> Path:
    """Where torch keeps downloaded weights: ``$TORCH_HOME/hub/checkpoints``, by default in the user's cache folder."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def file(depth: int) -> Path:
    """torchvision's weight file for a ResNet (its first version, ``IMAGENET1K_V1``), downloaded if it is not there.

    Raises:
        ModelError: it is neither there nor to be had, or it is damaged; the message says what to do.
    """
    name = FILES[depth]
    path = folder() / name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(PLACE + name, str(path), hash_prefix=name[:-4].rpartition("-")[2])
        except (URLError, OSError, RuntimeError) as error:
            raise ModelError(
                f"the ImageNet weights {name} are not in {path.parent} and could not be downloaded ({error}): fetch "
                f"{PLACE + name} where there is a network and put it there, or train from random weights."
            ) from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(name[:-4].rpartition("-")[2]):
        raise ModelError(
            f"{path} is not torchvision's {name} (its SHA-256 is {digest[:8]}...): delete it and try again."
        )
    return path


def fill(network: nn.Module) -> weights.LoadReport:
    """Put ImageNet weights into a ResNet, or into the ResNet that carries another system (its ``backbone``).

    The classifier of the 1000 classes is dropped; what the ResNet has besides (non-local blocks, attention, a head)
    keeps its initial values. The report tells both.

    Raises:
        ModelError: no ResNet of a known depth, or no weights.
    """
    carrier = getattr(network, "backbone", network)
    if not isinstance(carrier, ResNetMaps):
        raise ModelError(f"there are no ImageNet weights for {type(carrier).__name__}: name a weight file instead.")
    path = file(carrier.depth)
    return weights.fit(carrier, weights.read(path), source=str(path), partial=True)
