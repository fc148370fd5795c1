"""Market-1501 with the attributes of its identities (Lin et al., Pattern Recognition 2019): 32 yes-or-no questions.

The annotation is one row per identity: ``market_attribute.mat`` (github.com/vana77/Market-1501_Attribute), or a CSV
file with an ``id`` and the same 27 fields. In both, 1 is no and 2 is yes, and age goes from 1 to 4; the fields stand
in any order. Letters: N images, I identities.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.datasets.attribute_names import (
    AGES,
    ATTRIBUTES,
    DOWN,
    DOWN_COLOURS,
    OFFICIAL,
    PREDICTED,
    UNKNOWN,
    UP,
    UP_COLOURS,
    YES_NO,
)
from resight.datasets.attribute_names import ANNOTATED as _FIELDS
from resight.datasets.catalog import Dataset, register
from resight.datasets.market1501 import market1501
from resight.datasets.splitting import validation
from resight.datasets.tables import read_table
from resight.errors import DataError, RecipeError
from resight.files import read_bytes, split_archive
from resight.records import DISTRACTOR, Split

_PLACE = {name: place for place, name in enumerate(ATTRIBUTES)}
_FILE = "market_attribute.mat"
_FOLDERS = ("", "market1501_attribute", "Market-1501_Attribute")
FOLDS = ("test", "validation", "single_query")


@dataclass(frozen=True, eq=False)
class Annotation:
    """Attributes of identities.

    Attributes:
        identities: (I,) int64, each once.
        values: (I, 32) uint8 of 0 and 1.
        names: of the 32 columns.

    Raises:
        DataError: another shape, or an identity that stands twice.
    """

    identities: NDArray[np.int64]
    values: NDArray[np.uint8]
    names: tuple[str, ...] = ATTRIBUTES

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.identities), len(self.names)):
            raise DataError(
                f"Annotation.values has shape {self.values.shape} for {len(self.identities)} identities and "
                f"{len(self.names)} names: pass one row for each identity."
            )
        known, times = np.unique(self.identities, return_counts=True)
        if (times > 1).any():
            raise DataError(f"Identity {known[times > 1][0]} is annotated more than once: keep one row for each.")

    def rows(self, identities: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N, 32) uint8, the row of each of ``identities`` (N,); 255 where it is not annotated."""
        order = np.argsort(self.identities)
        at = np.searchsorted(self.identities[order], identities).clip(max=len(order) - 1)
        found = self.identities[order][at] == identities
        return np.where(found[:, None], self.values[order][at], UNKNOWN).astype(np.uint8)


@register("market1501_attributes")
def market1501_attributes(
    root: str | Path,
    *,
    attributes: str | Path | None = None,
    strict: bool = True,
    fold: str = "test",
    seed: int = 0,
    held_out: int | None = None,
) -> Dataset:
    """Market-1501 with 32 attributes of each image, those of its identity.

    Args:
        root, strict, seed, held_out: as for :func:`resight.datasets.market1501.market1501`.
        attributes: the annotation, a ``.mat`` or ``.csv`` file (see :func:`read_annotation`). By default
            ``market_attribute.mat`` in or beside ``root``, or in a folder ``market1501_attribute`` there.
        fold: ``"test"`` or ``"validation"`` as for Market-1501, or ``"single_query"``, the same held-out
            identities with one random image of each as query and all their others as gallery, where images of one
            camera match (protocol ``"single_camera"``).

    Returns:
        A data set whose splits have the column ``attributes``, (N, 32) uint8 in the order of :data:`ATTRIBUTES`:
        1 yes, 0 no, and 255 all along the row of an image whose identity is not annotated (junk and distractors).

    Raises:
        DataError: no Market-1501, no annotation, or one that cannot be read or is of other identities.
        RecipeError: no such fold.
    """
    if fold not in FOLDS:
        raise RecipeError(f"market1501_attributes has no fold {fold!r}: choose {', '.join(FOLDS[:-1])} or {FOLDS[-1]}.")
    data = replace(market1501(root, strict=strict), name="market1501_attributes")
    path = os.fspath(attributes) if attributes is not None else _find(os.fspath(root))
    parts = read_annotation(path).values()
    everyone = Annotation(
        np.concatenate([part.identities for part in parts]), np.concatenate([part.values for part in parts])
    )
    train, query, gallery = (_with_attributes(split, everyone) for split in data.splits.values())
    unknown = sum(
        int(((split.columns["attributes"][:, 0] == UNKNOWN) & (split.identities > DISTRACTOR)).sum())
        for split in (train, query, gallery)
    )
    if len(train) and (train.columns["attributes"] == UNKNOWN).all():
        raise DataError(f"{path} annotates none of the train identities of {os.fspath(root)}: pass the right file.")
    note = (f"{unknown:,} image(s) of known identities are not annotated: their attributes are 255.",) * bool(unknown)
    data = replace(data, train=train, query=query, gallery=gallery, notes=(*data.notes, *note))
    if fold == "single_query":
        data = replace(validation(replace(data, protocol="single_camera"), held_out, seed), name=f"{data.name}-{fold}")
    elif fold == "validation":
        data = validation(data, held_out, seed)
    return replace(data, attributes=ATTRIBUTES)


def _with_attributes(split: Split, annotation: Annotation) -> Split:
    columns = {**split.columns, "attributes": annotation.rows(split.identities)}
    return Split(split.paths, split.identities, split.cameras, columns, split.name)


def _find(root: str) -> str:
    place = Path(split_archive(root)[0]).absolute()
    for folder in (place.parent, place):
        for name in _FOLDERS:
            if (folder / name / _FILE).is_file():
                return os.fspath(folder / name / _FILE)
    raise DataError(
        f"There is no {_FILE} beside {root}: get it from github.com/vana77/Market-1501_Attribute "
        "and put it there, or pass its path as attributes."
    )


def read_annotation(path: str | Path) -> dict[str, Annotation]:
    """The annotation in ``market_attribute.mat``, by its parts ``"train"`` and ``"test"``, or in a CSV file.

    A CSV file is one part, called ``"train"``: its header names ``id`` and
    the 27 fields, in any order, and its values are coded as in the ``.mat``.

    Raises:
        DataError: the file is missing, is neither of the two, lacks a field, or holds other values.
    """
    where = os.fspath(path)
    parts = {"train": _read_csv(where)} if where.lower().endswith(".csv") else _read_mat(read_bytes(where), where)
    result = {}
    for part, fields in parts.items():
        try:
            identities = np.array([int(str(identity)) for identity in fields["id"]], dtype=np.int64)
            numbers = {name: np.array([int(value) for value in fields[name]]) for name in _FIELDS}
        except ValueError as error:
            raise DataError(f"{where} holds something that is not a whole number ({error}): correct it.") from None
        if not len(identities):
            raise DataError(f"{where} annotates no identity: pass a file with one row for each identity.")
        for name, values in numbers.items():
            if len(values) != len(identities):
                raise DataError(
                    f"{where} has {len(values)} values of {name} for {len(identities)} identities: get it again."
                )
            wrong = (values < 1) | (values > (4 if name == "age" else 2))
            if wrong.any():
                raise DataError(
                    f"{where} says {name} {values[wrong][0]} of identity {identities[wrong][0]}, but it must be from 1 "
                    f"to {4 if name == 'age' else 2}: correct it."
                )
        result[part] = Annotation(identities, _code(numbers))
    return result


def _read_mat(content: bytes, where: str) -> dict[str, dict[str, Any]]:
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(content), squeeze_me=True, struct_as_record=False)  # type: ignore[no-untyped-call]
        both = found["market_attribute"]
        names = {"id": "image_index"} | {name: name for name in _FIELDS}
        return {
            part: {key: np.atleast_1d(getattr(getattr(both, part), name)) for key, name in names.items()}
            for part in ("train", "test")
        }
    except Exception as error:  # whatever scipy meets in bytes that are none of its own
        raise DataError(
            f"{where} is not the {_FILE} of github.com/vana77/Market-1501_Attribute ({error}): get it again."
        ) from None


def _read_csv(where: str) -> dict[str, list[int]]:
    names = ("id", *_FIELDS)
    table = read_table(where, names, others=True)
    for name in names:
        for row, cell in enumerate(table.columns[name]):
            if not cell.isascii() or not cell.isdecimal():
                raise table.error(row, f"{name} is {cell!r}, which is no whole number: correct it.")
    return {name: [int(cell) for cell in table.columns[name]] for name in names}


def _code(fields: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """(N, 32) of 0 and 1 from the fields in 1/2 coding; multi-colour where it is no field and no colour is set."""
    values = np.zeros((len(fields["age"]), len(ATTRIBUTES)), dtype=np.uint8)
    for name in (*YES_NO, *UP, *DOWN):
        values[:, _PLACE[name]] = fields[name] == 2
    for name, colours in (("upmulticolor", UP), ("downmulticolor", DOWN)):
        none = ~values[:, [_PLACE[colour] for colour in colours]].any(axis=1)
        values[:, _PLACE[name]] = fields[name] == 2 if name in fields else none
    for age, name in enumerate(AGES, start=1):
        values[:, _PLACE[name]] = fields["age"] == age
    return values


def prediction_table(values: ArrayLike) -> NDArray[np.uint8]:
    """Attributes, or their probabilities, as a table of predictions.

    Args:
        values: (N, 32) in the order of :data:`ATTRIBUTES`: labels 0 and 1, or probabilities in [0, 1]. A row of 255
            is unknown.

    Returns:
        (N, 29) in the order of :data:`PREDICTED`: 1 is no and 2 is yes (from 0.5 on), age is 1 to 4, the place
        of the greatest of the four; an unknown row is all 0.

    Raises:
        DataError: another shape.
    """
    array, known = _checked(values)
    answers = {name: 1 + (array[:, _PLACE[name]] >= 0.5) for name in PREDICTED if name != "age"}
    answers["age"] = 1 + array[:, [_PLACE[name] for name in AGES]].argmax(axis=1)
    table = np.stack([answers[name] for name in PREDICTED], axis=1)
    return np.where(known[:, None], table, 0).astype(np.uint8)


def official_columns(values: ArrayLike) -> NDArray[np.int64]:
    """Labels (N, 12) as the official evaluation of Market-1501's attributes numbers them.

    The columns are gender, hair, age, up, down, clothes, hat, backpack, bag, handbag (1 no, 2 yes; age 1 to 4), the
    upper colour (1 to 8: black, white, red, purple, gray, blue, green, yellow) and the lower (1 to 9: black, white,
    pink, gray, blue, green, brown, yellow, purple). 0 is no label: no colour, or a row of 255.

    Args:
        values: (N, 32) of 0 and 1, or rows of 255.

    Raises:
        DataError: another shape.
    """
    array, known = _checked(values)
    choices = {"age": AGES, "upper colour": UP_COLOURS, "lower colour": DOWN_COLOURS}
    columns = []
    for name in OFFICIAL:
        if name in choices:
            bits = array[:, [_PLACE[choice] for choice in choices[name]]] == 1
            columns.append(np.where(bits.any(axis=1), 1 + bits.argmax(axis=1), 0))
        else:
            columns.append(1 + (array[:, _PLACE[name]] == 1))
    return np.where(known[:, None], np.stack(columns, axis=1), 0).astype(np.int64)


def _checked(values: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """``values`` as an (N, 32) array, and which rows are known."""
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != len(ATTRIBUTES):
        raise DataError(f"Attributes must be (N, {len(ATTRIBUTES)}) but are {array.shape}: see ATTRIBUTES.")
    return array, array[:, 0] != UNKNOWN
