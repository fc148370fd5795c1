"""The model that an adaptation begins with: a copy that can be trained."""

from __future__ import annotations

import copy

import torch

from resight.adaptation.pixels import in_random_order
from resight.adaptation.statistics import unfold
from resight.errors import ModelError
from resight.images.cache import Images
from resight.models.exported import Exported
from resight.models.model import Model

_FOR_STATISTICS = 1024  # images that folded batch norms get their statistics from


def refuse_untrainable(model: Model, named: str) -> None:
    """Refuse a model that is no network of torch.

    Raises:
        ModelError: an exported file.
    """
    if isinstance(model.network, Exported):
        raise ModelError(f"{named} is an exported file, which cannot be trained: pass the model it was made from.")


def begin(model: Model, images: Images, device: torch.device) -> Model:
    """A copy of the model on a device, its batch norms unfolded; the function is the same."""
    network = copy.deepcopy(model.network).to(device).eval()
    unfold(network, in_random_order(images, model.card, device, _FOR_STATISTICS))
    return Model(network, model.card)
