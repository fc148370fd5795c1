"""The decision of a gallery: which it is, and whether it applies to the pictures in it."""

from __future__ import annotations

import time
from dataclasses import replace

from resight.decisions.applied import MOST, Applied, apply
from resight.decisions.decide import Decision
from resight.gallery.record import Filter
from resight.gallery.store import Store
from resight.records import Embeddings

AGAIN = 60.0  # seconds after which the pictures are compared anew, since more may have been added


class Applying:
    """The decision of a gallery as it applies to what is in it; safe to use from many threads.

    Args:
        store: of the gallery.
        decision: what distances mean, None where the model was never calibrated.
    """

    def __init__(self, store: Store, decision: Decision | None) -> None:
        self._store, self._decision = store, decision
        self._known: tuple[float, Applied] | None = None

    def now(self) -> Applied | None:
        """The decision, compared with the first 2,048 records by id, which is a random sample."""
        if self._decision is None:
            return None
        known = self._known
        if known is not None and time.monotonic() - known[0] < AGAIN:
            return known[1]
        ids = [record.id for record in self._store.page(Filter(), MOST, "")]
        if not ids:
            return Applied(self._decision, None)
        found = apply(self._decision, Embeddings(self._store.vectors(ids)))
        self._known = time.monotonic(), found
        return found


def adopt(store: Store, decision: Decision, actor: str, answers: int = 0) -> None:
    """Let a gallery decide by another decision about its model from now on, which its log names.

    Objects that have the gallery open keep the decision that they began with. The log also has the number of
    ``answers`` that it was learnt from, if any.

    Raises:
        ModelError: a decision about another model or metric.
    """
    about = store.about
    card = about.card.model_copy(update={"threshold": decision.threshold, "decision": decision.plain()})
    Decision.from_card(card)
    details: dict[str, float] = {"threshold": decision.threshold, "no_match_beyond": decision.no_match_beyond}
    details |= {"answers": answers} if answers else {}
    before = about.card.threshold
    store.note(actor, "calibrate", details if before is None else details | {"threshold_before": before})
    store.keep(replace(about, card=card))
