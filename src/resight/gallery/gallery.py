"""What has been seen, kept: add, search, name, forget. The same on every engine.

Shape letters: ``N`` records, ``Q`` queries, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.decisions.applied import Applied
from resight.decisions.decide import Decision
from resight.embedding.source import Pictures
from resight.errors import DataError
from resight.gallery import binding, exporting, moving, recall, searching
from resight.gallery import log as chain
from resight.gallery.adding import parts as adding
from resight.gallery.adding.labels import Labels
from resight.gallery.arguments import checked_filter, ids_in, several, some_ids, user
from resight.gallery.binding import Embedder, Model
from resight.gallery.deciding.applying import Applying
from resight.gallery.engines import open_store
from resight.gallery.lists import ALL, Lists
from resight.gallery.record import (
    Added,
    Box,
    Check,
    Event,
    Filter,
    Hit,
    Index,
    Policy,
    Record,
    Reembedded,
    Stats,
    moment,
    person_name,
)
from resight.gallery.searching import Query
from resight.gallery.store import HELD, Store, all_there
from resight.images.pictures import Colour
from resight.images.stream import OnError
from resight.models.card import Card
from resight.pools import Lock
from resight.records import Embeddings
from resight.retrieval.reranking.rerank import KReciprocal


class Gallery(Lists):
    """Records of what was seen, bound to one model; :meth:`open` makes one.

    One object may be used from many threads, and one gallery from many processes. What a method did is durable when it
    returns, and each action is done wholly or not at all (adding: in parts of some rows). ``with`` closes it.

    Attributes:
        card: what it is bound to; ``decision``: what distances mean, None where the model was never calibrated.
        uri: what opens it again; ``store``: the engine beneath.
    """

    def __init__(self, store: Store, embedder: Embedder | None, actor: str) -> None:
        self.store, self.actor = store, actor
        self.card = store.about.card
        self.decision: Decision | None = binding.decision_in(self.card)
        self._applying = Applying(store, self.decision)
        self._embedder, self._lock = embedder, Lock()

    @classmethod
    def open(
        cls,
        uri: str | Path,
        model: Model | Embedder | Card | str | Path | None = None,
        *,
        policy: Policy | None = None,
        read_only: bool = False,
        actor: str = "",
    ) -> Gallery:
        """Open a gallery, or make one where there is none and a model is given.

        Args:
            uri: a path (``"seen"`` is the file seen.db), ``"sqlite:///seen.db"``, or
                ``"postgresql://user@host/database?gallery=NAME"``, for a new one ``&thumbnails=PLACE`` too.
            model: whose embeddings it holds, as an object or by name or path; its card alone is enough to work with
                embeddings. For a gallery that exists it may be left out: then pictures are embedded with the model from
                where it was when the gallery was made. The kept card decides (`resight gallery calibrate` changes it).
            policy: what a new gallery keeps.
            read_only: change nothing, in the files either.
            actor: the name in the log for what is done; the user's when empty.

        Raises:
            DataError: no gallery there and no model given, it cannot be read, or another policy than it has.
            ModelError: another model than it is bound to.
        """
        who = actor or user()
        about, embedder = binding.about_of(model, policy)
        store = open_store(str(uri), about, read_only=read_only, actor=who)
        try:
            binding.check(store, about, policy, read_only=read_only)
            return cls(store, embedder, who)
        except BaseException:
            store.close()
            raise

    @property
    def uri(self) -> str:
        """What opens this gallery again."""
        return self.store.uri

    def add(
        self,
        images: Pictures | Embeddings,
        *,
        cameras: str | Sequence[str] = "",
        times: float | Sequence[float | None] | None = None,
        identities: str | Sequence[str | None] | None = None,
        sources: Sequence[str] | None = None,
        boxes: Sequence[Box | None] | None = None,
        basis: str = "",
        expires: float | None = None,
        thumbnails: Sequence[bytes | None] | None = None,
        add_erased: bool = False,
        colour: Colour = "RGB",
        on_error: OnError | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Added:
        """Add sightings. What is there already (same content, camera, time and box) stays as it is, see
        ``Added.different``.

        Args:
            images: whatever an :class:`~resight.embedding.embedder.Embedder` takes, or embeddings of this model.
            cameras, times, identities: one for all, or one for each. Times are seconds since 1970, or datetimes with a
                time zone. Cameras that a split or embeddings know are taken where none are given; identities never are.
            sources: where each came from; paths are their own sources.
            boxes: left, top, right, bottom of each in its source; nothing is cut out here.
            basis: why they may be kept; ``expires``: when they are to be erased, see also :class:`Policy`.
            thumbnails: image files to make thumbnails of; those of pictures are made of the pictures.
            add_erased: also add what was erased here before; otherwise it is refused (``Added.refused``).
            colour: the order of arrays and tensors, ``"BGR"`` for those of OpenCV; files know their own.
            on_error: called with each picture that cannot be used, which is then left out; without it the first such
                picture is an error, and its part is not added.
            progress: called with (pictures done, pictures in all); of an iterator, both are the pictures done.

        Returns:
            What is in the gallery now; it was written in parts of at most 4,096, each durable when it was done.

        Raises:
            DataError: a bad picture or label, nothing to add, or embeddings of another length.
            ModelError: embeddings of another model, or pictures and no model at hand.
        """
        labels = Labels(cameras, times, identities, sources, boxes, basis, expires)
        parts, total = adding.parts(images, labels, thumbnails, self.store, lambda: self.embedder, add_erased, colour)
        return adding.write(parts, total, self.store, self.actor, on_error, progress, expires=expires is not None)

    def search(
        self,
        query: Query,
        k: int = 10,
        where: Filter = ALL,
        *,
        rerank: KReciprocal | None = None,
        approximate: bool = False,
        colour: Colour = "RGB",
    ) -> list[Hit]:
        """The ``k`` records nearest to one picture or embedding, ordered by (distance, id).

        Args:
            query: a picture (a path, bytes, uint8 pixels, ...), one embedding, or a float vector (D,).
            k: how many at most, up to 10,000.
            where: which records count.
            rerank: order a wider shortlist of the nearest, ``max(4 k, 200)``, by their re-ranked distances; the
                reported distances are not re-ranked.
            approximate: use the index of :meth:`index`, where there is one; some neighbours may be missed.
            colour: the order of pixels, as in :meth:`add`.

        Raises:
            DataError: no or several queries, a vector that cannot be compared, or a ``k`` out of range.
            ModelError: an embedding of another model, or a picture and no model at hand.
        """
        one = query
        if isinstance(query, np.ndarray) and query.dtype.kind == "f" and query.ndim == 1:
            one = query[None]
        found = self.search_many(one, k, where, rerank=rerank, approximate=approximate, colour=colour)
        if len(found) != 1:
            raise DataError(f"search was given {len(found)} queries: pass one, or use search_many.")
        return found[0]

    def search_many(
        self,
        queries: Query,
        k: int = 10,
        where: Filter = ALL,
        *,
        rerank: KReciprocal | None = None,
        approximate: bool = False,
        colour: Colour = "RGB",
    ) -> list[list[Hit]]:
        """As :meth:`search`, for each of several pictures, embeddings or float vectors (Q, D)."""
        vectors = searching.vectors_of(queries, self.card, lambda pictures: self.embedder(pictures, colour=colour))
        return searching.search(
            self.store, vectors, k, checked_filter(where), self.applied(), rerank, approximate=approximate
        )

    def hold_vectors(self, most: int = HELD) -> None:
        """From now on answer exact searches of a gallery in PostgreSQL from this process's memory.

        The answers stay those of the database at that moment, whoever writes. A gallery in a file does so anyway.

        Args:
            most: bytes that the vectors may take; a larger gallery is searched in the database. 0 to let go of them.

        Raises:
            DataError: FAISS is not installed.
        """
        self.store.hold(most)

    def applied(self) -> Applied | None:
        """The decision and whether it applies to what is in the gallery; None where the model was never calibrated."""
        return self._applying.now()

    def get(self, ids: Sequence[str]) -> list[Record]:
        """Records by their ids; Missing, a DataError, names the first id that is not there."""
        return all_there(ids_in(ids), self.store.get(ids_in(ids)))

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) vectors of records, as they were added; raises as :meth:`get`."""
        return self.store.vectors(ids_in(ids))

    def thumbnail(self, id: str) -> bytes | None:
        """The thumbnail of a record as JPEG, None where it has none; raises as :meth:`get`."""
        (found,) = self.store.thumbnails([id])
        if found is None:
            self.get([id])
        return found

    def enrol(self, name: str, ids: Sequence[str], *, new: bool = False) -> None:
        """Give records a name, which may be a new one, and must be one where ``new``.

        Raises:
            DataError: a record that is not there or has another name, no ids, or a name that is none, or in use.
        """
        self.store.enrol(person_name(name), some_ids(ids), self.actor, new)

    def merge(self, into: str, others: Sequence[str]) -> int:
        """Give the records of ``others`` the name ``into``, and say how many; DataError for a name that none has."""
        names = [person_name(name) for name in several(others, "names")]
        target = person_name(into)
        if target in names:
            raise DataError(f"{target!r} cannot be merged with itself: name the others only.")
        return self.store.merge(target, list(dict.fromkeys(names)), self.actor)

    def split(self, name: str, ids: Sequence[str], new_name: str | None = None) -> None:
        """Take records out of an identity: they get a new name, or become unknown.

        Raises:
            DataError: a record that is not there or not of ``name``, a new name that is in use, or no ids.
        """
        new = None if new_name is None else person_name(new_name)
        self.store.split(person_name(name), some_ids(ids), new, self.actor)

    def rename(self, name: str, new_name: str) -> None:
        """Another name for an identity.

        Raises:
            DataError: no record has the name, or the new one is in use: then merge.
        """
        old, new = person_name(name), person_name(new_name)
        if old != new:
            self.store.rename(old, new, self.actor)
        else:
            self.store.number(old)  # raises where no record has it

    def erase(
        self, *, identity: str | None = None, ids: Sequence[str] | None = None, before: float | None = None
    ) -> int:
        """Erase an identity with all its records, records by their ids, or all that were seen before a time.

        No search finds them when this returns. Vector, thumbnail, source and name are then gone from every file of a
        gallery in a file; for one in PostgreSQL see :meth:`purge`. Keyed digests have :meth:`add` refuse the pictures.
        Ids that are not there do not count. Records without a time are never "before".

        Returns:
            How many records were erased.

        Raises:
            DataError: not exactly one of the three was given, or no record has the name.
            ResightError: erased, but bytes remain because another program holds the files; the message says what to do.
        """
        if sum(one is not None for one in (identity, ids, before)) != 1:
            raise DataError("erase needs exactly one of identity, ids and before.")
        return self.store.erase(
            self.actor,
            identity=None if identity is None else person_name(identity),
            ids=None if ids is None else ids_in(ids),
            before=moment(before, "before"),
        )

    def expire(self, now: float | None = None) -> int:
        """Erase expired records, and return how many there were."""
        return self.store.erase(self.actor, expired=clock.time() if now is None else moment(now, "now"))

    def purge(self) -> list[str]:
        """Have the bytes of erased records gone from a server's files as well, and return what may remain, in words.

        All tables are rewritten, and others wait meanwhile. For a gallery in a file there is nothing to do.
        """
        return self.store.purge(self.actor)

    def export(self, identity: str, folder: str | Path) -> Path:
        """One person's data: records.json, vectors.npz and thumbnails/ID.jpg in a new folder, which is logged.

        Raises:
            DataError: no record has the name, or the folder is there and not empty.
            ResightError: it cannot be written.
        """
        return exporting.export(self.store, person_name(identity), Path(folder), self.actor)

    def log(self, after: int = 0, limit: int = 1000) -> list[Event]:
        """The first events with numbers above ``after``."""
        return self.store.log(after, limit)

    def follow(self, after: int) -> Iterator[Event]:
        """The events with numbers above ``after``, and those to come as soon as they are there; it never ends."""
        while True:
            for event in self.store.log(after, 1000):
                yield event
                after = event.number
            self.store.wait(after, 60.0)

    def verify_log(self) -> None:
        """Go through the whole log; DataError where an event is missing or was changed."""
        chain.verify_all(self.store.log)

    def stats(self) -> Stats:
        """The gallery in numbers."""
        return self.store.stats(clock.time())

    def index(self, progress: Callable[[str], None] | None = None) -> Index:
        """Build the index for approximate searches, and measure its recall at 10.

        Records added later are scanned exhaustively; when they are many, build it again. The recall is that for up to
        200 points as far from a record of the gallery as its fifth neighbour is. ``progress`` is called with each step.
        """
        return recall.build(self.store, progress)

    def reembed(
        self,
        model: Model | Embedder | str | Path,
        uri: str | Path,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Reembedded:
        """Move to another model: a new gallery at ``uri`` with the same records; repeated, it goes on.

        Sources are embedded again; where one no longer holds the picture that was added, the thumbnail is. DataError
        where ``uri`` holds a gallery of another model, or this one.
        """
        binding.refuse_same(model, self.card, self.uri)
        with self.open(uri, model, policy=self.policy, actor=self.actor) as target:
            return moving.reembed(self.store, target.store, target.embedder, self.actor, progress)

    def check(self) -> Check:
        """Look whether all files agree with one another; a cache that does not is made anew."""
        return Check(len(self), tuple(self.store.check()))

    def backup(self, path: str | Path) -> Path:
        """Write all of it, as of one moment, to a new file, while others go on reading and writing.

        Raises:
            DataError: there is something at ``path``, or the engine is no file.
        """
        return self.store.backup(str(path))

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def policy(self) -> Policy:
        """What it keeps."""
        return self.store.about.policy

    @property
    def embedder(self) -> Embedder:
        """What embeds pictures here: the model given, or loaded from where it was; ModelError if it is another now."""
        with self._lock:
            if self._embedder is None:
                self._embedder = binding.embedder_of(self.store.about, self.uri)
            return self._embedder
