"""From a run to a model to publish: half the bytes, a whole card, and a check that rankings stay the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from resight.datasets import Dataset
from resight.decisions.decide import Decision
from resight.embedding.export.parity import Parity, both_splits, compare
from resight.embedding.export.samples import Samples, samples
from resight.errors import ModelError, RecipeError
from resight.models import registry, weights
from resight.models.card import About, Licences, Measured, first_wrong
from resight.models.exported import Exported
from resight.models.model import Model, write
from resight.models.shipped import halved
from resight.yaml_text import read_yaml

LIMIT = 0.1


class Notes(BaseModel):
    """What a run cannot know about its model: a description, licences, and further measurements."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: About
    licences: Licences
    metrics: tuple[Measured, ...] = ()


@dataclass(frozen=True)
class Shipped:
    """The file, the model in it, and how it differs from the one it was made from."""

    path: Path
    model: Model
    parity: Parity

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "path": str(self.path),
            "bytes": self.path.stat().st_size,
            "fingerprint": self.model.card.fingerprint,
            "parity": asdict(self.parity) | {"loss": self.parity.loss},
        }


def ship(
    model: Model,
    output: str | Path,
    *,
    notes: Notes | None = None,
    decided_by: Model | None = None,
    data: Dataset | None = None,
    limit: float = LIMIT,
    progress: Callable[[int, int], None] | None = None,
) -> Shipped:
    """Write a model in half precision with its card, if it still gives the same rankings.

    Args:
        model: what a training run left, or any other network.
        output: the file, ``.safetensors``.
        notes: texts for the card; None keeps those that it has. ``notes.metrics`` replace those of
            the card if there are any.
        decided_by: a calibrated model of the same recipe, whose decision is used: one that has not seen all of
            the data, so that it could be calibrated on the rest. The model's own decision, if any, when None.
        data: queries and gallery to compare on; synthetic people when None.
        limit: points of mAP (0..100) that may be lost.
        progress: called with (images done, images in all).

    Raises:
        ModelError: no network of torch, too much is lost, or a decision about other embeddings.
        RecipeError: a file that is not to be safetensors.
    """
    path = Path(output)
    if path.suffix != ".safetensors":
        raise RecipeError(f"{path} must be a safetensors file: give it a name that ends in .safetensors.")
    if isinstance(model.network, Exported):
        raise ModelError(f"{model.network.file} is no network of torch: ship what it was exported from.")
    card = model.card
    network = registry.create(card.architecture, **card.arguments).eval()
    tensors = halved(model.network.state_dict())
    loading = weights.fit(network, tensors, source=card.architecture)
    found = weights.fingerprint(network, card)
    card = card.model_copy(update={"fingerprint": found} | _texts(notes) | _decided(model, decided_by, found))
    half = Model(network, card, loading)
    if data is None:
        with samples() as synthetic:
            parity = _compare(model, half, synthetic, progress)
    else:
        whole = Samples(data.gallery, data.query, data.gallery, data.protocol, labelled=True)
        parity = _compare(model, half, whole, progress)
    if parity.loss > limit:
        raise ModelError(
            f"{path} was not written, for half precision differs too much from the model ({parity}; limit {limit:g} "
            "points): publish the model in float32."
        )
    write(tensors, card, path)
    return Shipped(path, half, parity)


def read_notes(path: str | Path) -> Notes:
    """Notes from a YAML file with ``about``, ``licences`` and, if need be, ``metrics``.

    Raises:
        RecipeError: no such file, not YAML, or other keys.
    """
    try:
        return Notes.model_validate(read_yaml(path))
    except FileNotFoundError:
        raise RecipeError(f"{path} does not exist: pass the YAML file with the notes for the card.") from None
    except ValidationError as error:
        raise RecipeError(f"{path} is not the notes for a card: {first_wrong(error)}.") from None


def _texts(notes: Notes | None) -> dict[str, Any]:
    if notes is None:
        return {}
    texts: dict[str, Any] = {"about": notes.about, "licences": notes.licences}
    metrics = tuple(one.model_dump(exclude_unset=True) for one in notes.metrics)
    return texts | ({"metrics": metrics} if metrics else {})


def _decided(model: Model, by: Model | None, fingerprint: str) -> dict[str, Any]:
    """The decision for the card, now about the shipped weights."""
    if by is None and model.card.decision is None:
        return {}
    source = by or model
    decision = Decision.from_card(source.card)
    decision = decision.taken_over(fingerprint) if by else replace(decision, fingerprint=fingerprint)
    for name in ("architecture", "arguments", "preprocessing", "metric"):
        if getattr(source.card, name) != getattr(model.card, name):
            raise ModelError(
                f"The decision is about a model with another {name} ({getattr(source.card, name)}, not "
                f"{getattr(model.card, name)}): calibrate one of the same recipe."
            )
    return {"threshold": decision.threshold, "decision": decision.plain()}


def _compare(model: Model, half: Model, given: Samples, progress: Callable[[int, int], None] | None) -> Parity:
    original = both_splits(model, given, progress=progress)
    return compare(original, both_splits(half, given, progress=progress), given, model.card.metric)
