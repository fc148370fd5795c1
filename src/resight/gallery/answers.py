"""What people said about pairs of records: the same individual, different ones, or unsure.

Answers come from the page and from :func:`put`. They are constraints when tracks are linked
(:mod:`resight.watch.review`), and pairs for calibration and adaptation. They are erased with either record, and copied
with a gallery.
"""

from __future__ import annotations

import time

import numpy as np

from resight.decisions.answered import calibrate_answers
from resight.decisions.decide import Decision
from resight.errors import DataError
from resight.gallery.gallery import Gallery
from resight.gallery.record import DIFFERENT, SAME, UNSURE, Answer
from resight.records import Embeddings

KINDS = (SAME, DIFFERENT, UNSURE)


def put(gallery: Gallery, one: str, other: str, answer: str) -> None:
    """Keep an answer about two records; a later one about the same two replaces it.

    Args:
        gallery: holds the records; its actor is who answers.
        one, other: ids of records, in any order.
        answer: "same", "different" or "unsure".

    Raises:
        DataError: another answer, one record twice, or (Missing) a record that is not there.
    """
    if answer not in KINDS:
        raise DataError(f"The answer {answer!r} is none: choose one of {', '.join(KINDS)}.")
    if one == other:
        raise DataError("The answer is about one record twice: name two.")
    first, second = sorted((one, other))
    gallery.store.answer([Answer(first, second, answer, time.time(), gallery.actor)], gallery.actor)


def of(gallery: Gallery) -> list[Answer]:
    """All answers, one for each pair, the oldest first."""
    return gallery.store.answers()


def calibrated(gallery: Gallery, *, false_match_rate: float = 1e-3, coverage: float = 0.95) -> Decision:
    """What distances mean in a gallery, learnt from its answers; :func:`resight.gallery.applying.adopt` keeps it.

    Rates are about pairs such as were answered: the doubtful ones of a review are harder than any two records.

    Args:
        gallery, false_match_rate, coverage: as for :func:`resight.decisions.answered.calibrate_answers`.

    Raises:
        DataError: too few answers of either kind, and then how many are needed.
    """
    sure = [one for one in of(gallery) if one.answer != UNSURE]
    two = (gallery.vectors([getattr(one, place) for one in sure]) for place in ("first", "second"))
    first, second = (Embeddings(vectors, fingerprint=gallery.card.fingerprint) for vectors in two)
    same = np.array([one.answer == SAME for one in sure], np.bool_)
    return calibrate_answers(
        first, second, same, false_match_rate=false_match_rate, coverage=coverage, metric=gallery.card.metric
    )
