"""Attribute re-ID from end to end on arrays: three distances compared, and the threshold for matches with each.

Everything that is chosen (the weights, the linear layer, the threshold, which of the three is best) is chosen on the
validation part; the evaluated part is only measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.attributes.distance import LinearAttributes, reliability, weighted
from resight.attributes.threshold import BETA, MatchesReport, Threshold, choose_threshold, measure_matches
from resight.errors import DataError
from resight.records import Embeddings, Report
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.within import MatchesWithin, matches_within

Distance = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Part:
    """A query set and a gallery of attribute outputs, (Q, A) and (G, A), and the protocol they are measured by."""

    query: Embeddings
    gallery: Embeddings
    protocol: str | Protocol

    def seen_through(self, distance: Distance) -> Part:
        """The same images with other vectors."""
        return Part(_with(self.query, distance), _with(self.gallery, distance), self.protocol)


@dataclass(frozen=True, eq=False)
class Variant:
    """One way to compare attributes, measured.

    Attributes:
        name: ``plain``, ``weighted`` or ``linear``.
        validation, report: the ranking of the validation part and of the evaluated part.
        threshold: the distance to stop at, chosen on the validation part.
        matches: the images of the evaluated part within it; matched: how good they are.
    """

    name: str
    validation: Report
    report: Report
    threshold: Threshold
    matches: MatchesWithin
    matched: MatchesReport

    def numbers(self) -> dict[str, Any]:
        """The variant without the matches of each query, ready for JSON."""
        return {
            "name": self.name,
            "validation": self.validation.numbers(),
            "report": self.report.numbers(),
            "threshold": vars(self.threshold),
            "matches": self.matched.numbers(),
        }


def compare(
    train: Embeddings, validation: Part, evaluated: Part, names: Sequence[str], *, beta: float = BETA
) -> list[Variant]:
    """Attribute outputs compared by Euclidean distance in three ways: plain, weighted and linear.

    Args:
        train: (N, A) outputs of the people the linear layer is fitted to.
        validation: other people, with labels in ``columns["attributes"]`` (255 where unknown): they give the weights
            (:func:`~resight.attributes.distance.reliability`) and the thresholds.
        evaluated: what is measured.
        names: of the A attributes.
        beta: for the thresholds, see :func:`~resight.attributes.threshold.choose_threshold`.

    Raises:
        DataError: a column that is missing, or whatever the steps refuse.
    """
    if train.identities is None:
        raise DataError("The train outputs have no identities, to which the linear layer is fitted: pass them.")
    known = (validation.query, validation.gallery)
    logits = np.concatenate([one.vectors for one in known])
    weights = reliability(np.concatenate([labels(one) for one in known]), probabilities(logits), names)
    linear = LinearAttributes.fit(train.vectors, train.identities)
    distances: dict[str, Distance] = {
        "plain": lambda vectors: vectors,
        "weighted": lambda vectors: weighted(vectors, weights),
        "linear": linear,
    }
    return [_measure(name, distance, validation, evaluated, beta) for name, distance in distances.items()]


def best(variants: Sequence[Variant]) -> Variant:
    """The variant with the highest mAP on the validation part; among equals the first."""
    return max(variants, key=lambda variant: variant.validation.mAP)


def labels(outputs: Embeddings) -> NDArray[Any]:
    """The (N, A) attribute labels of the images of ``outputs``.

    Raises:
        DataError: there are none.
    """
    if "attributes" not in outputs.columns:
        raise DataError('The images have no attribute labels: use data whose splits have columns["attributes"].')
    return outputs.columns["attributes"]


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sigmoid 1 / (1 + exp(-x)) of (N, A) logits, without overflow."""
    result: NDArray[np.float32] = np.exp(-np.logaddexp(np.float32(0), -logits)).astype(np.float32)
    return result


def _measure(name: str, distance: Distance, validation: Part, evaluated: Part, beta: float) -> Variant:
    seen = validation.seen_through(distance)
    threshold = choose_threshold(seen.query, seen.gallery, seen.protocol, "euclidean", beta=beta)
    part = evaluated.seen_through(distance)
    matches = matches_within(part.query, part.gallery, threshold.distance, "euclidean", part.protocol)
    return Variant(
        name,
        evaluate(seen.query, seen.gallery, protocol=seen.protocol, metric="euclidean"),
        evaluate(part.query, part.gallery, protocol=part.protocol, metric="euclidean"),
        threshold,
        matches,
        measure_matches(matches, part.query, part.gallery, part.protocol),
    )


def _with(outputs: Embeddings, distance: Distance) -> Embeddings:
    return Embeddings(
        distance(outputs.vectors),
        outputs.identities,
        outputs.cameras,
        outputs.paths,
        outputs.columns,
        outputs.fingerprint,
    )
