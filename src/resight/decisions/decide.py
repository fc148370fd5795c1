"""Is this the same one: yes, no, or unsure? A decision, calibrated on pairs whose answer is known.

It is made by :func:`resight.calibrate`, kept in the model's card as plain data, and used by every later step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.decisions import drift as drifting
from resight.decisions import probability as probabilities
from resight.decisions.drift import Drift, Reference
from resight.decisions.operating import Errors, Point, SearchPoint
from resight.decisions.probability import Knots
from resight.errors import DataError, ModelError
from resight.models.card import Card
from resight.records import Embeddings
from resight.retrieval.evaluation.compare import Interval
from resight.retrieval.ranking.arguments import check_embeddings

MATCH, UNSURE, NO_MATCH = "match", "unsure", "no match"
VERSION = 2
READABLE = (1, VERSION)


@dataclass(frozen=True)
class Facts:
    """What a decision was calibrated on, and what it attained there.

    Attributes:
        queries, gallery: how many images, junk and queries without an identity left out.
        identities: how many with a true match; the promises are about more of their kind.
        genuine, impostors: how many different pairs.
        fmr, fnmr: the rates of the threshold, with 95% intervals over identities.
        errors: the equal error rate and what other thresholds would do.
    """

    queries: int
    gallery: int
    identities: int
    genuine: int
    impostors: int
    fmr: Interval
    fnmr: Interval
    errors: Errors


@dataclass(frozen=True)
class Domain:
    """What a decision that was calibrated on several domains does on one of them; intervals are of 95%.

    Attributes:
        name: of the domain.
        identities: how many with a true match.
        same_camera, cross_camera: false-match rates at the decision's threshold, of pairs of one camera and of two;
            None where the domain has no such pairs.
        fnmr: the share of genuine pairs of two cameras that are beyond the threshold.
        left_out: the larger false-match rate at the threshold that the other domains alone give.
        unlike: whether :meth:`Decision.drift` finds its images unlike those of all other domains, so that a decision of
            those gives no match on them.
        reference: its images in numbers, for :meth:`Decision.drift`.
    """

    name: str
    identities: int
    same_camera: Interval | None
    cross_camera: Interval | None
    fnmr: Interval
    left_out: Interval
    unlike: bool
    reference: Reference


@dataclass(frozen=True)
class Decision:
    """What distances mean, for embeddings of one model under one metric.

    Attributes:
        metric, fingerprint: which distances, of which model ("" where the embeddings did not say).
        protocol: which pairs counted.
        false_match_rate: the share of impostor pairs that may be taken for matches, as asked for.
        coverage: the probability, as asked for, with which a set holds a true match, and a genuine pair is not refused.
        threshold: two images at most this far apart are a match.
        no_match_beyond: two images farther apart than this are no match; never below the threshold. Between the two
            the answer is "unsure".
        set_distance: all gallery images within this distance of a query of a new person hold one of its true matches,
            if there are any, with probability ``coverage``.
        set_size: how many images that is, on average over the calibration's queries; 0 where it is not known.
        knots: the log-likelihood ratio by distance, see :mod:`resight.decisions.probability`.
        reference: the calibration images in numbers, for :meth:`drift`.
        facts: what all this was learnt from; with several domains, from the one with the smallest threshold.
        domains: what it does on each of several domains, see :mod:`resight.decisions.domains`; empty for one.
    """

    metric: str
    fingerprint: str
    protocol: str
    false_match_rate: float
    coverage: float
    threshold: float
    no_match_beyond: float
    set_distance: float
    set_size: float
    knots: Knots
    reference: Reference
    facts: Facts
    domains: tuple[Domain, ...] = ()

    def decide(self, distance: ArrayLike) -> Any:
        """``"match"``, ``"unsure"`` or ``"no match"``; for an array of distances an array of these, of its shape.

        Args:
            distance: one distance or many, of this decision's metric.
        """
        values = _distances(distance)
        refused = values > self.no_match_beyond
        words: NDArray[np.str_] = np.where(values <= self.threshold, MATCH, np.where(refused, NO_MATCH, UNSURE))
        return str(words) if words.ndim == 0 else words

    def probability(self, distance: ArrayLike, prior: float = 0.5) -> Any:
        """The probability that two images at this distance show the same one, in (0, 1).

        Args:
            distance: one distance or many; the result has the same shape.
            prior: the share of genuine pairs among those you ask about. 1/2 asks which of the two the distance speaks
                for; in a gallery of 1,000 people each of whom is as likely, it is 1/1000.

        Raises:
            DataError: a prior that is not between 0 and 1.
        """
        found = probabilities.probability(self.knots, _distances(distance), prior)
        return float(found) if found.ndim == 0 else found

    def drift(self, images: Embeddings) -> Drift:
        """How unlike new images are, see :mod:`resight.decisions.drift`; 64 or more are needed, labels are not.

        With several domains it is the comparison with the most similar of them.

        Raises:
            DataError: too few images, or images of another model.
        """
        self.check(images)
        known = [one.reference for one in self.domains] or [self.reference]
        found = drifting.drifts(known, images, self.metric)
        return min(found, key=lambda one: (one.unlike, max(shift.distance for shift in one.shifts)))

    def taken_over(self, fingerprint: str) -> Decision:
        """This decision for another model that was trained alike, such as one that has seen all of the data.

        Thresholds, probabilities and promises are taken to hold for its embeddings too; :meth:`drift` compares only how
        crowded they are, since their length and mean differ from one training to the next.
        """
        domains = tuple(replace(one, reference=one.reference.for_another_network()) for one in self.domains)
        reference = self.reference.for_another_network()
        return replace(self, fingerprint=fingerprint, reference=reference, domains=domains)

    def check(self, *embeddings: Embeddings, metric: str | None = None) -> None:
        """Refuse embeddings, or a metric, that this decision is not about.

        Raises:
            DataError: embeddings of another model or dimension, or another metric.
        """
        if metric is not None and metric != self.metric:
            raise DataError(
                f"The decision is about {self.metric} distances, not {metric} ones: use {self.metric}, or calibrate "
                f"again with metric={metric!r}."
            )
        for one in embeddings:
            check_embeddings(images=one)
            if one.fingerprint and self.fingerprint and one.fingerprint != self.fingerprint:
                raise DataError(
                    f"The decision was calibrated on embeddings of {self.fingerprint} but these are of "
                    f"{one.fingerprint}: embed with the same model and preprocessing, or calibrate again."
                )
            if one.vectors.shape[1] != self.reference.dim:
                raise DataError(
                    f"The decision was calibrated on embeddings of {self.reference.dim} dimensions but these have "
                    f"{one.vectors.shape[1]}: embed with the same model, or calibrate again."
                )

    def plain(self) -> dict[str, Any]:
        """The decision as JSON's own types, for :meth:`from_plain`."""
        result: dict[str, Any] = json.loads(json.dumps({"version": VERSION} | asdict(self), allow_nan=False))
        return result

    @classmethod
    def from_card(cls, card: Card) -> Decision:
        """The decision in a model's card: ``Decision.from_card(resight.load("person").card)``.

        Raises:
            ModelError: the model was never calibrated, or its card holds the decision of another model.
        """
        if card.decision is None:
            raise ModelError(
                f"This {card.architecture} has not been calibrated, so what its distances mean is not known: run "
                "resight calibrate MODEL DATA first."
            )
        decision = cls.from_plain(card.decision)
        if (decision.fingerprint, decision.metric) != (card.fingerprint, card.metric):
            raise ModelError(
                f"The card holds a decision about {decision.metric} distances of {decision.fingerprint}, but the model "
                f"is {card.fingerprint} with {card.metric} distance: run resight calibrate again."
            )
        return decision

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Decision:
        """The decision that :meth:`plain` gave.

        Raises:
            DataError: data that is none, or of a later version.
        """
        content = dict(data)
        version = content.pop("version", None)
        if version not in READABLE:
            raise DataError(f"This decision is of version {version} but {VERSION} is known here: calibrate again.")
        if version == 1:
            content.pop("camera_pairs", None)  # thresholds for pairs of cameras, which nothing applied
        try:
            content["knots"] = tuple((float(d), float(ratio)) for d, ratio in content["knots"])
            content["reference"] = _reference(content["reference"])
            content["domains"] = tuple(
                Domain(**_intervals(one, "same_camera", "cross_camera", "fnmr", "left_out") | {"reference": ref})
                for one in content.get("domains", ())
                for ref in [_reference(one["reference"])]
            )
            content["facts"] = _facts(content["facts"])
            return cls(**content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"This decision is incomplete ({error}): calibrate again.") from None

    def __str__(self) -> str:
        unsure = f"unsure up to {self.no_match_beyond:.4g}" if self.no_match_beyond > self.threshold else "never unsure"
        places = f", the worst of {len(self.domains)} places" if self.domains else ""
        size = f", {self.set_size:,.1f} images" if self.set_size else ""
        return (
            f"match up to {self.metric} distance {self.threshold:.4g} (promised false-match rate "
            f"{self.false_match_rate:g}, misses {self.facts.fnmr.value:.1%} of the genuine pairs), {unsure}; within "
            f"{self.set_distance:.4g} a true match with probability {self.coverage:g}{size}; "
            f"from {self.facts.impostors:,} impostor and {self.facts.genuine:,} genuine pairs of "
            f"{self.facts.identities:,} identities{places}"
        )


def _distances(given: ArrayLike) -> NDArray[np.float64]:
    """One distance or many, of any shape.

    Raises:
        DataError: something that is no number, or not a distance.
    """
    values = np.asarray(given)
    if values.dtype.kind not in "iuf" or not (values >= 0).all():
        raise DataError(
            f"A distance is a number from 0 upwards, but {given!r} was passed: pass one or an array of them."
        )
    return values.astype(np.float64)


def _reference(data: Mapping[str, Any]) -> Reference:
    return Reference(**dict(data) | {"quantiles": tuple(map(tuple, data["quantiles"]))})


def _facts(data: Mapping[str, Any]) -> Facts:
    rates = dict(data["errors"])
    rates["eer"] = Interval(**rates["eer"])
    rates["points"] = tuple(Point(**_intervals(one, "fmr", "fnmr")) for one in rates["points"])
    rates["searches"] = tuple(SearchPoint(**_intervals(one, "fpir", "tpir")) for one in rates["searches"])
    return Facts(**_intervals(data, "fmr", "fnmr") | {"errors": Errors(**rates)})


def _intervals(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return dict(data) | {name: None if data[name] is None else Interval(**data[name]) for name in names}
