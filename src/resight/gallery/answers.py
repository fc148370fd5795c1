"""What people said about pairs of records: the same individual, different ones, or unsure.

Answers come from the page and from :func:`put`. They are constraints when tracks are linked
(:mod:`resight.watch.review`), and pairs for calibration (:mod:`resight.gallery.deciding.asking`) and adaptation. They
are erased with either record, and copied with a gallery.
"""

from __future__ import annotations

import time

from resight.errors import DataError
from resight.gallery.gallery import Gallery
from resight.gallery.record import DIFFERENT, SAME, UNSURE, Answer

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
