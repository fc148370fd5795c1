"""What callers pass: embeddings, metrics and numbers, checked so that a slip is one sentence and no traceback."""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from resight.errors import DataError
from resight.records import Embeddings
from resight.retrieval.ranking.distance import check_metric

DEFAULT_METRIC = "euclidean"


def check_embeddings(**given: Any) -> None:
    """Raise DataError unless each of the named arguments is an :class:`~resight.Embeddings`."""
    for name, value in given.items():
        if not isinstance(value, Embeddings):
            raise DataError(
                f"The {name} must be resight.Embeddings but is {_kind(value)}: pass resight.Embeddings(vectors, "
                "identities=..., cameras=...), or what an Embedder returns."
            )


def check_rerank(rerank: Any) -> None:
    """Raise DataError unless ``rerank`` is None or something that makes distances."""
    if rerank is not None and (isinstance(rerank, type) or not callable(rerank)):
        raise DataError(
            f"rerank is {rerank!r}: pass rerank=resight.KReciprocal(), with parameters in the parentheses if you like."
        )


def choose_metric(metric: str | None, *embeddings: Embeddings, default: str = DEFAULT_METRIC) -> str:
    """The metric asked for, or else the one that the embeddings' model is compared by.

    Args:
        metric: "euclidean" or "cosine"; None for the embeddings' own, or ``default`` where they have none.
        embeddings: what is to be compared.
        default: for embeddings that come without a metric.

    Raises:
        DataError: an unknown metric, or embeddings of which one is for one metric and one for the other.
    """
    if metric is None:
        known = list(dict.fromkeys(one.metric for one in embeddings if one.metric))
        if len(known) > 1:
            raise DataError(
                f"Some embeddings are compared by {known[0]} distance and some by {known[1]}: embed all with one "
                "model, or pass metric=..."
            )
        metric = known[0] if known else default
    check_metric(metric)
    return metric


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least ``least``.

    Raises:
        DataError: something else, named in the message.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, (bool, np.bool_)):
        raise DataError(f"{name} is {value!r}: pass a whole number from {least} upwards.")
    return number


def number(name: str, value: Any, advice: str, fits: Callable[[float], bool]) -> float:
    """A finite number that fits.

    Args:
        name: how the message calls it; ``advice``: what the message says to do, without a stop.
        fits: whether the number is in its range.

    Raises:
        DataError: no number, or one that does not fit.
    """
    known = isinstance(value, (Real, np.number)) and not isinstance(value, (bool, np.bool_))
    if not known or not np.isfinite(float(value)) or not fits(float(value)):
        raise DataError(f"{name} is {value!r}: {advice}.")
    return float(value)


def check_threshold(threshold: Any) -> float:
    """A distance from 0 upwards.

    Raises:
        DataError: something else.
    """
    return number("The threshold", threshold, "choose a distance from 0 upwards", lambda distance: distance >= 0)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
    return f"{article} {type(value).__name__}"
