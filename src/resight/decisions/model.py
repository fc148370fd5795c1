"""A model that knows what its distances mean: calibrated on a data set, with the decision in its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resight.datasets import Dataset
from resight.decisions.calibrate import calibrate as learn
from resight.decisions.calibrate import check_promises
from resight.decisions.decide import Decision
from resight.embedding.measure import measure
from resight.errors import ModelError
from resight.models.model import Model


def calibrate(
    model: Model,
    data: Dataset,
    *,
    false_match_rate: float = 1e-3,
    coverage: float = 0.95,
    probability: str = "isotonic",
    batch_size: int = 64,
    device: str | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Model, Decision]:
    """Embed the queries and the gallery of a data set and learn from them what distances mean.

    Args:
        model: what :func:`resight.load` gives; it stays as it is.
        data: identities the model was not trained on, such as a validation fold; its protocol says which pairs count.
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
    query, gallery, _ = measure(model, data, batch_size=batch_size, device=device, cache=cache, progress=progress)
    decision = learn(
        (query, gallery),
        false_match_rate=false_match_rate,
        coverage=coverage,
        protocol=data.protocol,
        metric=model.card.metric,
        probability=probability,
    )
    update = {"threshold": decision.threshold, "decision": decision.plain()}
    return replace(model, card=model.card.model_copy(update=update)), decision


def decision_of(model: Model) -> Decision:
    """The decision in a model's card.

    Raises:
        ModelError: the model was never calibrated, or its card holds the decision of another model.
    """
    if model.card.decision is None:
        raise ModelError(
            f"This {model.card.architecture} has not been calibrated, so what its distances mean is not known: run "
            "resight calibrate MODEL DATA first."
        )
    decision = Decision.from_plain(model.card.decision)
    if decision.fingerprint != model.card.fingerprint or decision.metric != model.card.metric:
        raise ModelError(
            f"The card holds a decision about {decision.metric} distances of {decision.fingerprint}, but the model is "
            f"{model.card.fingerprint} with {model.card.metric} distance: run resight calibrate again."
        )
    return decision
