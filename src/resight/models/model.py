"""A network that is ready to embed, with all that is needed to use it rightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from resight.errors import ModelError
from resight.models import weights
from resight.models.card import Card
from resight.models.exported import Exported


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, its card, and what loading its weights did."""

    network: nn.Module
    card: Card
    loading: weights.LoadReport = field(default_factory=weights.LoadReport)

    def save(self, path: str | Path) -> None:
        """Write weights (``path``, safetensors) and card (beside it)."""
        if isinstance(self.network, Exported):
            raise ModelError(f"{self.network.file} is no network of torch: copy the file and its card instead.")
        write(self.network.state_dict(), self.card, path)


def write(tensors: Mapping[str, Tensor], card: Card, path: str | Path) -> None:
    """Write a card and then its weights: a program killed between the two leaves no weights without their card.

    Weights by themselves would be taken for a checkpoint that others published, prepared as those are.
    """
    card.save(path)
    weights.save(tensors, path)
