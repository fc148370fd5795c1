"""The nearest gallery image of each query, filled into the column ``gallery`` of the course system's ``pred.csv``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.datasets.tables import Retrieval, Table, base_of, read_retrieval, retrieval
from resight.embedding.compute import shifted
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.files import write_csv
from resight.models.model import Model
from resight.retrieval.ranking.rank import topk


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found for the Q queries of a ``pred.csv``.

    Attributes:
        table: the CSV file as it was read.
        gallery: Q cells for its column ``gallery``, each a path that counts from where its query's path counts from.
        indices: (Q,) int64, which image of the gallery it is, in the order of the images' numbers.
        distances: (Q,) float32, from the query to it.
        metric: how embeddings were compared.
        top1: the share of queries whose answer is right, in [0, 1]; None where the answers are not known.
    """

    table: Table
    gallery: tuple[str, ...]
    indices: NDArray[np.int64]
    distances: NDArray[np.float32]
    metric: str
    top1: float | None = None

    def save(self, path: str | Path) -> None:
        """Write the CSV file with its column ``gallery`` filled; header, queries and their order stay."""
        columns = {**self.table.columns, "gallery": self.gallery}
        write_csv(path, columns, zip(*columns.values(), strict=True))

    def numbers(self) -> dict[str, Any]:
        """The prediction ready for JSON."""
        rows = zip(self.table.columns["query"], self.gallery, self.distances.tolist(), strict=True)
        return {
            "queries": len(self.gallery),
            "metric": self.metric,
            "top1": self.top1,
            "predictions": [{"query": query, "gallery": image, "distance": far} for query, image, far in rows],
        }


def predict(
    model: Model,
    where: str | Path,
    *,
    answers: str | Path | None = None,
    batch_size: int = 64,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """The nearest gallery image of each query, by the metric of the model's card.

    Args:
        model: what :func:`resight.load` gives.
        where: a ``pred.csv`` with the folder ``gallery`` beside it, or the folder that holds both. What stands in its
            column ``gallery`` is not looked at.
        answers: a CSV file with the same queries and their right gallery images, to score against.
        batch_size, device: as for :class:`~resight.embedding.embedder.Embedder`.
        progress: called with (images done, images in all).

    Raises:
        DataError: a line of a CSV file that cannot be used, an image that cannot be read, or answers that lack a
            query.
    """
    file = Path(where) / "pred.csv" if Path(where).is_dir() else Path(where)
    asked = retrieval(file, answers=False)
    right = None if answers is None else _right(asked, answers)  # before any image is embedded
    embedder = Embedder(model, batch_size=batch_size, device=device)
    total = len(asked.queries) + len(asked.gallery)
    query = embedder(asked.queries.tolist(), progress=shifted(progress, 0, total))
    gallery = embedder(asked.gallery.tolist(), progress=shifted(progress, len(asked.queries), total))
    nearest = topk(query, gallery, 1, model.card.metric)
    indices = nearest.indices[:, 0]
    found = asked.gallery[indices]
    rows = zip(asked.table.columns["query"], found.tolist(), strict=True)
    cells = tuple(_cell(asked.table.path, cell, path) for cell, path in rows)
    top1 = None if right is None else float((found == right).mean())
    return Prediction(asked.table, cells, indices, nearest.distances[:, 0], model.card.metric, top1)


def _right(asked: Retrieval, answers: str | Path) -> NDArray[np.str_]:
    """(Q,) paths of the gallery images that answer the queries asked."""
    queries, gallery = read_retrieval(answers)
    if not len(gallery):
        raise DataError(f"{os.fspath(answers)} has no answers in its column gallery: fill it with the ground truth.")
    known = dict(zip(queries.tolist(), gallery.tolist(), strict=True))
    for row, path in enumerate(asked.queries.tolist()):
        if path not in known:
            raise asked.table.error(row, f"{path} is not in {os.fspath(answers)}: add its answer there.")
    return np.array([known[path] for path in asked.queries.tolist()], dtype=np.str_)


def _cell(table: str, query: str, path: str) -> str:
    """The gallery image ``path`` as its cell: counted from where the path of its query counts from."""
    base = base_of(table, query)
    return path if base is None or Path(query).is_absolute() else os.path.relpath(path, base)
