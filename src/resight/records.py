"""The carriers that flow through resight: frozen, columnar, and checked when built.

Shape letters used everywhere: ``N`` images, ``D`` embedding, ``Q`` queries, ``G`` gallery, ``K`` neighbours,
``B`` batch, ``C, H, W`` image, ``P`` identities per batch.

Identity -1 is *junk* (never counted), identity 0 a *distractor* (kept in the gallery, matches no identity),
as in Market-1501; every data set maps its own conventions onto these. Integers that count people from 0 are
understood where 0 is asked for or trained on: see :mod:`resight.from_zero`. Labels may be given as text: see
:mod:`resight.labels`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight import dataframes, labels
from resight.errors import DataError
from resight.labels import DISTRACTOR, JUNK, UNSAID, Label
from resight.texts import texts

_IN_TABLES = {"path": "paths", "identity": "identities", "camera": "cameras"}  # the names of columns, and of fields

__all__ = ["DISTRACTOR", "JUNK", "Embeddings", "Ranking", "Report", "Split"]


def _paths(owner: str, values: ArrayLike) -> NDArray[np.str_]:
    """Paths as a read-only (N,) array of text."""
    array = np.asarray(values, object) if isinstance(values, (list, tuple)) else np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{owner}.paths must have shape (N,) but has shape {array.shape}: pass one value per image.")
    is_text = array.dtype.kind in "UT" or (array.dtype.kind == "O" and all(map(_is_path, array.tolist())))
    if array.size and not is_text:
        raise DataError(f"{owner}.paths must hold text but holds {array.dtype}: pass paths as str.")
    text = array.copy() if array.dtype.kind == "U" else texts(list(map(os.fspath, array.tolist())))
    text.flags.writeable = False
    return text


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def _label_columns(
    carrier: Split | Embeddings, length: int, junk: Label, distractors: Label
) -> Mapping[str, NDArray[Any]]:
    """Put labels into ``carrier`` as integers; its columns, with the names of labels that are text."""
    owner = type(carrier).__name__
    try:
        columns = dict(carrier.columns or {})
    except (TypeError, ValueError):
        raise DataError(f"{owner}.columns must be a dictionary of arrays, but is {carrier.columns!r}.") from None
    for name in ("identities", "cameras"):
        values = getattr(carrier, name)
        if values is None:
            continue
        found, names = (
            labels.cameras(owner, values) if name == "cameras" else labels.identities(owner, values, junk, distractors)
        )
        if len(found) != length:
            raise DataError(
                f"{owner}.{name} has {len(found)} values for {length} images: pass exactly one value per image."
            )
        found.flags.writeable = False
        object.__setattr__(carrier, name, found)
        if names is not None:
            columns.setdefault("identity_names" if name == "identities" else "camera_names", names)
        elif name == "identities" and isinstance(distractors, int):
            columns.setdefault(labels.SAID, (found > DISTRACTOR).astype(np.int64))
    return _columns(owner, columns, length)


def _columns(owner: str, columns: Mapping[str, ArrayLike], length: int) -> Mapping[str, NDArray[Any]]:
    checked: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        array = np.array(values)
        if array.ndim == 0 or len(array) != length:
            raise DataError(
                f"{owner}.columns[{name!r}] has shape {array.shape} for {length} images: "
                "the first axis must have one entry per image."
            )
        array.flags.writeable = False
        checked[name] = array
    return MappingProxyType(checked)


def _index(owner: str, which: slice | ArrayLike, length: int) -> NDArray[Any]:
    """``which`` of ``length`` images as an array of indices or a boolean mask."""
    index = np.arange(length)[which] if isinstance(which, slice) else np.asarray(which)
    if index.size == 0:
        index = index.astype(np.int64)
    if index.dtype == bool and index.shape != (length,):
        raise DataError(
            f"{owner}.take has a mask of shape {index.shape} for {length} images: pass one value per image."
        )
    if index.dtype.kind not in "biu" or index.ndim != 1:
        raise DataError(f"{owner}.take needs a list of indices, a boolean mask or a slice, not {which!r}.")
    if index.dtype != bool and index.size and not -length <= index.min() <= index.max() < length:
        raise DataError(f"{owner}.take has an index outside the {length} images: pass 0 to {length - 1}.")
    return index


def _known(images: Split | Embeddings) -> str:
    """How many identities and cameras, where they are known, and which columns, in words that fit in a line."""
    labels = {"identities": images.identities, "cameras": images.cameras}
    words = [f", {len(np.unique(one)):,} {name}" for name, one in labels.items() if one is not None]
    return "".join(words) + (f", columns {', '.join(images.columns)}" if images.columns else "")


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels: parallel columns, one entry per image.

    Attributes:
        paths: (N,) str, as objects where one is much longer than the others. A path may lead through a zip archive as
            through a folder: ``"m.zip/query/1.jpg"``.
        identities: (N,) int64. -1 is junk, 0 a distractor. Given as text, they become the numbers of
            :func:`resight.labels.number_of`, the same in every split, and the column ``identity_names`` keeps the text.
        cameras: (N,) int64; text as for identities, kept in ``camera_names``.
        columns: optional named columns, each with N entries first (``times``, ``tracks``, attributes).
        name: where the images come from, for messages and reports.

    Args:
        junk, distractors: which labels in ``identities`` are junk and distractors; None for none. With
            ``distractors=None`` the label 0 is an identity like any other, and identities count one more. Unsaid, 0
            marks distractors unless it is trained on or asked for, see :mod:`resight.from_zero`.

    Raises:
        DataError: a column of the wrong shape, length or type, a missing label, or an identity below -1.
    """

    paths: NDArray[np.str_]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    name: str = "images"
    junk: InitVar[Label] = JUNK
    distractors: InitVar[Label] = UNSAID

    def __post_init__(self, junk: Label, distractors: Label) -> None:
        object.__setattr__(self, "paths", _paths("Split", self.paths))
        columns = _label_columns(self, len(self.paths), junk, distractors)
        object.__setattr__(self, "columns", columns)

    def __repr__(self) -> str:
        return f"<Split {self.name!r}: {len(self):,} images{_known(self)}>"

    def __len__(self) -> int:
        return len(self.paths)

    def __reduce__(self) -> tuple[Any, ...]:
        return Split, (self.paths, self.identities, self.cameras, dict(self.columns), self.name)

    def __getitem__(self, which: slice | ArrayLike) -> Split:
        return self.take(which)

    __iter__ = None  # columns are parallel arrays: there is no object for each image

    def take(self, which: slice | ArrayLike, name: str | None = None) -> Split:
        """The images at ``which`` (indices, a boolean mask or a slice), in that order."""
        index = _index("Split", which, len(self))
        return Split(
            self.paths[index],
            self.identities[index],
            self.cameras[index],
            {key: column[index] for key, column in self.columns.items()},
            name or self.name,
        )


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embedded images: vectors and, where known, the columns of the split they came from.

    Attributes:
        vectors: (N, D) float32, finite.
        identities, cameras: (N,) int64, or None where unknown.
        paths: (N,) str, or None.
        columns: as in :class:`Split`.
        fingerprint: which weights and preprocessing made the vectors; "" where unknown.
        metric: how the model's embeddings are compared, "cosine" or "euclidean"; "" where unknown.

    Args:
        junk, distractors: as for :class:`Split`.

    Raises:
        DataError: a wrong shape, length or type, or a NaN or infinity (naming the first such row).
    """

    vectors: NDArray[np.float32]
    identities: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None
    paths: NDArray[np.str_] | None = None
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    fingerprint: str = ""
    metric: str = ""
    junk: InitVar[Label] = JUNK
    distractors: InitVar[Label] = UNSAID

    def __post_init__(self, junk: Label, distractors: Label) -> None:
        given: Any = self.vectors
        vectors = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        if vectors.ndim != 2 or vectors.shape[1] == 0:
            raise DataError(
                f"Embeddings.vectors must have shape (N, D) with D >= 1 but has shape {vectors.shape}: "
                "pass one row per image."
            )
        if vectors.dtype.kind != "f":
            raise DataError(
                f"Embeddings.vectors must hold floats (float32) but holds {vectors.dtype}: "
                "convert with .astype(numpy.float32)."
            )
        with np.errstate(over="ignore"):  # found just below
            vectors = np.ascontiguousarray(vectors, dtype=np.float32).view()
        vectors.flags.writeable = False
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise DataError(
                f"Embeddings.vectors has NaN or infinity in {int((~finite).sum())} of {len(vectors)} rows, "
                f"first in row {int(np.argmin(finite))}: embed those images again or leave them out."
            )
        put = object.__setattr__
        put(self, "vectors", vectors)
        if self.paths is not None:
            put(self, "paths", _paths("Embeddings", self.paths))
            if len(self.paths) != len(vectors):
                raise DataError(
                    f"Embeddings.paths has {len(self.paths)} values for {len(vectors)} images: pass one path per image."
                )
        put(self, "columns", _label_columns(self, len(vectors), junk, distractors))

    def __repr__(self) -> str:
        return f"<Embeddings: {len(self):,} of {self.vectors.shape[1]:,} numbers{_known(self)}>"

    def __len__(self) -> int:
        return len(self.vectors)

    def __reduce__(self) -> tuple[Any, ...]:
        labelled = (self.vectors, self.identities, self.cameras, self.paths, dict(self.columns))
        return Embeddings, (*labelled, self.fingerprint, self.metric)

    def __getitem__(self, which: slice | ArrayLike) -> Embeddings:
        return self.take(which)

    __iter__ = None

    def take(self, which: slice | ArrayLike) -> Embeddings:
        """The embeddings at ``which`` (indices, a boolean mask or a slice), in that order."""
        index = _index("Embeddings", which, len(self))
        return Embeddings(
            self.vectors[index],
            None if self.identities is None else self.identities[index],
            None if self.cameras is None else self.cameras[index],
            None if self.paths is None else self.paths[index],
            {key: column[index] for key, column in self.columns.items()},
            self.fingerprint,
            self.metric,
        )

    def to_dataframe(self, library: str = "pandas") -> Any:
        """A row per image: ``path``, ``identity``, ``camera`` where known, further columns, and ``embedding``.

        Args:
            library: "pandas" (each embedding is one (D,) array), "polars" or "pyarrow" (columns of D float32).

        Raises:
            RecipeError: another library, or one that is not installed.
            DataError: a column whose name means something else in the table.
        """
        taken = [name for name in self.columns if name in (*_IN_TABLES, "embedding")]
        if taken:
            raise DataError(f"The column {taken[0]!r} has a name that means something else in a table: rename it.")
        known = {name: getattr(self, own) for name, own in _IN_TABLES.items()}
        columns = {name: column for name, column in known.items() if column is not None}
        about = {"fingerprint": self.fingerprint, "metric": self.metric}
        return dataframes.write({**columns, **self.columns, "embedding": self.vectors}, about, library)

    @classmethod
    def from_dataframe(cls, table: Any, embedding: str | Sequence[str] = "embedding", **names: str) -> Embeddings:
        """The rows of a pandas or polars DataFrame or an Arrow table.

        Args:
            table: has the column of embeddings, and those of ``path``, ``identity`` and ``camera`` where these are
                known. All other columns are kept as columns.
            embedding: the column whose rows are lists of D numbers, or the names of D columns of numbers.
            names: other names of columns, as ``identity="person_id"``.

        Raises:
            DataError: no such column, gaps, rows of different lengths, or what :class:`Embeddings` refuses.
        """
        columns, about = dataframes.read(table)
        wrong = [name for name in names if name not in _IN_TABLES]
        if wrong:
            raise DataError(f"{wrong[0]} is no column of embeddings: name any of {', '.join(_IN_TABLES)}.")
        parts = [embedding] if isinstance(embedding, str) else [*embedding]
        missing = [name for name in (*parts, *names.values()) if name not in columns]
        if missing:
            raise DataError(f"The table has no column {missing[0]!r} but {', '.join(columns)}: name the right one.")
        found = [columns.pop(name) for name in parts]
        vectors = found[0] if isinstance(embedding, str) else np.stack(found, axis=1)
        known = {own: columns.pop(names.get(name, name), None) for name, own in _IN_TABLES.items()}
        as_floats = vectors.astype(np.float32) if vectors.dtype.kind in "iu" else vectors
        about = {key: str(about.get(key, "")) for key in ("fingerprint", "metric")}
        return cls(as_floats, known["identities"], known["cameras"], known["paths"], columns, **about)

    @classmethod
    def from_split(
        cls, split: Split, vectors: NDArray[np.float32], fingerprint: str = "", metric: str = ""
    ) -> Embeddings:
        """The vectors of ``split``'s images, with its columns."""
        return cls(vectors, split.identities, split.cameras, split.paths, split.columns, fingerprint, metric)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The K nearest gallery images of each query, nearest first.

    Attributes:
        indices: (Q, K) int64 into the gallery; -1 where a query has fewer than K valid gallery images.
        distances: (Q, K) float32, not decreasing along a row; infinity where there is no image.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float32]

    def __post_init__(self) -> None:
        indices, distances = np.asarray(self.indices), np.asarray(self.distances)
        if indices.ndim != 2 or indices.shape != distances.shape:
            raise DataError(
                f"Ranking.indices has shape {indices.shape} and Ranking.distances {distances.shape}: "
                "both must be (Q, K)."
            )
        object.__setattr__(self, "indices", indices.astype(np.int64))
        object.__setattr__(self, "distances", distances.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found; rates are in [0, 1].

    Attributes:
        mAP: mean average precision over the evaluated queries.
        cmc: ``cmc[k]`` is the share of evaluated queries with a true match among the first k, k = 1..50.
        mINP: mean inverse negative penalty (Ye et al. 2021): (number of true matches) / (rank of the last one).
        average_precision: (Q,) float64 per query, NaN where a query was dropped.
        first_match: (Q,) int64, the rank (from 1) of the first true match, 0 where a query has none.
        queries: how many queries were given; ``evaluated`` of them counted, ``unmatched`` of these with 0, because
            they have no true match and the protocol counts them all the same.
        dropped: how many queries had no true match in the gallery, which therefore count nowhere.
        gallery: how many gallery images were given.
        protocol, metric: the rules that were followed.
        reasons: why queries were dropped and how many for each reason; the counts add up to ``dropped``.
        rerank: how the distances were re-ranked, with the parameters; "" where they were not.
        precision: ``precision[k]`` is the mean share of true matches among the first k, for those of 1, 5, 10, 20 and
            50 that the gallery has.
        r_precision: the mean share of true matches among the first m, m being the query's number of them; None where
            it was not counted.
        identities: (Q,) int64, whom each query shows; None where unknown.
    """

    mAP: float
    cmc: Mapping[int, float]
    mINP: float
    average_precision: NDArray[np.float64]
    first_match: NDArray[np.int64]
    queries: int
    evaluated: int
    dropped: int
    gallery: int
    protocol: str
    metric: str
    reasons: Mapping[str, int] = field(default_factory=dict)
    rerank: str = ""
    precision: Mapping[int, float] = field(default_factory=dict)
    r_precision: float | None = None
    identities: NDArray[np.int64] | None = None
    unmatched: int = 0

    def numbers(self) -> dict[str, Any]:
        """The report without its per-query arrays, ready for JSON."""
        arrays = ("average_precision", "first_match", "identities")
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in arrays}
        plain["reasons"] = dict(self.reasons)
        plain["precision"] = {str(k): share for k, share in self.precision.items()}
        return plain | {"cmc": {str(rank): self.cmc[rank] for rank in (1, 5, 10, 20, 50) if rank in self.cmc}}

    def __str__(self) -> str:
        rules = ", ".join(filter(None, (self.metric, self.protocol, self.rerank)))
        zero = f" left out, {self.unmatched:,} without a match counted as 0" if self.unmatched else ""
        return (
            f"R1 {self.cmc[1]:.2%}  R5 {self.cmc[5]:.2%}  R10 {self.cmc[10]:.2%}  "
            f"mAP {self.mAP:.2%}  mINP {self.mINP:.2%}  ({rules}; {self.queries:,} queries: "
            f"{self.evaluated:,} evaluated, {self.dropped:,} without a match{zero})"
        )
