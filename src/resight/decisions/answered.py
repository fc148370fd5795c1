"""Calibration on single pairs whose answer is known: a table with columns ``a,b,same``, such as people can answer.

Who is on the pictures is not known, so each pair counts as independent of the others. Draw the pairs at random, or the
rates are about pairs such as were chosen.

Shape letters: ``N`` pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.datasets.tables import Table, find, read_table
from resight.decisions import probability as probabilities
from resight.decisions.calibrate import check_promises, least_identities
from resight.decisions.conformal import conformal_distance
from resight.decisions.curves import curve, fmr, fnmr, threshold_at
from resight.decisions.decide import Decision, Facts
from resight.decisions.drift import Reference, reference
from resight.decisions.operating import RATES, Errors, Point, needed
from resight.decisions.pairs import STEPS, Pairs, step_of, to_end_of_step
from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.evaluation.compare import Interval
from resight.retrieval.evaluation.identity_bootstrap import independent
from resight.retrieval.ranking.arguments import check_embeddings, choose_metric
from resight.retrieval.ranking.rough import dissimilarities
from resight.retrieval.ranking.validity import check_same_model

_YES, _NO = ("1", "true", "yes", "same"), ("0", "false", "no", "different")


@dataclass(frozen=True, eq=False)
class Answers:
    """Pairs of pictures and whether both show the same identity.

    Attributes:
        first, second: (N,) paths.
        same: (N,) bool.
    """

    first: NDArray[np.str_]
    second: NDArray[np.str_]
    same: NDArray[np.bool_]


def read_answers(path: str | Path) -> Answers:
    """Read a CSV file with the columns ``a``, ``b`` (paths) and ``same`` (yes or no, true or false, 1 or 0).

    Paths count from the file's folder, the one above it, or the working folder.

    Raises:
        DataError: no such file, an image that does not exist or is paired with itself, another answer, or a pair that
            stands there twice, for each counts as independent of the others; the message names the line.
    """
    table = read_table(path, ("a", "b", "same"), others=True)
    same = []
    for row, cell in enumerate(table.columns["same"]):
        if cell.lower() not in _YES + _NO:
            raise table.error(row, f"the answer is {cell!r}: write yes or no.")
        same.append(cell.lower() in _YES)
    found = Answers(find(table, "a"), find(table, "b"), np.array(same))
    _refuse_repeats(table, found)
    return found


def _refuse_repeats(table: Table, found: Answers) -> None:
    seen: dict[frozenset[str], int] = {}
    twice = []
    for row, pair in enumerate(zip(found.first.tolist(), found.second.tolist(), strict=True)):
        if pair[0] == pair[1]:
            raise table.error(row, f"it pairs {pair[0]} with itself, which says nothing: take it out.")
        before = seen.setdefault(frozenset(pair), row)
        if before != row:
            twice.append((before, row))
    if twice:
        before, row = twice[0]
        how = "repeats" if found.same[before] == found.same[row] else "contradicts"
        more = f" ({len(twice):,} lines have a pair from before)" if len(twice) > 1 else ""
        raise table.error(row, f"it {how} line {table.lines[before]}{more}: leave each pair in once.")


def calibrate_answers(
    first: Embeddings,
    second: Embeddings,
    same: ArrayLike,
    *,
    false_match_rate: float = 1e-3,
    coverage: float = 0.95,
    metric: str | None = None,
    probability: str = "isotonic",
) -> Decision:
    """Learn what distances mean from N pairs, the i-th of ``first[i]`` and ``second[i]``.

    The decision's set distance is that within which a genuine pair is with probability ``coverage``; how many images
    of a gallery that would be is not known (``set_size`` is 0).

    Args:
        first, second: N embeddings each, of one model.
        same: (N,) whether both show the same identity.
        false_match_rate, coverage, metric, probability: as for :func:`resight.calibrate`.

    Raises:
        DataError: another number of answers, too few pairs of either kind, and then how many are needed, or as there.
    """
    check_embeddings(first=first, second=second)
    check_promises(false_match_rate, coverage)
    check_same_model(first, second)
    metric, answers = choose_metric(metric, first, second), np.asarray(same)
    if answers.dtype != np.bool_ or answers.shape != (len(first),) or len(second) != len(first):
        raise DataError(
            f"There are {len(first):,} and {len(second):,} images and answers of shape {answers.shape} and type "
            f"{answers.dtype}: pass one pair of images and one True or False for each."
        )
    distances = paired(first.vectors, second.vectors, metric)
    return of_distances(
        distances[answers],
        distances[~answers],
        reference(Embeddings(np.concatenate([first.vectors, second.vectors])), metric),
        metric=metric,
        fingerprint=first.fingerprint or second.fingerprint,
        false_match_rate=false_match_rate,
        coverage=coverage,
        probability=probability,
    )


def paired(first: NDArray[np.float32], second: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """(N,) distances of the rows of two (N, D)."""
    rows = np.arange(len(first))
    found = dissimilarities(first, second, rows, rows, metric)
    return (np.maximum(found, 0.0) ** (0.5 if metric == "euclidean" else 1.0)).astype(np.float32)


def of_distances(
    genuine: NDArray[np.float32],
    impostors: NDArray[np.float32],
    images: Reference,
    *,
    metric: str,
    fingerprint: str,
    false_match_rate: float,
    coverage: float,
    probability: str = "isotonic",
) -> Decision:
    """What distances mean, from those of pairs that are the same and of pairs that are not.

    Args:
        genuine, impostors: the distances of (N,) pairs of either kind, each independent of the others.
        images: what is kept of the images, see :func:`resight.decisions.drift.reference`.
        metric, fingerprint, false_match_rate, coverage, probability: as of the :class:`Decision`.

    Raises:
        DataError: as :func:`calibrate_answers`.
    """
    least, wanted = least_identities(coverage), needed(false_match_rate)
    if len(genuine) < least or len(impostors) < wanted:
        raise DataError(
            f"A coverage of {coverage:g} needs at least {least:,} pairs that are the same, and a false-match rate of "
            f"{false_match_rate:g} at least {wanted:,} that are not, but there are {len(genuine):,} and "
            f"{len(impostors):,}: answer more, or ask for less."
        )
    count = np.arange(len(genuine))
    pairs = Pairs(
        genuine,
        count,
        count,
        np.bincount(step_of(impostors), minlength=STEPS),
        nearest_match=genuine,
        nearest_other=np.full(len(genuine), np.inf, np.float32),
        match_first=np.ones(len(genuine), np.bool_),
        asked=np.ones(len(genuine), np.bool_),
    )
    threshold = threshold_at(pairs.impostors, false_match_rate)
    if threshold is None:
        raise DataError(
            f"More than {false_match_rate:g} of the pairs that are not the same have no distance at all between them, "
            "so no threshold keeps that rate: look for pairs of one picture with itself."
        )
    farthest = to_end_of_step(conformal_distance(genuine, count, coverage))
    false, missed = _rates(pairs, threshold)
    both = len(genuine) + len(impostors)
    return Decision(
        metric=metric,
        fingerprint=fingerprint,
        protocol="single_camera",
        false_match_rate=false_match_rate,
        coverage=coverage,
        threshold=threshold,
        no_match_beyond=max(threshold, farthest),
        set_distance=farthest,
        set_size=0.0,
        knots=probabilities.fit(pairs, probability),
        reference=images,
        facts=Facts(
            queries=both,
            gallery=both,
            identities=len(genuine),
            genuine=len(genuine),
            impostors=len(impostors),
            fmr=false,
            fnmr=missed,
            errors=_errors(pairs, false_match_rate),
        ),
    )


def _errors(pairs: Pairs, false_match_rate: float) -> Errors:
    eer, at = curve(pairs).eer()
    points = []
    for wanted in sorted({*RATES, false_match_rate}, reverse=True):
        enough = pairs.different_impostors >= needed(wanted)
        threshold = threshold_at(pairs.impostors, wanted) if enough else None
        both = (None, None) if threshold is None else _rates(pairs, threshold)
        points.append(Point(wanted, needed(wanted), threshold, *both))
    false, missed = _rates(pairs, at)
    low, high = (false.low + missed.low) / 2, (false.high + missed.high) / 2
    return Errors(Interval(eer, min(low, eer), max(high, eer)), at, tuple(points), (), 0)


def _rates(pairs: Pairs, threshold: float) -> tuple[Interval, Interval]:
    """FMR and FNMR of independent pairs at a threshold."""
    at = np.array([threshold], np.float32)
    shares = (fmr(pairs, at)[0], pairs.impostors.sum()), (fnmr(pairs, at)[0], len(pairs.genuine))
    false, missed = (Interval(float(x), *independent(round(x * total), int(total))) for x, total in shares)
    return false, missed
