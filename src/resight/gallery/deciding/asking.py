"""Calibration of a gallery by twenty answers: which two records to ask about next, and the decision that follows.

What is learnt, and why so few answers are enough: :mod:`resight.decisions.asked`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.decisions.answered import paired
from resight.decisions.asked import Belief, believe, decide_by, most_telling, rates
from resight.decisions.calibrate import check_promises
from resight.decisions.decide import Decision
from resight.decisions.operating import needed
from resight.decisions.probability import slope_at
from resight.errors import DataError
from resight.gallery import answers
from resight.gallery.gallery import Gallery
from resight.gallery.record import DIFFERENT, SAME, UNSURE, Filter
from resight.records import Embeddings
from resight.retrieval.evaluation.compare import Interval
from resight.retrieval.ranking.distance import pairwise

NEEDED = 20  # answers that are not "unsure"
MOST = 1024  # records whose pairs count: the first by id, a random sample
FEWEST = 64  # as the drift check needs
_UNKNOWN_SLOPE = 10.0  # over the middle, where the model was never calibrated
_LEAST_MIDDLE = 1e-6
_CLOSE = 0.99  # a pair that tells so much of what the best one does is as good
_TRIED = 100  # pairs whose thumbnails are looked for


@dataclass(frozen=True)
class Learnt:
    """A decision from answers.

    Attributes:
        decision: not adopted yet, see :func:`resight.gallery.deciding.applying.adopt`.
        same, different, unsure: how many answers there were of each kind.
        before: the threshold until now, None where the model was never calibrated.
        false_before: the false-match rate of that threshold among the gallery's pairs, as the answers tell.
    """

    decision: Decision
    same: int
    different: int
    unsure: int
    before: float | None
    false_before: Interval | None


class Asking:
    """The pairs of a gallery's records, and what its answers tell about them.

    Args:
        gallery: with at least 64 records, and pairs enough for the rate: 82 records for 1 in 1,000.
        false_match_rate, coverage: of the decision; those of the one before where None.

    Raises:
        DataError: it has fewer records.
    """

    def __init__(self, gallery: Gallery, false_match_rate: float | None = None, coverage: float | None = None) -> None:
        self.gallery = gallery
        before = gallery.decision
        self.false_match_rate = false_match_rate or (before.false_match_rate if before else 1e-3)
        self.coverage = coverage or (before.coverage if before else 0.95)
        check_promises(self.false_match_rate, self.coverage)
        self.ids = [record.id for record in gallery.store.page(Filter(), MOST, "")]
        fewest = max(FEWEST, math.ceil(1.05 * math.sqrt(2 * needed(self.false_match_rate))))  # some pairs are the same
        if len(self.ids) < fewest:
            raise DataError(
                f"The gallery has {len(self.ids)} records, and calibration by answers needs {fewest} for a false-match "
                f"rate of {self.false_match_rate:g}: add pictures."
            )
        self.metric = gallery.card.metric
        self.vectors = gallery.vectors(self.ids)
        self.first, self.second = np.triu_indices(len(self.ids), 1)
        square = pairwise(self.vectors, self.vectors, self.metric)
        self.distances: NDArray[np.float32] = np.maximum(square[self.first, self.second], 0).astype(np.float32)
        self.answers = answers.of(gallery)

    def given(self) -> int:
        """How many answers there are that are not "unsure"."""
        return sum(one.answer != UNSURE for one in self.answers)

    def question(self) -> tuple[str, str] | None:
        """The two records whose answer is expected to tell the most; None where there is no pair with thumbnails."""
        telling = most_telling(self._belief(), self.distances)
        asked = {frozenset((one.first, one.second)) for one in self.answers}
        random = np.random.default_rng(len(self.answers))
        best = np.flatnonzero(telling >= _CLOSE * telling.max())
        others = np.argsort(-telling)[:_TRIED]
        for at in (*random.permutation(best)[:_TRIED], *others):
            two = self.ids[self.first[at]], self.ids[self.second[at]]
            if frozenset(two) not in asked and None not in self.gallery.store.thumbnails(two):
                return two
        return None

    def learn(self) -> Learnt:
        """The decision that follows from the answers.

        Raises:
            DataError: fewer than twenty answers, or too few pairs of either kind for the rates.
        """
        missing = NEEDED - self.given()
        if missing > 0:
            raise DataError(
                f"Calibration needs {NEEDED} answers that are not unsure: answer {missing} more in the page's section "
                "Calibrate."
            )
        before = self.gallery.decision
        belief = self._belief()
        found = decide_by(
            belief,
            self.distances,
            Embeddings(self.vectors, fingerprint=self.gallery.card.fingerprint, metric=self.metric),
            metric=self.metric,
            false_match_rate=self.false_match_rate,
            coverage=self.coverage,
        )
        kinds = Counter(one.answer for one in self.answers)
        until = None if before is None else rates(belief, self.distances, before.threshold)[0]
        threshold = None if before is None else before.threshold
        return Learnt(found, kinds[SAME], kinds[DIFFERENT], kinds[UNSURE], threshold, until)

    def _belief(self) -> Belief:
        sure = [one for one in self.answers if one.answer != UNSURE]
        distances = np.empty(0, np.float32)
        if sure:
            first, second = (self.gallery.vectors([getattr(one, at) for one in sure]) for at in ("first", "second"))
            distances = paired(first, second, self.metric)
        decision = self.gallery.decision
        if decision is not None:
            middle = max(decision.threshold, _LEAST_MIDDLE)
            slope = slope_at(decision.knots, middle)
        else:
            nearest = np.full(len(self.ids), np.inf, np.float32)
            np.minimum.at(nearest, self.first, self.distances)
            np.minimum.at(nearest, self.second, self.distances)
            middle = max(float(np.median(nearest)), _LEAST_MIDDLE)
            slope = _UNKNOWN_SLOPE / middle
        return believe(distances, [one.answer == SAME for one in sure], middle, slope)
