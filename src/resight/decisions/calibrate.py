"""From embeddings whose identities are known to a decision: ``calibrate((query, gallery))``.

Calibrate on identities that the model was not trained on, and measure on others again
(:func:`resight.decisions.report.measure_decisions`): the promises are about identities that resemble those of
the calibration as much as these resemble each other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from resight.decisions import probability as probabilities
from resight.decisions.conformal import conformal_distance, needed_identities
from resight.decisions.curves import threshold_at
from resight.decisions.decide import Decision, Facts
from resight.decisions.drift import reference
from resight.decisions.operating import LEAST_IDENTITIES, RATES, errors, needed
from resight.decisions.pairs import Pairs, collect, step_of, to_end_of_step
from resight.errors import DataError
from resight.from_zero import from_one
from resight.records import JUNK, Embeddings
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.arguments import check_embeddings, choose_metric, number
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.validity import check_same_model


def calibrate(
    pairs_from: Embeddings | tuple[Embeddings, Embeddings],
    *,
    false_match_rate: float = 1e-3,
    coverage: float = 0.95,
    protocol: str | Protocol | None = None,
    metric: str | None = None,
    probability: str = "isotonic",
    memory: int = MEMORY,
) -> Decision:
    """Learn what distances mean from pairs whose answer is known.

    Args:
        pairs_from: query and gallery embeddings with identities, or one set of embeddings, of which all pairs are
            taken. With cameras where they are known.
        false_match_rate: the share of impostor pairs that may be taken for matches, in (0, 0.5].
        coverage: the wanted probability of a true match within the set distance, in (0, 1).
        protocol: which pairs count; "market1501" where both sides have cameras and "single_camera" where not, if None.
        metric: "euclidean" or "cosine"; None for that of the embeddings' model, euclidean where it is unknown.
        probability: "isotonic" or "logistic", see :mod:`resight.decisions.probability`.
        memory: bytes for a block of distances; it changes the speed, never the result.

    Returns:
        A :class:`~resight.decisions.decide.Decision`.

    Raises:
        DataError: an argument out of its range; two models; too little data, and then how much is needed; or more
            impostor pairs without any distance than the rate allows.
    """
    check_promises(false_match_rate, coverage)
    query, gallery, copies = both_sides(pairs_from)
    metric = choose_metric(metric, query, gallery)
    rules = choose_protocol(query, gallery, protocol)
    pairs = collect(query, gallery, rules, metric, memory, copies)
    assert query.identities is not None and gallery.identities is not None
    _check_enough(query, pairs, rules, false_match_rate, coverage)
    knots = probabilities.fit(pairs, probability)
    threshold = threshold_at(pairs.impostors, false_match_rate, copies)
    if threshold is None:
        raise DataError(
            f"More than {false_match_rate:g} of the impostor pairs have no distance at all between them, so no "
            "threshold keeps that rate: look for images that are in the data twice, or for a model that maps "
            "everything onto one point."
        )
    of_query = query.identities
    matched = pairs.has_match
    set_distance = conformal_distance(pairs.nearest_match[matched], of_query[matched], coverage)
    farthest = conformal_distance(pairs.genuine, of_query[pairs.genuine_query], coverage)
    set_distance, farthest = to_end_of_step(set_distance), to_end_of_step(farthest)
    found = errors(query, gallery, rules, metric, pairs, (*RATES, false_match_rate), memory)
    here = next(point for point in found.points if point.wanted == false_match_rate)
    assert here.fmr is not None and here.fnmr is not None
    images = query if copies == 2 else together(query, gallery)
    return Decision(
        metric=metric,
        fingerprint=query.fingerprint or gallery.fingerprint,
        protocol=rules.name,
        false_match_rate=false_match_rate,
        coverage=coverage,
        threshold=threshold,
        no_match_beyond=max(threshold, farthest),
        set_distance=set_distance,
        set_size=set_size(pairs, set_distance),
        knots=knots,
        reference=reference(images, metric),
        facts=Facts(
            queries=int(pairs.asked.sum()),
            gallery=int((gallery.identities != JUNK).sum()),
            identities=len(np.unique(of_query[matched])),
            genuine=pairs.different_genuine,
            impostors=pairs.different_impostors,
            fmr=here.fmr,
            fnmr=here.fnmr,
            errors=found,
        ),
    )


def check_promises(false_match_rate: float, coverage: float) -> None:
    """Whether both can be promised at all, whatever the data.

    Raises:
        DataError: a false-match rate that is not in (0, 0.5], or a coverage that is not in (0, 1).
    """
    advice = "choose a number above 0 and up to 0.5"
    number("The false-match rate", false_match_rate, advice, lambda rate: 0 < rate <= 0.5)
    number("The coverage", coverage, "choose a number between 0 and 1, such as 0.95", lambda share: 0 < share < 1)


def both_sides(pairs_from: Embeddings | tuple[Embeddings, Embeddings]) -> tuple[Embeddings, Embeddings, int]:
    """Query, gallery, and how many times each of their pairs comes: twice where both are one set.

    Raises:
        DataError: embeddings of two models, or without identities.
    """
    if isinstance(pairs_from, (tuple, list)) and len(pairs_from) == 2:
        query, gallery = pairs_from
    else:
        query = gallery = pairs_from
    check_embeddings(query=query, gallery=gallery)
    for name, one in (("query", query), ("gallery", gallery)):
        if one.identities is None:
            raise DataError(
                f"The {name} embeddings have no identities, which a calibration needs: "
                "pass identities=... as an (N,) array of integers."
            )
    check_same_model(query, gallery)
    query, gallery = from_one(query, gallery)
    if query is not gallery:
        return query, gallery, 1
    if query.paths is None:  # each image must differ from the others, so that it makes no pair with itself
        query = gallery = replace(query, paths=np.arange(len(query)).astype(np.str_))
    return query, gallery, 2


def choose_protocol(query: Embeddings, gallery: Embeddings, protocol: str | Protocol | None) -> Protocol:
    """The protocol asked for, or the one that fits what is known of cameras."""
    if protocol is None:
        protocol = "single_camera" if query.cameras is None or gallery.cameras is None else "market1501"
    return protocols.get(protocol)


def set_size(pairs: Pairs, distance: float) -> float:
    """How many valid gallery images are within a distance, an end of a step, on average over the queries."""
    within = int(pairs.impostors[: int(step_of([distance])[0]) + 1].sum())
    return (within + int((pairs.genuine <= np.float32(distance)).sum())) / int(pairs.asked.sum())


def least_identities(coverage: float) -> int:
    """How many identities a coverage needs at least."""
    return max(LEAST_IDENTITIES, needed_identities(coverage))


def _check_enough(query: Embeddings, pairs: Pairs, rules: Protocol, false_match_rate: float, coverage: float) -> None:
    assert query.identities is not None
    if not len(pairs.genuine):
        raise DataError(
            f"No two images make a genuine pair under protocol {rules.name}: check that query and gallery share "
            "identities, seen by different cameras where the protocol asks for that."
        )
    count = len(np.unique(query.identities[pairs.has_match]))
    least = least_identities(coverage)
    if count < least:
        raise DataError(
            f"A calibration with a coverage of {coverage:g} needs at least {least:,} identities with a true match, but "
            f"the data has {count:,}: give more identities" + (" or ask for less." if least > LEAST_IDENTITIES else ".")
        )
    if pairs.different_impostors < needed(false_match_rate):
        possible = 3 / max(pairs.different_impostors, 1)
        advice = f" or ask for a rate of {possible:.2g} or more" if possible <= 0.5 else ""
        raise DataError(
            f"A false-match rate of {false_match_rate:g} needs at least {needed(false_match_rate):,} different "
            f"impostor pairs, but the data has {pairs.different_impostors:,}: give more images of more "
            f"identities{advice}."
        )


def together(query: Embeddings, gallery: Embeddings) -> Embeddings:
    """The images of both sides with their identities, which must be known; cameras and paths where both have them."""

    def both(name: str) -> Any:
        sides = [getattr(one, name) for one in (query, gallery)]
        return None if any(one is None for one in sides) else np.concatenate(sides)

    return Embeddings(
        np.concatenate([query.vectors, gallery.vectors]),
        both("identities"),
        both("cameras"),
        both("paths"),
        fingerprint=query.fingerprint or gallery.fingerprint,
        metric=query.metric or gallery.metric,
    )
