"""Answers about pairs of tracks, for links and for calibration; :mod:`resight.gallery.answers` keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resight.errors import DataError
from resight.files import write_csv
from resight.gallery import answers
from resight.gallery.gallery import Gallery
from resight.gallery.record import DIFFERENT, SAME, UNSURE
from resight.watch.link import Answers


def between(gallery: Gallery, ids: Sequence[str]) -> Answers:
    """The answers about these records, by their places."""
    place = {id: at for at, id in enumerate(ids)}
    kinds: dict[str, list[tuple[int, int]]] = {kind: [] for kind in answers.KINDS}
    for one in answers.of(gallery):
        if one.first in place and one.second in place:
            kinds[one.answer].append((place[one.first], place[one.second]))
    return Answers(tuple(kinds[SAME]), tuple(kinds[DIFFERENT]))


def export(gallery: Gallery, folder: Path) -> int:
    """Thumbnails and ``pairs.csv`` (columns a, b, same) for ``resight calibrate --pairs``; how many pairs.

    Raises:
        DataError: no pair with an answer and two thumbnails, or a folder that is there already.
    """
    if folder.exists():
        raise DataError(f"{folder} exists already and is never written over: choose a new folder.")
    rows: list[tuple[str, str, int]] = []
    pictures: dict[str, bytes] = {}
    for one in answers.of(gallery):
        first, second = (gallery.thumbnail(id) for id in (one.first, one.second))
        if one.answer == UNSURE or first is None or second is None:
            continue
        pictures |= {one.first: first, one.second: second}
        rows.append((f"{one.first}.jpg", f"{one.second}.jpg", int(one.answer == SAME)))
    if not rows:
        raise DataError("There is no answered pair with two thumbnails: answer some in the page's Watch section.")
    folder.mkdir(parents=True)
    for id, picture in pictures.items():
        (folder / f"{id}.jpg").write_bytes(picture)
    write_csv(folder / "pairs.csv", ("a", "b", "same"), rows)
    return len(rows)
