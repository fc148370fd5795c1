"""A decision where it is shown: does it apply to these pictures?

A threshold is about pictures like those it was learnt on. This is the one place that checks it, for searches, watching,
the service, its page and contact sheets; if it does not apply, nothing is called a match and a banner gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from resight.decisions.decide import MATCH, UNSURE, Decision
from resight.decisions.drift import GROUP, Drift
from resight.records import JUNK, Embeddings

MOST = 2_048
"""Images that are compared; more would take longer and tell no more."""


@dataclass(frozen=True)
class Applied:
    """A decision and whether it applies to the pictures at hand.

    Attributes:
        decision: what distances mean.
        drift: how unlike the pictures are to those of the calibration; None with fewer than 64, too few to tell.
    """

    decision: Decision
    drift: Drift | None

    @property
    def trusted(self) -> bool:
        """Whether "match" may be answered: the pictures are not known to be unlike those of the calibration."""
        return self.drift is None or not self.drift.unlike

    @property
    def banner(self) -> str:
        """A sentence to show above every answer; "" where there is nothing to warn of."""
        if self.trusted:
            return ""
        return (
            "These pictures are unlike those the threshold was learnt on, so nothing is called a match: calibrate on "
            "labelled pictures of yours (resight calibrate), or use a model made for such pictures."
        )

    def decide(self, distance: ArrayLike) -> Any:
        """As :meth:`resight.Decision.decide`, with "unsure" in place of "match" where the decision does not apply."""
        found = self.decision.decide(distance)
        if self.trusted:
            return found
        if isinstance(found, str):
            return UNSURE if found == MATCH else found
        return np.where(found == MATCH, UNSURE, found)


def apply(decision: Decision, images: Embeddings) -> Applied:
    """A decision for pictures such as ``images``: those searched in, or a sample of them.

    Args:
        decision: of the images' model.
        images: 64 or more to tell anything; of many, 2,048 are drawn at random (always the same).

    Raises:
        DataError: images of another model.
    """
    decision.check(images)
    kept = np.arange(len(images)) if images.identities is None else np.flatnonzero(images.identities != JUNK)
    if len(kept) < GROUP:
        return Applied(decision, None)
    if len(kept) > MOST:
        kept = np.sort(np.random.default_rng(0).choice(kept, MOST, replace=False))
    return Applied(decision, decision.drift(images.take(kept)))
