"""Labels as integers: which identity and which camera an image has, given as numbers or as text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.errors import DataError

JUNK = -1
DISTRACTOR = 0
LARGEST = 2**53 - 1  # as exact in a float64 or in JSON
MISSING = (
    "",
    "nan",
    "NaN",
    "NaT",
    "None",
    "<NA>",
)  # what NumPy, pandas and CSV files write for a label that is missing
_JUNK_NAMES = ("-1", "junk")
_DISTRACTOR_NAMES = ("distractor", "distractors")


def is_missing(label: object) -> bool:
    """Whether it is no label: None, a number that is NaN, pandas' NA, or a text of :data:`MISSING`."""
    return label is None or str(label) in MISSING


class Unsaid(Enum):
    """That nobody said which integer marks distractors: 0, unless :mod:`resight.from_zero` finds it a person."""

    UNSAID = "unsaid"


UNSAID: Final = Unsaid.UNSAID
SAID = "has_identity"  # the column, 1 for people and 0 for others, where it was said which integer marks distractors
Label = int | str | None | Unsaid
Labels = tuple[NDArray[np.int64], NDArray[np.str_] | None]  # the integers, and the text they stand for


def number_of(text: str) -> int:
    """The integer from 1 to 2^53 - 1 that stands for ``text``: the same in every array, process and run."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % LARGEST + 1


def cameras(owner: str, values: ArrayLike) -> Labels:
    """Camera labels as (N,) int64: integers as they are, text by :func:`number_of`.

    Raises:
        DataError: neither integers nor text, or a label is missing.
    """
    array = _checked(f"{owner}.cameras", values)
    return _by_name(f"{owner}.cameras", array, {}) if array.dtype.kind == "U" else (array.astype(np.int64), None)


def identities(owner: str, values: ArrayLike, junk: Label = JUNK, distractors: Label = UNSAID) -> Labels:
    """Identity labels as (N,) int64, where -1 is junk and 0 a distractor.

    Integers stay as they are; where ``distractors`` is given and not 0, the label 0 is an identity like any other, and
    identities count one more. Text becomes numbers by :func:`number_of`; "junk", "-1" and "distractor" mean what they
    say, and so does a text of zeros such as "0000" beside "-1", as in Market-1501.

    Args:
        owner: whose labels they are, for messages.
        values: (N,) integers or text.
        junk: the label of junk, or None where there is none.
        distractors: the label of distractors, or None where there are none. Unsaid, it is 0; see
            :mod:`resight.from_zero`.

    Raises:
        DataError: neither integers nor text, a label is missing, or an integer is below 0 and not junk.
    """
    what = f"{owner}.identities"
    array = _checked(what, values)
    distractors = DISTRACTOR if distractors is UNSAID else distractors
    if array.dtype.kind == "U":
        known = set(array.tolist())
        zeros = [name for name in known if not name.strip("0") and "-1" in known]
        special = dict.fromkeys(_DISTRACTOR_NAMES + tuple(zeros) if distractors == DISTRACTOR else (), DISTRACTOR)
        special |= dict.fromkeys(_JUNK_NAMES if junk == JUNK else (), JUNK)
        special |= {str(label): number for label, number in ((distractors, 0), (junk, -1)) if isinstance(label, str)}
        return _by_name(what, array, special)
    numbers = array.astype(np.int64)
    is_junk = numbers == junk
    wrong = (numbers < 0) & ~is_junk
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(
            f"{what} has {numbers[at]} in row {at}: identities are 0 or more, and junk is "
            f"{'not marked here' if junk is None else junk}; number them from 1, or pass them as text."
        )
    if distractors != DISTRACTOR:
        numbers = np.where(numbers == distractors, DISTRACTOR, numbers + 1)
    return np.where(is_junk, JUNK, numbers), None


def _by_name(what: str, names: NDArray[np.str_], special: dict[str, int]) -> Labels:
    known, place = np.unique(names, return_inverse=True)
    numbers = [special[name] if name in special else number_of(name) for name in known.tolist()]
    people = [number for number in numbers if number > DISTRACTOR]
    if len(set(people)) < len(people):  # once in a million sets of a hundred thousand names
        raise DataError(f"{what} has two texts with the same number: rename one of them, or pass integers.")
    return np.array(numbers, dtype=np.int64)[place], names


def _checked(what: str, values: ArrayLike) -> NDArray[Any]:
    """(N,) integers or text."""
    whole = isinstance(values, (list, tuple))  # NumPy would make text of a missing label among texts
    array = np.asarray(values, dtype=object) if whole else np.asarray(values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        array = array.astype(object)
        array[np.ma.getmaskarray(values)] = None
    if array.ndim != 1:
        raise DataError(f"{what} must have shape (N,) but has shape {array.shape}: pass one value per image.")
    if not array.size:
        return array.astype(np.int64)
    if array.dtype.kind in "OTS" or (array.dtype.kind == "f" and np.isnan(array).any()):
        array = _plain(what, array.tolist())
    if array.dtype.kind == "U":
        _all_there(what, np.flatnonzero(np.isin(array, MISSING)).tolist(), array)
    if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
        raise DataError(f"{what} has {array.max()}, which is more than 64 bits hold: pass the labels as text.")
    if array.dtype.kind not in "iuU":
        raise DataError(
            f"{what} must hold integers or text but holds {array.dtype}: pass the labels as text, or as whole numbers "
            "with .astype(int)."
        )
    return array


def _all_there(what: str, missing: Sequence[int], values: Sequence[object] | NDArray[Any]) -> None:
    if len(missing):
        raise DataError(
            f"{what} has no label in {len(missing)} of {len(values)} rows, first in row {missing[0]} "
            f"({str(values[missing[0]])!r}): fill them in, or leave those images out."
        )


def _plain(what: str, values: list[object]) -> NDArray[Any]:
    """Objects, as pandas keeps them, as an array of integers or of text."""
    values = [value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value for value in values]
    _all_there(what, [at for at, value in enumerate(values) if is_missing(value)], values)
    kinds = {type(value) for value in values}
    if all(issubclass(kind, str) for kind in kinds):
        return np.array(values, dtype=np.str_)
    if all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            raise DataError(f"{what} has a number of more than 64 bits: pass the labels as text.") from None
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"{what} must hold integers or text but holds {names}: pass all labels as one of the two.")
