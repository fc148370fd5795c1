"""What the routes use: a gallery, its model, and searches that are done for many requests at once."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.embedding.embedder import Embedder
from resight.errors import ResightError
from resight.gallery.gallery import Gallery
from resight.gallery.record import Filter, Hit
from resight.gallery.searching import mean
from resight.images.decode import fit
from resight.retrieval.reranking.rerank import KReciprocal
from resight.server.batched import BatchedEmbedder
from resight.server.batching import Batcher
from resight.server.keys import Caller
from resight.server.logs import LOG
from resight.server.metrics import Metrics
from resight.server.pictures import picture
from resight.server.refusals import Refused
from resight.server.settings import Settings

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Search:
    """How to search; queries that are searched alike are searched together."""

    k: int
    where: Filter
    rerank: bool
    approximate: bool


class Service:
    """A gallery that many threads ask.

    Args:
        gallery: what is served; closed with the service.
        embedder: of the gallery's model.
        settings: the limits.
    """

    def __init__(self, gallery: Gallery, embedder: Embedder, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(lambda: len(gallery))
        self._embedder = BatchedEmbedder(embedder, settings.queue, self.metrics)
        self.gallery = Gallery(gallery.store, self._embedder, gallery.actor)
        self._views: dict[str, Gallery] = {}
        self.writers = threading.BoundedSemaphore(8)  # the pixels of so many pictures that are added are held at once
        self._search: Batcher[tuple[Vector, Search], list[Hit]] = Batcher(
            self._hits, embedder.batch_size, settings.queue, "search"
        )

    @property
    def threshold(self) -> float | None:
        """Up to which distance two are the same; None where the model was never calibrated."""
        decision = self.gallery.decision
        return self.gallery.card.threshold if decision is None else decision.threshold

    def expire(self) -> None:
        """Erase expired records; what goes wrong is logged, because no request waits for it."""
        try:
            erased = self.gallery.expire()
        except ResightError as error:
            LOG.error("expire", extra={"fields": {"sentence": str(error)}})
        except Exception:  # whatever it is, the service goes on
            LOG.exception("expire")
        else:
            if erased:
                LOG.info("expire", extra={"fields": {"records": erased}})

    def acting(self, caller: Caller) -> Gallery:
        """The gallery, in whose log ``caller`` is named."""
        if not caller.name:
            return self.gallery
        if caller.name not in self._views:  # as many as there are keys
            self._views[caller.name] = Gallery(self.gallery.store, self._embedder, caller.name)
        return self._views[caller.name]

    def vector(self, pictures: Sequence[bytes]) -> Vector:
        """The embedding (D,) of an uploaded picture, or the mean of several that show one individual.

        Raises:
            Refused: no picture, a damaged or too large one, or too many of them waiting.
            DataError: embeddings without a mean.
        """
        to = self._embedder.model.card.preprocessing
        some = [
            fit(picture(data, self.settings.pixels), to.height, to.width, how=to.resize, interpolation=to.interpolation)
            for data in pictures
        ]
        vectors = self._embedder.vectors(np.stack(some))
        return vectors[0] if len(vectors) == 1 else mean(vectors, self.gallery.card.metric)

    def search(self, vector: Vector, how: Search) -> list[Hit]:
        """The records nearest to an embedding (D,).

        Raises:
            Refused: an embedding of another length, or too many searches waiting.
        """
        dim = self.gallery.card.dim
        if len(vector) != dim:
            raise Refused(422, f"The embedding has {len(vector)} numbers but this gallery's have {dim}: send {dim}.")
        if how.rerank:  # takes its time, in which others should not wait
            return self.gallery.search(vector, how.k, how.where, rerank=KReciprocal(), approximate=how.approximate)
        return self._search([(vector, how)])[0]

    def renew(self) -> None:
        """Decide as the gallery does from now on, after its decision was changed."""
        self.gallery = Gallery(self.gallery.store, self._embedder, self.gallery.actor)
        self._views.clear()

    def warm_up(self) -> None:
        """Load the vectors and the model and search once, so that the first request does not wait for it."""
        self.gallery.hold_vectors(self.settings.memory)
        to = self._embedder.model.card.preprocessing
        vector = self._embedder(np.full((to.height, to.width, 3), 127, np.uint8)).vectors[0]
        self.search(vector, Search(1, Filter(), rerank=False, approximate=False))

    def close(self) -> None:
        """Finish what was accepted and close the gallery."""
        self._embedder.close()
        self._search.close()
        self.gallery.close()

    def _hits(self, queries: list[tuple[Vector, Search]]) -> list[list[Hit] | ResightError]:
        alike = defaultdict(list)
        for at, (_, how) in enumerate(queries):
            alike[how].append(at)
        found: list[list[Hit] | ResightError] = [[] for _ in queries]
        with self.metrics.working("search", len(queries)):
            for how, places in alike.items():
                vectors = np.stack([queries[at][0] for at in places])
                for at, hits in zip(places, self._searched(vectors, how), strict=True):
                    found[at] = hits
        return found

    def _searched(self, vectors: NDArray[np.float32], how: Search) -> list[list[Hit] | ResightError]:
        try:
            return [*self.gallery.search_many(vectors, how.k, how.where, approximate=how.approximate)]
        except ResightError as error:
            if len(vectors) == 1:
                return [error]
            return [self._searched(vector[None], how)[0] for vector in vectors]  # only one of them is wrong
