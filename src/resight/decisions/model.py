"""A model that knows what its distances mean: calibrated on a data set, with the decision in its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.datasets import Dataset
from resight.decisions.answered import Answers, calibrate_answers
from resight.decisions.calibrate import calibrate as learn
from resight.decisions.calibrate import check_promises
from resight.decisions.decide import Decision
from resight.decisions.domains import calibrate_domains
from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.models.model import Model
from resight.records import Embeddings


def calibrate(
    model: Model,
    data: Dataset | Mapping[str, Dataset] | Answers,
    *,
    false_match_rate: float = 1e-3,
    coverage: float = 0.95,
    probability: str = "isotonic",
    batch_size: int = 64,
    device: str | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Model, Decision]:
    """Embed the queries and the gallery of one or more data sets and learn from them what distances mean.

    Args:
        model: what :func:`resight.load` gives; it stays as it is.
        data: identities the model was not trained on, such as a validation fold; its protocol says which pairs count.
            Several data sets by name are domains, see :mod:`resight.decisions.domains`; pairs with their answers come
            from :func:`resight.decisions.answered.read_answers`.
        false_match_rate, coverage, probability: as for :func:`resight.calibrate`.
        batch_size, device, cache: as for :class:`~resight.embedding.embedder.Embedder`.
        progress: called with (images done, images in all).

    Returns:
        The same network with ``threshold`` and ``decision`` in its card, and the decision. The fingerprint stays, since
        the embeddings do.

    Raises:
        DataError: no queries, an image that cannot be read, or too little data, see :func:`resight.calibrate`.
    """
    check_promises(false_match_rate, coverage)  # before any image is embedded
    embedder = Embedder(model, batch_size=batch_size, device=device, cache=cache)
    promises: dict[str, Any] = {"false_match_rate": false_match_rate, "coverage": coverage, "probability": probability}
    if isinstance(data, Answers):
        paths, at = np.unique(np.concatenate([data.first, data.second]), return_inverse=True)
        images = embedder(paths.tolist(), progress=progress)
        sides = images.take(at[: len(data.first)]), images.take(at[len(data.first) :])
        decision = calibrate_answers(*sides, data.same, **promises)
    elif isinstance(data, Mapping):
        decision = calibrate_domains(_embedded(embedder, data, progress), **promises)
    else:
        decision = learn(_embedded(embedder, {"": data}, progress)[""], protocol=data.protocol, **promises)
    update = {"threshold": decision.threshold, "decision": decision.plain()}
    return replace(model, card=model.card.model_copy(update=update)), decision


def _embedded(
    embedder: Embedder, sets: Mapping[str, Dataset], progress: Callable[[int, int], None] | None
) -> dict[str, tuple[Embeddings, Embeddings]]:
    """Query and gallery of each data set."""
    for one in sets.values():
        if not len(one.query):
            raise DataError(f"{one.name} has no queries: nothing can be learnt from it.")
    total, done = sum(len(one.query) + len(one.gallery) for one in sets.values()), 0
    embedded: dict[str, tuple[Embeddings, Embeddings]] = {}
    for name, one in sets.items():
        query = embedder(one.query, progress=shifted(progress, done, total))
        gallery = embedder(one.gallery, progress=shifted(progress, done + len(one.query), total))
        embedded[name] = query, gallery
        done += len(one.query) + len(one.gallery)
    return embedded
