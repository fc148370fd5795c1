"""A gallery belongs to one model: its card is kept inside, and whatever is of another model is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resight.decisions.decide import Decision
from resight.errors import DataError, ModelError
from resight.gallery.record import Policy
from resight.gallery.store import About, Store
from resight.models.card import UNTRAINED, Card
from resight.records import Embeddings
from resight.retrieval.ranking.distance import TOGETHER

if TYPE_CHECKING:
    from resight.embedding.embedder import Embedder as Embedder
    from resight.models.model import Model as Model
else:
    Embedder = Model = Any  # which typing.get_type_hints finds without torch

LONGEST = 1e18  # as in resight.retrieval.ranking.distance

Bound: TypeAlias = Model | Embedder | Card | str | Path


def about_of(model: Bound | None, policy: Policy | None) -> tuple[About | None, Embedder | None]:
    """What a new gallery of this model is bound to, and what embeds for it, as far as these are given.

    Raises:
        ModelError: a name or path that is none, or a card without a fingerprint.
    """
    if model is None:
        return None, None
    source, embedder = "", None
    if isinstance(model, (str, Path)):
        from resight.models.loading import is_named, load  # imports torch, which a gallery of vectors does without

        is_file = Path(model).exists() and not is_named(model)
        source = str(Path(model).resolve()) if is_file else str(model)
        model = load(model)
        if model.card.trained_on == UNTRAINED and not is_file:
            raise ModelError(
                f"{source} is a network without trained weights, which differ each time it is loaded, so that "
                "its gallery could never be used again: name a trained model, a run or a weight file."
            )
    if isinstance(model, Card):
        card = model
    else:
        from resight.embedding.embedder import Embedder

        embedder = model if isinstance(model, Embedder) else Embedder(model)
        card = embedder.model.card
    if not card.fingerprint:
        raise ModelError(
            f"The card of this {card.architecture} has no fingerprint to tell its embeddings from others: "
            "load the model with resight.load, or give the card one."
        )
    return About(card, source, policy or Policy()), embedder


def check(store: Store, given: About | None, policy: Policy | None, *, read_only: bool) -> None:
    """Refuse another model or policy than the store's, and let it keep the model's new place.

    The decision stays the gallery's own: :func:`resight.gallery.deciding.applying.adopt` changes it.

    Raises:
        ModelError: another model.
        DataError: another policy.
    """
    kept = store.about
    if policy is not None and policy != kept.policy:
        raise DataError(
            f"{store.uri} was made with {kept.policy}, not {policy}: leave the policy out, or make another gallery."
        )
    if given is None:
        return
    one, other = kept.card, given.card
    if (one.fingerprint, one.dim, one.metric) != (other.fingerprint, other.dim, other.metric):
        random = other.trained_on == UNTRAINED
        raise ModelError(
            f"{store.uri} holds embeddings of {_in_words(one)}, but this model is {_in_words(other)}"
            f"{', whose weights are random and differ each time it is made' if random else ''}: open it with its "
            "own model, or move it to this one with reembed."
        )
    moved = replace(kept, model=given.model or kept.model)
    if moved != kept and not read_only:
        store.keep(moved)


def _in_words(card: Card) -> str:
    return f"{card.architecture} ({card.fingerprint}, {card.dim} dimensions, {card.metric})"


def refuse_same(model: Bound, card: Card, uri: str) -> None:
    """Refuse to move a gallery to the model that it is bound to, before a new one is made.

    Raises:
        ModelError: it is the same, or a name or path that is none.
    """
    about, _ = about_of(model, None)
    if about is not None and about.card.fingerprint == card.fingerprint:
        raise ModelError(f"{uri} is of this model already: there is nothing to embed again.")


def decision_in(card: Card) -> Decision | None:
    """The decision in a card, None where there is none.

    Raises:
        ModelError: it is about another model.
    """
    return None if card.decision is None else Decision.from_card(card)


def embedder_of(about: About, uri: str) -> Embedder:
    """The model of a gallery, from where it was when the gallery was made.

    Raises:
        ModelError: its place is unknown, it is not there any more, or another model is there now.
    """
    if not about.model:
        raise ModelError(f"{uri} has no path of its model: open it with model=, or search by embedding.")
    from resight.embedding.embedder import Embedder
    from resight.models.loading import load

    try:
        model = load(about.model)
    except ModelError as error:
        raise ModelError(f"The model of {uri} cannot be loaded, so open it with model= ({error})") from None
    if model.card.fingerprint != about.card.fingerprint:
        raise ModelError(
            f"{about.model} is {model.card.fingerprint} now, but {uri} holds embeddings of {about.card.fingerprint}: "
            "open it with model=, or move it to the new model (resight gallery reembed OLD NEW)."
        )
    return Embedder(model)


def checked(embeddings: Embeddings, card: Card) -> Embeddings:
    """The same embeddings, if they can be compared with those of the card's model.

    Raises:
        ModelError: of another model.
        DataError: another length, or vectors that the metric cannot compare.
    """
    if embeddings.fingerprint and embeddings.fingerprint != card.fingerprint:
        raise ModelError(
            f"These embeddings are of {embeddings.fingerprint}, but the gallery's are of {card.fingerprint}: embed "
            "with the gallery's model, or move the gallery to the other one with reembed."
        )
    if embeddings.vectors.shape[1] != card.dim:
        raise DataError(
            f"These embeddings have {embeddings.vectors.shape[1]} dimensions, but the gallery's have {card.dim}: embed "
            "with the gallery's model."
        )
    squares = _squares(embeddings.vectors)
    if card.metric == "cosine" and not squares.all():
        raise DataError(
            f"The embedding in row {int(np.argmin(squares))} has length zero, and cosine distance needs a direction: "
            "leave that image out."
        )
    if squares.size and squares.max() > LONGEST**2:
        raise DataError(
            f"The embedding in row {int(np.argmax(squares))} is longer than {LONGEST:.0e}, which no trained model "
            "produces: embed that image again or leave it out."
        )
    return embeddings


def _squares(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) squared lengths, a few rows in float64 at a time."""
    found = np.empty(len(vectors))
    step = max(TOGETHER // vectors.shape[1], 1)
    for start in range(0, len(vectors), step):
        wide = vectors[start : start + step].astype(np.float64)
        found[start : start + step] = np.vecdot(wide, wide)
    return found
