"""How well binary attributes are recognised: per attribute, per image, and by the official score of Market-1501.

Shape letters: ``N`` images, ``A`` attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.datasets.attribute_names import AGES, DOWN_COLOURS, OFFICIAL, UNKNOWN, UP_COLOURS
from resight.errors import DataError

_CHOICES = {"age": AGES, "upper colour": UP_COLOURS, "lower colour": DOWN_COLOURS}


@dataclass(frozen=True, eq=False)
class AttributeReport:
    """What :func:`measure_attributes` found; rates are in [0, 1].

    Attributes:
        names: of the A attributes.
        accuracy: (A,) share of images with the right answer.
        balanced: (A,) mean of the shares of positive and of negative images with the right answer; NaN where the
            images have no positive or no negative.
        precision, recall, f1: (A,); NaN where the images have no positive. Precision is 0 where nothing was predicted.
        positives: (A,) int64, how many images have the attribute.
        mA: mean of ``balanced`` where it is defined (label-based mean accuracy).
        macro_accuracy: mean of ``accuracy``.
        macro_precision, macro_recall, macro_f1: means over the attributes that have a positive image.
        instance_accuracy, instance_precision, instance_recall, instance_f1: means over the images that have an
            attribute at all; NaN where none has.
        left_out: attributes that do not count in ``mA``, since the images have no positive or no negative.
        images: how many images were measured; ``unknown`` more had no labels.
        threshold: probability from which an attribute counts as predicted.
    """

    names: tuple[str, ...]
    accuracy: NDArray[np.float64]
    balanced: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    positives: NDArray[np.int64]
    mA: float
    macro_accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    instance_accuracy: float
    instance_precision: float
    instance_recall: float
    instance_f1: float
    left_out: tuple[str, ...]
    images: int
    unknown: int
    threshold: float

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per attribute: name, positives, and its rates, None where one is not defined."""
        return [
            {"name": name, "positives": int(self.positives[a])}
            | {key: _plain(getattr(self, key)[a]) for key in ("accuracy", "balanced", "precision", "recall", "f1")}
            for a, name in enumerate(self.names)
        ]

    def numbers(self) -> dict[str, Any]:
        """Everything, ready for JSON: the summary, and ``attributes`` with one entry each."""
        summary = ("mA", "macro_accuracy", "macro_precision", "macro_recall", "macro_f1")
        instance = ("instance_accuracy", "instance_precision", "instance_recall", "instance_f1")
        return {
            **{key: _plain(getattr(self, key)) for key in summary + instance},
            "left_out": list(self.left_out),
            "images": self.images,
            "unknown": self.unknown,
            "threshold": self.threshold,
            "attributes": self.rows(),
        }

    def __str__(self) -> str:
        def percent(value: float) -> str:
            return "undefined" if np.isnan(value) else f"{value:.2%}"

        skipped = f" (without {', '.join(self.left_out)})" if self.left_out else ""
        return (
            f"mA {percent(self.mA)}{skipped}; over attributes: precision {percent(self.macro_precision)}, "
            f"recall {percent(self.macro_recall)}, F1 {percent(self.macro_f1)}, accuracy "
            f"{percent(self.macro_accuracy)}; over images: accuracy {percent(self.instance_accuracy)}, precision "
            f"{percent(self.instance_precision)}, recall {percent(self.instance_recall)}, "
            f"F1 {percent(self.instance_f1)} ({self.images:,} images, {self.unknown:,} more without labels)"
        )


def measure_attributes(
    truth: ArrayLike, probabilities: ArrayLike, names: Sequence[str], threshold: float = 0.5
) -> AttributeReport:
    """Predicted attributes against the true ones.

    With TP, FP, FN, TN counted for attribute l over the images, P = TP + FN and N = TN + FP:

    - accuracy = (TP + TN) / (P + N), balanced = (TP / P + TN / N) / 2, mA = mean of balanced (Li et al., DeepMAR);
    - precision = TP / (TP + FP), recall = TP / P, F1 = 2 TP / (2 TP + FP + FN), and their means over attributes.
      They are means over the attributes, so the mean F1 is not the harmonic mean of the other two means.

    With Y the attributes an image has and Y' those predicted, over the images with |Y| > 0 (dangweili's evaluation):
    accuracy = mean |Y n Y'| / |Y u Y'|, precision = mean |Y n Y'| / max(|Y'|, 1), recall = mean |Y n Y'| / |Y|, and F1
    the harmonic mean of the last two.

    Args:
        truth: (N, A) of 0 and 1; a row of 255 is an image without labels, which is left out.
        probabilities: (N, A) floats in [0, 1].
        names: of the A attributes.
        threshold: an attribute is predicted where its probability is at least this.

    Raises:
        DataError: shapes that do not fit, other labels, numbers that are no probabilities, or no labelled image.
    """
    labels, found = _checked(truth, probabilities, names)
    known = labels[:, 0] != UNKNOWN
    real, predicted = labels[known] == 1, found[known] >= threshold
    count = len(real)
    hits = (real & predicted).sum(0)
    positives, guesses = real.sum(0), predicted.sum(0)
    negatives, rejected = count - positives, count - positives - guesses + hits
    recall = _ratio(hits, positives)
    balanced = (recall + _ratio(rejected, negatives)) / 2
    some = positives > 0
    precision = np.where(some, hits / np.maximum(guesses, 1), np.nan)
    f1 = np.where(some, 2 * hits / np.maximum(positives + guesses, 1), np.nan)
    accuracy = (hits + rejected) / count
    defined = ~np.isnan(balanced)

    carriers = real.any(1)
    both = (real & predicted)[carriers].sum(1)
    either = (real | predicted)[carriers].sum(1)
    has, predictions = real[carriers].sum(1), np.maximum(predicted[carriers].sum(1), 1)
    instance_precision, instance_recall = _mean(both / predictions), _mean(both / has)
    total = instance_precision + instance_recall
    return AttributeReport(
        names=tuple(names),
        accuracy=accuracy,
        balanced=balanced,
        precision=precision,
        recall=recall,
        f1=f1,
        positives=positives.astype(np.int64),
        mA=_mean(balanced[defined]),
        macro_accuracy=_mean(accuracy),
        macro_precision=_mean(precision[some]),
        macro_recall=_mean(recall[some]),
        macro_f1=_mean(f1[some]),
        instance_accuracy=_mean(both / either),
        instance_precision=instance_precision,
        instance_recall=instance_recall,
        instance_f1=0.0 if total == 0 else 2 * instance_precision * instance_recall / total,
        left_out=tuple(name for name, counts in zip(names, defined, strict=True) if not counts),
        images=count,
        unknown=int((~known).sum()),
        threshold=float(threshold),
    )


def predict12(probabilities: ArrayLike, names: Sequence[str]) -> NDArray[np.int64]:
    """Predictions in the twelve columns of :data:`OFFICIAL`.

    The yes-or-no columns are 1 for no and 2 for yes (probability at least 0.5), as in the official labels. Age and the
    two colours are the place, from 1, of the most probable among theirs; one colour is always named, also where
    "multicolour" is more probable than any.

    Args:
        probabilities: (N, A) floats in [0, 1].
        names: of the A attributes; in any order.

    Returns:
        (N, 12) int64.

    Raises:
        DataError: shapes that do not fit, or an attribute that is missing.
    """
    given = np.asarray(probabilities)
    if given.ndim != 2 or given.shape[1] != len(names):
        raise DataError(
            f"The probabilities have shape {given.shape} for {len(names)} names: pass one column for each attribute."
        )
    place = {name: a for a, name in enumerate(names)}
    missing = [name for column in OFFICIAL for name in _CHOICES.get(column, (column,)) if name not in place]
    if missing:
        raise DataError(f"The official score needs the attribute {missing[0]}, which is not among the names: add it.")
    columns = []
    for column in OFFICIAL:
        if column in _CHOICES:
            columns.append(1 + given[:, [place[name] for name in _CHOICES[column]]].argmax(1))
        else:
            columns.append(1 + (given[:, place[column]] >= 0.5))
    return np.stack(columns, 1).astype(np.int64)


def official_accuracy(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.float64], float]:
    """Market-1501's official attribute score: accuracy of each of the twelve columns, and the mean of the twelve.

    Every image counts in every column: one whose person has no colour label (0) can never be right there.

    Args:
        truth: (N, 12) labels from 1 in the columns of :data:`OFFICIAL`, 0 for none.
        predicted: (N, 12) as from :func:`predict12`.

    Raises:
        DataError: shapes that do not fit, no images, or a prediction below 1.
    """
    labels, answers = np.asarray(truth), np.asarray(predicted)
    wanted = (len(labels) if labels.ndim else 0, len(OFFICIAL))
    if labels.shape != wanted or answers.shape != wanted or not len(labels):
        raise DataError(
            f"The official score needs (N, {len(OFFICIAL)}) labels and as many predictions for one image or more, "
            f"not {labels.shape} and {answers.shape}: pass the columns {', '.join(OFFICIAL)}."
        )
    if answers.min() < 1:
        raise DataError(f"A prediction for the official score is {answers.min()}, but labels count from 1: add 1.")
    right: NDArray[np.float64] = (labels == answers).mean(0)
    return right, float(right.mean())


def check_labels(truth: ArrayLike, count: int) -> NDArray[np.uint8]:
    """``truth`` as (N, ``count``) uint8.

    Raises:
        DataError: another shape, or something other than rows of 0 and 1 and rows of 255.
    """
    labels = np.asarray(truth)
    if labels.ndim != 2 or labels.shape[1] != count or count == 0:
        raise DataError(
            f"The attribute labels have shape {labels.shape} for {count} names: pass (N, A) with one name for each "
            "column, at least one."
        )
    unknown = labels == UNKNOWN
    wrong = ~(unknown | (labels == 0) | (labels == 1)).all(1) | (unknown.any(1) & ~unknown.all(1))
    if wrong.any():
        raise DataError(
            f"The attribute labels of image {int(np.argmax(wrong))} are neither all 0 or 1 nor all {UNKNOWN} "
            "(unknown): write 0 for no and 1 for yes."
        )
    return labels.astype(np.uint8)


def _checked(
    truth: ArrayLike, probabilities: ArrayLike, names: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    labels, given = check_labels(truth, len(names)), np.asarray(probabilities)
    if given.shape != labels.shape:
        raise DataError(
            f"The probabilities have shape {given.shape} and the labels {labels.shape}: pass one for each label."
        )
    if not ((given >= 0) & (given <= 1)).all():
        raise DataError("The probabilities are not all in [0, 1]: pass the sigmoid of the logits, without NaN.")
    if not (labels[:, 0] != UNKNOWN).any():
        raise DataError(f"None of the {len(labels):,} images has attribute labels, so there is nothing to measure.")
    return labels, given


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """``part / whole``, NaN where ``whole`` is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
