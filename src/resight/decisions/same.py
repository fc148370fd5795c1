"""Two pictures: the same one or not, and how sure is that?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from resight.decisions.decide import MATCH, Decision
from resight.embedding.embedder import Embedder
from resight.errors import ModelError
from resight.images.pictures import Colour, Picture
from resight.models.loading import load
from resight.models.model import Model
from resight.retrieval.ranking.distance import pairwise


@dataclass(frozen=True)
class Answer:
    """The answer about two pictures; it is true where they are a match.

    Attributes:
        answer: ``"match"``, ``"unsure"`` (a person should decide) or ``"no match"``.
        probability: that both show the same one, in (0, 1).
        distance: between their embeddings; ``metric``: which distance.
        threshold, no_match_beyond: up to where it is a match, and beyond where it is none.
    """

    answer: str
    probability: float
    distance: float
    metric: str
    threshold: float
    no_match_beyond: float

    def __bool__(self) -> bool:
        return self.answer == MATCH

    def __str__(self) -> str:
        marks = f"match up to {self.threshold:.3f}, no match beyond {self.no_match_beyond:.3f}"
        return f"{self.answer}: {self.metric} distance {self.distance:.3f} ({marks})"


def same(
    first: Picture,
    second: Picture,
    embedder: Embedder | Model | str | None = None,
    *,
    prior: float = 0.5,
    colour: Colour = "RGB",
) -> Answer:
    """Whether two pictures show the same one.

    Args:
        first, second: two crops, each of one person (or vehicle): a path, bytes, a Pillow image, an array (H, W, 3) or
            a tensor (3, H, W).
        embedder: a calibrated model, its name or path, or an Embedder, which is best for many pictures; the bundled
            person model when None.
        prior: how likely "the same" is before looking, see :meth:`resight.decisions.decide.Decision.probability`.
        colour: the order of arrays and tensors, ``"BGR"`` for those of OpenCV; files know their own.

    Raises:
        DataError: a picture that cannot be read, or a prior that is not between 0 and 1.
        ModelError: a model that was never calibrated.
    """
    ready = _ready(embedder)
    decision = Decision.from_card(ready.model.card)
    vectors = ready([first, second], colour=colour).vectors
    distance = float(pairwise(vectors[:1], vectors[1:], decision.metric)[0, 0])
    return Answer(
        decision.decide(distance),
        decision.probability(distance, prior),
        distance,
        decision.metric,
        decision.threshold,
        decision.no_match_beyond,
    )


def _ready(given: Any) -> Embedder:
    if given is None:
        return _bundled()
    if isinstance(given, Embedder):
        return given
    if isinstance(given, str):
        given = load(given)
    if not isinstance(given, Model):
        raise ModelError(f"{given!r} is no model: pass resight.load(...), its name, or a resight.Embedder.")
    return Embedder(given, batch_size=2)


@lru_cache(maxsize=1)
def _bundled() -> Embedder:
    return Embedder(load(), batch_size=2)
