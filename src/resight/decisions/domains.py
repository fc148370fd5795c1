"""Calibration on several domains (data sets of other places), so that the promise is that of the worst of them.

A threshold learnt under some cameras may let through many times the promised rate under others. So each validation
domain gets a threshold of its own, once from the impostor pairs of two cameras and once from those of one camera, where
strangers share light and background; the smallest of all is taken. Then each domain is left out once, the threshold is
chosen on the others, and measured on the one left out. Where it lets through more than promised, beyond chance, a new
place may do so too. If :mod:`~resight.decisions.drift` finds the place unlike the others, no match is given there and
the promise holds; if not, the threshold shrinks by the worst such ratio, and pairs between the two are "unsure".

Shape letters: ``C`` groups of identities, ``T`` thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.decisions.calibrate import both_sides, calibrate, check_promises, set_size, together
from resight.decisions.curves import threshold_at
from resight.decisions.decide import Decision, Domain
from resight.decisions.drift import Reference, drifts
from resight.decisions.operating import needed
from resight.decisions.pairs import collect, end_of, near_impostors, step_of
from resight.decisions.probability import Knots, log_likelihood_ratio
from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.evaluation.compare import Interval
from resight.retrieval.evaluation.identity_bootstrap import (
    Groups,
    count_near,
    draw,
    group_identities,
    impostor_totals,
    pair_rate,
    rate,
)
from resight.retrieval.ranking.arguments import choose_metric
from resight.retrieval.ranking.protocols import market1501, single_camera
from resight.retrieval.ranking.rank import MEMORY


def calibrate_domains(
    domains: Mapping[str, Embeddings | tuple[Embeddings, Embeddings]],
    *,
    false_match_rate: float = 1e-3,
    coverage: float = 0.95,
    metric: str | None = None,
    probability: str = "isotonic",
    memory: int = MEMORY,
) -> Decision:
    """Learn what distances mean from several domains, for places that are none of them.

    Genuine pairs are of two cameras, impostor pairs of all images of a domain. The probability of a distance is the
    lowest of the domains', and :meth:`~resight.Decision.drift` compares images with the most similar domain.

    Args:
        domains: two or more, by name: query and gallery embeddings, or one set, with identities and cameras.
        false_match_rate, coverage, metric, probability, memory: as for :func:`resight.calibrate`.

    Raises:
        DataError: fewer than two domains, no cameras, or as for :func:`resight.calibrate`; the message names the
            domain.
    """
    check_promises(false_match_rate, coverage)
    if len(domains) < 2:
        raise DataError(f"There are {len(domains)} domains: pass two or more, or calibrate on one without a name.")
    each = {name: _Domain(name, given, false_match_rate, metric, memory) for name, given in domains.items()}
    choose_metric(metric, *(one.images for one in each.values()))  # one metric for all
    learnt = []
    for one in each.values():
        try:
            learnt.append(
                calibrate(
                    one.images,
                    false_match_rate=false_match_rate,
                    coverage=coverage,
                    protocol=market1501,
                    metric=one.metric,
                    probability=probability,
                    memory=memory,
                )
            )
        except DataError as error:
            raise DataError(f"Domain {one.name}: {error}") from None
    own = np.array([one.threshold for one in each.values()])
    worst = int(own.argmin())
    others = [float(np.delete(own, at).min()) for at in range(len(own))]  # chosen without each domain
    left_out = [one.rates([other])[0] for one, other in zip(each.values(), others, strict=True)]
    unlike = [
        _unlike(one, [other.reference for other in learnt if other is not mine])
        for one, mine in zip(each.values(), learnt, strict=True)
    ]
    broken = [
        threshold / other
        for threshold, other, found, noticed in zip(own.tolist(), others, left_out, unlike, strict=True)
        if found.worst.low > false_match_rate and not noticed
    ]
    threshold = _end_below(float(own.min()) * min(broken, default=1.0))
    attained = [one.rates([threshold])[0] for one in each.values()]
    set_distance = max(one.set_distance for one in learnt)
    base = learnt[worst]
    return replace(
        base,
        threshold=threshold,
        no_match_beyond=max(threshold, *(one.no_match_beyond for one in learnt)),
        set_distance=set_distance,
        set_size=max(set_size(one.pairs, set_distance) for one in each.values()),
        knots=_lowest([one.knots for one in learnt]),
        facts=replace(base.facts, fmr=attained[worst].worst, fnmr=attained[worst].fnmr),
        domains=tuple(
            Domain(
                name,
                one.facts.identities,
                now.same_camera,
                now.cross_camera,
                now.fnmr,
                without.worst,
                noticed,
                one.reference,
            )
            for name, one, now, without, noticed in zip(each, learnt, attained, left_out, unlike, strict=True)
        ),
    )


@dataclass(frozen=True)
class _Rates:
    same_camera: Interval | None
    cross_camera: Interval | None
    fnmr: Interval

    @property
    def worst(self) -> Interval:
        """The larger of the two false-match rates."""
        known = [one for one in (self.same_camera, self.cross_camera) if one is not None]
        return max(known, key=lambda one: one.value)


class _Domain:
    """The pairs of one domain: all images against all, the impostor pairs of one camera apart from those of two."""

    def __init__(
        self, name: str, given: Embeddings | tuple[Embeddings, Embeddings], rate: float, metric: str | None, memory: int
    ) -> None:
        query, gallery, _ = both_sides(given)
        self.name, self.metric, self.memory = name, choose_metric(metric, query, gallery), memory
        images = query if query is gallery else together(query, gallery)
        if images.cameras is None:
            raise DataError(
                f"Domain {name} has no cameras, which tell pairs of one camera from pairs of two: add them."
            )
        self.images = images
        self.pairs = collect(images, images, market1501, self.metric, memory, 2)
        self.cameras = [np.flatnonzero(images.cameras == camera) for camera in np.unique(images.cameras)]
        same = np.zeros_like(self.pairs.impostors)
        for which in self.cameras:
            part = images.take(which)
            same += collect(part, part, single_camera, self.metric, memory, 2).impostors
        kinds = [kind for kind in (same, self.pairs.impostors - same) if kind.sum() // 2 >= needed(rate)]
        found = [threshold_at(kind, rate, 2) for kind in kinds]
        if not kinds or None in found:
            raise DataError(
                f"Domain {name} cannot support a false-match rate of {rate:g}: it needs {needed(rate):,} different "
                "impostor pairs of one camera, or of two, with a distance between them. Give more images or ask for a "
                "larger rate."
            )
        self.threshold = min(one for one in found if one is not None)

    def rates(self, thresholds: Sequence[float]) -> list[_Rates]:
        """The rates at each of some thresholds, ascending and at ends of steps, with intervals over identities."""
        images, ends = self.images, np.array(thresholds, np.float32)
        groups = group_identities(images, images)
        draws = draw(groups.count)
        within, totals = self._counts(images, groups, market1501, ends)
        same = [np.zeros_like(one) for one in (within, totals)]
        for which in self.cameras:
            part = Groups(groups.identities, groups.query[which], groups.gallery[which], groups.count)
            for sum_, found in zip(same, self._counts(images.take(which), part, single_camera, ends), strict=True):
                sum_ += found
        owner = groups.query[self.pairs.genuine_query]
        genuine = np.bincount(owner, minlength=groups.count)
        result = []
        for at, end in enumerate(ends):
            beyond = np.bincount(owner[self.pairs.genuine > end], minlength=groups.count)
            kinds = (same[0][at], same[1]), (within[at] - same[0][at], totals - same[1])
            one, two = (pair_rate(hits, whole, draws, 2) if whole.any() else None for hits, whole in kinds)
            result.append(_Rates(one, two, rate(beyond, genuine, draws, 2)))
        return result

    def _counts(
        self, images: Embeddings, groups: Groups, protocol: Any, ends: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(T, C, C) impostor pairs within each threshold, and (C, C) all of them."""
        near = near_impostors(images, images, protocol, self.metric, float(ends[-1]), self.memory)
        return count_near(near, ends, groups), impostor_totals(images, images, groups)


def _unlike(domain: _Domain, others: Sequence[Reference]) -> bool:
    """Whether a domain's images are unlike those of every other one: a decision of the others gives no match there."""
    return all(found.unlike for found in drifts(others, domain.images, domain.metric))


def _end_below(distance: float) -> float:
    """The largest end of a step that is not above a distance."""
    step = int(step_of([distance])[0])
    return float(end_of(step if end_of(step)[0] <= np.float32(distance) else step - 1)[0])


def _lowest(several: Sequence[Knots]) -> Knots:
    """The lowest log-likelihood ratio of several, at every distance where one of them bends."""
    at = np.unique([distance for knots in several for distance, _ in knots])
    lowest = np.min([log_likelihood_ratio(knots, at) for knots in several], axis=0)
    return tuple((float(distance), float(f"{ratio:.6g}")) for distance, ratio in zip(at, lowest, strict=True))
