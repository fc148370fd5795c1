"""A model as a folder: ``model.safetensors``, ``model.card.json`` and a ``README.md`` made from the card."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml
from pydantic import ValidationError

from resight.errors import ModelError
from resight.files import write_text
from resight.models.card import Card, Measured, first_wrong
from resight.models.exported import Exported
from resight.models.model import Model
from resight.models.weights import fingerprint

WEIGHTS, CARD, README = "model.safetensors", "model.card.json", "README.md"
KNOWN = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"}  # licences by the Hub's own names


def save(model: Model, folder: str | Path) -> Path:
    """Write a model as the Hub wants it: weights, card and ``README.md`` in a folder, which is returned.

    Raises:
        ModelError: a model that is no network of torch, whose weights have changed since its card was written, or whose
            card holds metrics that are none.
    """
    if isinstance(model.network, Exported):
        raise ModelError(f"{model.network.file} is no network of torch: save what it was exported from.")
    folder = Path(folder)
    found = fingerprint(model.network, model.card)
    if model.card.fingerprint not in ("", found):
        raise ModelError(
            f"The weights have changed since they were {model.card.fingerprint}, so what its card says does not hold: "
            "give the model a card of its own, with an empty fingerprint."
        )
    whole = replace(model, card=model.card.model_copy(update={"fingerprint": found}))
    text = readme(whole.card)
    whole.save(folder / WEIGHTS)
    write_text(folder / README, text)
    return folder


def readme(card: Card) -> str:
    """The card as the Hub shows it: YAML for its search, then text for people."""
    title = card.about.title or f"{card.architecture} for re-identification"
    licence = card.licences.weights.lower()
    head: dict[str, Any] = {
        "library_name": "resight",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["re-identification", "resight", card.architecture],
    }
    head |= {"license": licence} if licence in KNOWN else {"license": "other", "license_name": "see-the-card"}
    if card.metrics:
        results = [_result(measured) for measured in card.metrics]
        head["model-index"] = [{"name": title, "results": results}]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["percent"] = lambda value: "" if value is None else f"{value:.2%}"
    text = resources.files("resight.models").joinpath("hub_card.md.j2").read_text(encoding="utf-8")
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{environment.from_string(text).render(card=card, title=title)}"


def _result(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        measured = Measured.model_validate(entry)
    except ValidationError as error:
        raise ModelError(f"The card's metrics cannot be shown, correct them: {first_wrong(error)}.") from None
    numbers = {"mAP": measured.mAP, "R1": measured.cmc.get("1"), "mINP": measured.mINP}
    return {
        "task": {"type": "image-retrieval", "name": "re-identification"},
        "dataset": {"name": measured.data, "type": re.sub(r"\W+", "-", measured.data)},
        "metrics": [
            {"type": name, "value": round(100 * value, 2), "name": f"{name}, %"}
            for name, value in numbers.items()
            if value is not None
        ],
    }
