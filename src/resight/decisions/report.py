"""Does a decision keep its promises on other people? ``measure_decisions(decision, query, gallery)``."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.decisions import drift as drifting
from resight.decisions.calibrate import both_sides, set_size, together
from resight.decisions.conformal import coverage_by_identity
from resight.decisions.curves import Curve, curve
from resight.decisions.decide import MATCH, NO_MATCH, UNSURE, Decision
from resight.decisions.drift import Drift
from resight.decisions.operating import beyond, false_positives, rates_at
from resight.decisions.pairs import collect, step_of
from resight.decisions.probability import Reliability, reliability
from resight.errors import DataError
from resight.records import JUNK, Embeddings
from resight.retrieval.evaluation.compare import Interval
from resight.retrieval.evaluation.identity_bootstrap import draw, group_identities, independent, rate
from resight.retrieval.ranking.protocols import Protocol, get
from resight.retrieval.ranking.rank import MEMORY


@dataclass(frozen=True)
class Shares:
    """How often each answer was given; the three add up to 1."""

    match: float
    unsure: float
    no_match: float


@dataclass(frozen=True, eq=False)
class DecisionReport:
    """What a decision attained; intervals are of 95%, over identities.

    Attributes:
        promised_fmr, fmr: the share of impostor pairs taken for matches, as promised and as attained.
        calibrated_fmr: the same share in the calibration, whose own interval says how sure the threshold was.
        fnmr: the share of genuine pairs that are beyond the threshold.
        refused: the share of genuine pairs answered with "no match"; promised is at most 1 - promised_coverage.
        unsure_genuine, unsure_impostor: the share of either kind answered with "unsure".
        promised_coverage, coverage: the probability of a true match within the set distance, for a query of a new
            person: each identity counts once.
        set_size: images within the set distance, on average.
        fpir: the share of searches for strangers that find a match. Strangers are the queries without a true match;
            where there are none, every query is searched for in a gallery without its own identity.
        tpir: the share of the other searches whose top result is right and a match.
        first_known, first_strangers: decisions on the top result of searches for people who are in the gallery,
            right or wrong, and of searches for strangers.
        searches: how many searches for strangers.
        eer: the equal error rate.
        curve: FMR and FNMR at every threshold, for ROC and DET curves (``curve.det()``).
        reliability: predicted against observed probabilities at a prior of 1/2; ``reliability.error`` is the expected
            calibration error.
        queries, identities: how many queries have an identity, and how many identities a true match.
        calibrated_identities: how many had one in the calibration.
        genuine, impostors: how many different pairs.
        drift: whether the images are unlike the calibration's; None where there are too few to tell.
        protocol, metric: the rules that were followed.
    """

    promised_fmr: float
    fmr: Interval
    calibrated_fmr: Interval
    fnmr: Interval
    refused: float
    unsure_genuine: float
    unsure_impostor: float
    promised_coverage: float
    coverage: Interval
    set_size: float
    fpir: Interval
    tpir: Interval
    first_known: Shares
    first_strangers: Shares
    searches: int
    eer: float
    curve: Curve
    reliability: Reliability
    queries: int
    identities: int
    calibrated_identities: int
    genuine: int
    impostors: int
    drift: Drift | None
    protocol: str
    metric: str

    @property
    def answers(self) -> dict[str, Shares]:
        """Decisions on genuine and on impostor pairs, and on the top results of both kinds of searches."""
        matched, wrong = 1 - self.fnmr.value, self.fmr.value
        return {
            "genuine pairs": Shares(matched, self.unsure_genuine, self.refused),
            "impostor pairs": Shares(wrong, self.unsure_impostor, 1 - wrong - self.unsure_impostor),
            "top results, people in the gallery": self.first_known,
            "top results, strangers": self.first_strangers,
        }

    @property
    def kept(self) -> bool:
        """Whether both promises agree with what was attained, as far as either side is sure of it.

        A promise is broken where the interval of the difference between attained and calibrated lies beyond 0. The
        interval is put together from those of the two sides (MOVER; Zou and Donner, "Construction of confidence limits
        about effect measures", Statistics in Medicine 2008).
        """
        more = self.fmr.value - self.calibrated_fmr.value
        unsure = math.hypot(self.fmr.value - self.fmr.low, self.calibrated_fmr.high - self.calibrated_fmr.value)
        less = self.promised_coverage - self.coverage.value
        known = self.calibrated_identities
        least, _ = independent(self.promised_coverage * known, known)
        doubtful = math.hypot(self.coverage.high - self.coverage.value, self.promised_coverage - least)
        return more <= unsure and less <= doubtful

    def numbers(self) -> dict[str, Any]:
        """The report ready for JSON: all numbers, the reliability diagram, and some 200 points of the curve."""
        plain = {
            name: asdict(value) if isinstance(value, Interval) else value
            for name, value in vars(self).items()
            if name not in ("curve", "reliability", "drift", "first_known", "first_strangers")
        }
        thin, fit = self.curve.thinned(), self.reliability
        return plain | {
            "kept": self.kept,
            "answers": {name: asdict(shares) for name, shares in self.answers.items()},
            "drift": None if self.drift is None else asdict(self.drift) | {"unlike": self.drift.unlike},
            "calibration_error": fit.error,
            "reliability": {name: getattr(fit, name).tolist() for name in ("predicted", "observed", "weight")},
            "curve": {name: getattr(thin, name).tolist() for name in ("thresholds", "fmr", "fnmr")},
        }

    def __str__(self) -> str:
        return (
            f"false matches {rate_text(self.fmr)}, promised {rate_text(self.promised_fmr)}; "
            f"missed matches {rate_text(self.fnmr)}; "
            f"coverage {rate_text(self.coverage)}, promised {self.promised_coverage:g}, "
            f"with {self.set_size:,.1f} images a query; calibration error {self.reliability.error:.2%} "
            f"({self.metric}, {self.protocol}; {self.queries:,} queries of {self.identities:,} identities, "
            f"{self.genuine:,} genuine and {self.impostors:,} impostor pairs): "
            f"the promises are {'kept' if self.kept else 'broken'}"
        )


def measure_decisions(
    decision: Decision,
    query: Embeddings,
    gallery: Embeddings,
    protocol: str | Protocol | None = None,
    memory: int = MEMORY,
) -> DecisionReport:
    """What a decision attains on labelled embeddings; to test its promises they must be of other identities.

    Args:
        decision: from :func:`resight.calibrate`.
        query, gallery: embeddings with identities, of the decision's model; the same object for all pairs of one set.
        protocol: which pairs count; the decision's own if None.
        memory: bytes for a block of distances; it changes the speed, never the result.

    Raises:
        DataError: embeddings of another model, a missing column, or no pair of one of the two kinds.
    """
    query, gallery, copies = both_sides((query, gallery))
    decision.check(query, gallery)
    rules = get(protocol or decision.protocol)
    pairs = collect(query, gallery, rules, decision.metric, memory, copies)
    assert query.identities is not None
    if not len(pairs.genuine) or not pairs.different_impostors:
        kind = "impostor" if len(pairs.genuine) else "genuine"
        raise DataError(
            f"There is no {kind} pair under protocol {rules.name}, so the decision cannot be measured: check "
            "identities and cameras."
        )
    ((fmr, fnmr),) = rates_at(query, gallery, rules, decision.metric, pairs, [decision.threshold], memory)
    groups = group_identities(query, gallery)
    matched = pairs.has_match
    covered = pairs.nearest_match[matched] <= np.float32(decision.set_distance)
    shares = coverage_by_identity(covered, query.identities[matched])
    owner = groups.of(np.unique(query.identities[matched]))
    strangers, nearest = false_positives(query, pairs)
    threshold = np.float32(decision.threshold)
    right = matched & pairs.match_first & (pairs.nearest_match <= threshold)
    within = np.cumsum(pairs.impostors)
    near, far = (int(within[int(step_of([d])[0])]) for d in (decision.threshold, decision.no_match_beyond))
    refused = beyond(pairs, decision.no_match_beyond)
    whole = curve(pairs)
    draws = draw(groups.count)

    def of_queries(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Interval:
        part, whole = (np.bincount(groups.query[one], minlength=groups.count) for one in (hits, among))
        return rate(part, whole, draws)

    images = query if copies == 2 else together(query, gallery)
    enough = int((np.asarray(images.identities) != JUNK).sum()) >= drifting.GROUP
    return DecisionReport(
        promised_fmr=decision.false_match_rate,
        fmr=fmr,
        calibrated_fmr=decision.facts.fmr,
        fnmr=fnmr,
        refused=refused,
        unsure_genuine=fnmr.value - refused,
        unsure_impostor=(far - near) / int(within[-1]),
        promised_coverage=decision.coverage,
        coverage=rate(
            np.bincount(owner, weights=shares, minlength=groups.count),
            np.bincount(owner, minlength=groups.count),
            draws,
        ),
        set_size=set_size(pairs, decision.set_distance),
        fpir=of_queries(strangers & (nearest <= threshold), strangers),
        tpir=of_queries(right, matched),
        first_known=_shares(decision, np.minimum(pairs.nearest_match, pairs.nearest_other)[matched]),
        first_strangers=_shares(decision, nearest[strangers]),
        searches=int(strangers.sum()),
        eer=whole.eer()[0],
        curve=whole,
        reliability=reliability(pairs, decision.knots),
        queries=int(pairs.asked.sum()),
        identities=len(shares),
        calibrated_identities=decision.facts.identities,
        genuine=pairs.different_genuine,
        impostors=pairs.different_impostors,
        drift=decision.drift(images) if enough else None,
        protocol=rules.name,
        metric=decision.metric,
    )


def _shares(decision: Decision, distances: NDArray[np.float32]) -> Shares:
    found = decision.decide(distances)
    return Shares(*(float((found == word).mean()) for word in (MATCH, UNSURE, NO_MATCH)))


def rate_text(rate: float | Interval) -> str:
    """A rate in percent with two digits that count, as "0.012%"; an interval as "0.10% [0.05%, 0.21%]"."""
    if isinstance(rate, Interval):
        return f"{rate_text(rate.value)} [{rate_text(rate.low)}, {rate_text(rate.high)}]"
    percent = 100 * rate
    return f"{percent:.1f}%" if percent >= 10 or percent == 0 else f"{percent:.2g}%"
