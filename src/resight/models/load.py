"""From a name or a file to a model that is ready to embed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from resight.errors import ModelError
from resight.models import registry, weights
from resight.models.card import Card, Preprocessing, read_card


@dataclass(frozen=True)
class Model:
    """A network in evaluation mode, its card, and what loading its weights did."""

    network: nn.Module
    card: Card
    loading: weights.LoadReport = field(default_factory=weights.LoadReport)

    def save(self, path: str | Path) -> None:
        """Write weights (``path``, safetensors) and card (beside it)."""
        weights.save(self.network.state_dict(), path)
        self.card.save(path)


def load(
    name: str | Path,
    weights: str | Path | None = None,
    *,
    height: int = 256,
    width: int = 128,
    partial: bool = False,
    **arguments: Any,
) -> Model:
    """A model by registered name, or by the path of a checkpoint that has its card beside it.

    Args:
        name: a registered architecture (``"osnet_x0_25"``) or a weight file with a card.
        weights: a weight file for a registered architecture (safetensors, or torch with torchreid's key names).
            Without it the weights are random.
        partial: load whatever matches instead of refusing a file that does not match wholly.
        height, width: input size of a model that has no card.
        arguments: for an architecture that has no card.

    Raises:
        ModelError: unknown name, unreadable or unfitting weights, or a checkpoint without a card.
    """
    known = str(name) in registry.list_models()
    file = Path(weights) if weights is not None else None if known else Path(name)
    card = read_card(file) if file is not None and file.name else None
    if card is None:
        if not known:
            if weights is None and Path(name).is_file():
                raise ModelError(
                    f"{name} has no card beside it: say which architecture it is, "
                    f'as in load("osnet_x0_25", weights="{name}").'
                )
            if weights is None and Path(name).suffix in (".safetensors", ".pth", ".pt"):
                raise ModelError(f"{name} does not exist: check the path of the checkpoint.")
            registry.builder(str(name))  # raises, with the nearest name
        card = Card(
            architecture=str(name), arguments=arguments, preprocessing=Preprocessing(height=height, width=width)
        )
    elif weights is not None and card.architecture != str(name):
        raise ModelError(f"{file} holds {card.architecture}, not {name}: load it under its own name.")
    elif arguments:
        given = ", ".join(arguments)
        raise ModelError(f"{file} has a card that says how the model is built: leave out {given}.")
    return from_card(card, file, partial=partial)


def load_any(
    source: str | Path, weights: str | Path | None = None, *, height: int = 256, width: int = 128, partial: bool = False
) -> Model:
    """As :func:`load`, but ``source`` may also be the folder of a training run, whose model it is then.

    Height and width count only for a model that has no card.
    """
    if Path(source).is_dir():
        source = Path(source) / "model.safetensors"
        if not source.exists():
            raise ModelError(f"{source} does not exist: the run is not finished; go on with resight train --resume.")
    return load(source, weights, partial=partial, height=height, width=width)


def from_card(card: Card, file: Path | None, *, partial: bool = False) -> Model:
    """Build the network that a card describes and fill it from ``file`` (random weights if None)."""
    tensors = weights.read(file) if file is not None else {}
    network = registry.create(card.architecture, **card.arguments).eval()
    report = weights.fit(network, tensors, source=str(file), partial=partial) if tensors else weights.LoadReport()
    found = weights.fingerprint(network, card.preprocessing.model_dump_json())
    if card.fingerprint and card.fingerprint != found:
        raise ModelError(
            f"{file} does not belong to the card beside it (fingerprint {found}, card {card.fingerprint}): "
            "put the right pair together."
        )
    return Model(network, card.model_copy(update={"fingerprint": found}), report)
