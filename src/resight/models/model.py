"""A network that is ready to embed, with all that is needed to use it rightly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

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
        weights.save(self.network.state_dict(), path)
        self.card.save(path)
