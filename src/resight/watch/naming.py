"""Names for tracks: those of the gallery's identities where they match, and new ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.gallery.gallery import Gallery
from resight.gallery.record import Filter, Missing, Record
from resight.records import Embeddings
from resight.retrieval.ranking.within import matches_within
from resight.watch.link import Rules, Sighted, at_home, forbidden, link

NEAREST = 20  # named records that are looked at for each track
SAMPLE = 32  # records that stand for an identity of the gallery
WORLD = "1970"  # the clock of all who know what time it is


@dataclass(frozen=True, eq=False)
class Kept:
    """A track that stands in the gallery.

    Attributes:
        id: of its record.
        source: the video or camera.
        seen: when and where.
        vector: (D,) float32; ``change``: how much it changes, see :class:`~resight.watch.following.track.Track`.
    """

    id: str
    source: str
    seen: Sighted
    vector: NDArray[np.float32]
    change: float


@dataclass(frozen=True)
class Named:
    """What naming did.

    Attributes:
        names: one for each track that stands in the gallery; ``met``: those of them that the gallery knew.
        impossible: how many pairs of tracks cannot be of one individual, for time and place forbid it.
        alike: how many of these are within the threshold all the same: look-alikes, if the times are right.
    """

    names: tuple[str, ...] = ()
    met: frozenset[str] = frozenset()
    impossible: int = 0
    alike: int = 0


def name_tracks(gallery: Gallery, kept: Sequence[Kept], threshold: float, rules: Rules, kind: str) -> Named:
    """Find out who is who and write it into the gallery.

    Args:
        gallery: holds the tracks' records; a name that one bears already stays.
        kept: the tracks; whose records somebody has erased meanwhile are left out.
        threshold: the average distance up to which tracks are of one individual.
        rules: what time and place allow.
        kind: of new names: ``"person"`` makes "person 1", "person 2" and so on.
    """
    kept, bear = _standing(gallery, kept)
    if not kept:
        return Named()
    vectors = np.stack([one.vector for one in kept])
    tracks = [replace(one.seen, name=name) for one, name in zip(kept, bear, strict=True)]
    others, known = _known(gallery, kept, vectors, threshold)
    everyone = [*tracks, *others]
    home = at_home([one.change for one in kept])
    groups = link(np.concatenate([vectors, known]), gallery.card.metric, threshold, everyone, rules, home)
    names = {group: one.name for group, one in zip(groups, everyone, strict=True) if one.name is not None}
    met = set(names.values())
    fresh = _fresh(gallery, kind)
    for group in groups[: len(kept)]:
        if group not in names:
            names[group] = next(fresh)
    found = tuple(names[group] for group in groups[: len(kept)])
    for name in dict.fromkeys(found):
        rows = [at for at in range(len(kept)) if found[at] == name and bear[at] is None]
        if rows:
            gallery.enrol(name, [kept[at].id for at in rows])
    impossible, alike = _impossible(gallery, kept, vectors, threshold, rules)
    return Named(found, frozenset(met & set(found)), impossible, alike)


def _standing(gallery: Gallery, kept: Sequence[Kept]) -> tuple[list[Kept], list[str | None]]:
    """The tracks whose records are in the gallery still, and the names that these bear."""
    standing, bear = [], []
    for one in kept:
        try:
            (record,) = gallery.get([one.id])
        except Missing:
            continue
        standing.append(one)
        bear.append(record.identity)
    return standing, bear


def _known(
    gallery: Gallery, kept: Sequence[Kept], vectors: NDArray[np.float32], threshold: float
) -> tuple[list[Sighted], NDArray[np.float32]]:
    """The gallery's identities that any track may be, as sightings with their (N, D) vectors."""
    hits = gallery.search_many(vectors, NEAREST, Filter(unknown=False))
    near = [hit.record.identity for row in hits for hit in row if hit.distance <= threshold]
    new, sources = {one.id for one in kept}, {one.source for one in kept}
    records: list[Record] = []
    for name in sorted({name for name in near if name is not None}):
        own = [record for record in gallery.timeline(name) if record.id not in new]
        few = np.unique(np.linspace(0, len(own) - 1, min(SAMPLE, len(own))).round().astype(int))
        records += [own[at] for at in few]
    seen = []
    for record in records:
        again = record.source.rpartition("#")[0] in sources  # seen in this very video, with other settings
        clock = None if record.time is None or again else WORLD
        time = record.time or 0.0
        seen.append(Sighted(record.camera, time, time, clock, record.identity))
    none = np.zeros((0, vectors.shape[1]), np.float32)
    return seen, gallery.vectors([record.id for record in records]) if records else none


def _fresh(gallery: Gallery, kind: str) -> Iterator[str]:
    """Names that nobody bears: the kind and a number, counting up."""
    taken = [re.fullmatch(rf"{re.escape(kind)} (\d+)", one.name) for one in gallery.identities()]
    number = max((int(one[1]) for one in taken if one), default=0)
    while True:
        number += 1
        yield f"{kind} {number}"


def _impossible(
    gallery: Gallery, kept: Sequence[Kept], vectors: NDArray[np.float32], threshold: float, rules: Rules
) -> tuple[int, int]:
    """How many pairs of tracks cannot be one, and how many of these are within the threshold."""
    apart = forbidden([one.seen for one in kept], rules)
    near = matches_within(Embeddings(vectors), Embeddings(vectors), threshold, gallery.card.metric)
    left = np.repeat(np.arange(len(kept)), np.diff(near.offsets))
    alike = sum(b in apart[a] for a, b in zip(left.tolist(), near.indices.tolist(), strict=True))
    return sum(map(len, apart)) // 2, alike // 2
