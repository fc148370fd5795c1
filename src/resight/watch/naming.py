"""Names for tracks: those of the gallery's identities where they match, and new ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.gallery.gallery import Gallery
from resight.gallery.record import Conflict, Filter, Missing, Record
from resight.records import Embeddings
from resight.retrieval.ranking.within import matches_within
from resight.watch.learning import Learning
from resight.watch.link import Rules, Sighted, codes, forbidden
from resight.watch.origin import origin_of, sighted
from resight.watch.timed import slope_of

NEAREST = 20  # named records that are compared with each track
SAMPLE = 32  # records that represent an identity of the gallery
PAGE = 1000  # records that are read together


@dataclass(frozen=True, eq=False)
class Kept:
    """A track with a record in the gallery.

    Attributes:
        id: of its record.
        source: the video or camera.
        seen: when and where.
        vector: (D,) float32.
    """

    id: str
    source: str
    seen: Sighted
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Named:
    """What naming did.

    Attributes:
        names: one for each track that is in the gallery; ``met``: those of them that the gallery knew.
        impossible: how many pairs of tracks cannot be of one individual, because time and place forbid it.
        alike: how many of these are within the threshold all the same: look-alikes, if the times are right.
        alike_across: how many of these are of two cameras.
    """

    names: tuple[str, ...] = ()
    met: frozenset[str] = frozenset()
    impossible: int = 0
    alike: int = 0
    alike_across: int = 0


def name_tracks(
    gallery: Gallery,
    kept: Sequence[Kept],
    threshold: float,
    rules: Rules,
    kind: str,
    home: float = np.inf,
    learning: Learning | None = None,
) -> Named:
    """Decide which tracks are of one individual, and name them in the gallery.

    Several programs may do so at once: a new name is given to one group of tracks only.

    Args:
        gallery: holds the tracks' records; a name that one has already stays.
        kept: the tracks; those whose records were erased meanwhile are left out.
        threshold: the average distance up to which tracks are of one individual.
        rules: what time and place allow.
        kind: of new names: ``"person"`` makes "person 1", "person 2" and so on.
        home: the largest distance of two tracks of one camera, see :func:`resight.watch.link.at_home`.
        learning: what is known of travel times and clocks, which learns from these tracks.
    """
    kept, own = _present(gallery, kept)
    if not kept:
        return Named()
    vectors = np.stack([one.vector for one in kept])
    tracks = [replace(one.seen, name=name) for one, name in zip(kept, own, strict=True)]
    others, known = known_identities(
        gallery, {one.id for one in kept}, {one.source for one in kept}, vectors, threshold
    )
    everyone = [*tracks, *others]
    groups = (
        (learning or Learning())
        .link(
            np.concatenate([vectors, known]),
            gallery.card.metric,
            threshold,
            everyone,
            [at for at, name in enumerate(own) if name is None],
            rules,
            home,
            slope_of(gallery.decision, threshold),
        )
        .groups
    )
    names = {group: one.name for group, one in zip(groups, everyone, strict=True) if one.name is not None}
    met = set(names.values())
    fresh = fresh_names(gallery, kind)
    for group in dict.fromkeys(groups[: len(kept)]):
        unnamed = [kept[at].id for at in range(len(kept)) if groups[at] == group and own[at] is None]
        if group not in names:
            names[group] = _enrol_new(gallery, fresh, unnamed)
        elif unnamed:
            _enrol(gallery, names[group], unnamed)
    found = tuple(names[group] for group in groups[: len(kept)])
    return Named(found, frozenset(met & set(found)), *_impossible(gallery, kept, vectors, threshold, rules))


def unnamed_tracks(gallery: Gallery) -> list[Kept]:
    """The tracks without a name in a gallery, by time: those of a watcher that was ended by force."""
    found: list[Kept] = []
    last = ""
    while records := gallery.records(Filter(unknown=True), limit=PAGE, after_id=last):
        last = records[-1].id
        tracks = [(record, origin) for record in records if (origin := origin_of(record)) is not None]
        if not tracks:
            continue
        vectors = gallery.vectors([record.id for record, _ in tracks])
        for (record, origin), vector in zip(tracks, vectors, strict=True):
            found.append(Kept(record.id, origin.place, sighted(record), vector))
    return sorted(found, key=lambda one: (one.seen.begin, one.seen.camera, one.id))


def _present(gallery: Gallery, kept: Sequence[Kept]) -> tuple[list[Kept], list[str | None]]:
    """The tracks whose records are still in the gallery, and the names of these."""
    present, names = [], []
    for one in kept:
        try:
            (record,) = gallery.get([one.id])
        except Missing:
            continue
        present.append(one)
        names.append(record.identity)
    return present, names


def _enrol(gallery: Gallery, name: str, ids: Sequence[str], new: bool = False) -> bool:
    """Name those of the records that have no name, and say whether that was possible."""
    while ids:
        try:
            gallery.enrol(name, ids, new=new)
            return True
        except (Conflict, Missing):  # another program named or erased some of them, or took the name
            left = [id for id in ids if _is_unnamed(gallery, id)]
            if left == list(ids):
                return False
            ids = left
    return True


def _enrol_new(gallery: Gallery, names: Iterator[str], ids: Sequence[str]) -> str:
    """Give records the first name that is not in use, and return it."""
    return next(name for name in names if _enrol(gallery, name, ids, new=True))


def _is_unnamed(gallery: Gallery, id: str) -> bool:
    try:
        return gallery.get([id])[0].identity is None
    except Missing:
        return False


def known_identities(
    gallery: Gallery,
    new: Set[str],
    sources: Set[str],
    vectors: NDArray[np.float32],
    threshold: float,
    without: re.Pattern[str] | None = None,
) -> tuple[list[Sighted], NDArray[np.float32]]:
    """The gallery's identities that any track may be, as sightings with their (N, D) vectors.

    Args:
        gallery: where they are.
        new: records that are left out; ``sources``: videos whose times are not compared.
        vectors: (T, D) of the tracks; ``threshold``: how near a record must be to one of them.
        without: names that do not count.
    """
    none = np.zeros((0, vectors.shape[1]), np.float32)
    if not len(vectors):
        return [], none
    hits = gallery.search_many(vectors, NEAREST, Filter(unknown=False))
    near = [hit.record.identity for row in hits for hit in row if hit.distance <= threshold]
    records: list[Record] = []
    for name in sorted({one for one in near if one is not None and not (without and without.fullmatch(one))}):
        own = [record for record in gallery.timeline(name) if record.id not in new]
        few = np.unique(np.linspace(0, len(own) - 1, min(SAMPLE, len(own))).round().astype(int))
        records += [own[at] for at in few]
    seen = []
    for record in records:
        one, origin = sighted(record), origin_of(record)
        again = origin is not None and origin.place in sources  # seen in this very video, with other settings
        seen.append(replace(one, clock=None) if again or record.time is None else one)
    return seen, gallery.vectors([record.id for record in records]) if records else none


def fresh_names(gallery: Gallery, kind: str) -> Iterator[str]:
    """Names that are not in use: the kind and a number, counting up."""
    taken = [re.fullmatch(rf"{re.escape(kind)} (\d+)", one.name) for one in gallery.identities()]
    number = max((int(one[1]) for one in taken if one), default=0)
    while True:
        number += 1
        yield f"{kind} {number}"


def _impossible(
    gallery: Gallery, kept: Sequence[Kept], vectors: NDArray[np.float32], threshold: float, rules: Rules
) -> tuple[int, int, int]:
    """How many pairs of tracks cannot be one, how many of these are within the threshold, and of two cameras."""
    apart = forbidden([one.seen for one in kept], rules)
    near = matches_within(Embeddings(vectors), Embeddings(vectors), threshold, gallery.card.metric)
    left = np.repeat(np.arange(len(kept)), np.diff(near.offsets))
    alike = apart[left, near.indices]
    camera = codes([one.seen.camera for one in kept])
    across = alike & (camera[left] != camera[near.indices])
    return int(apart.sum()) // 2, int(alike.sum()) // 2, int(across.sum()) // 2
