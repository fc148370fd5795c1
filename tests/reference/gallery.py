"""A gallery as a dict, searched by a plain loop: what the real one must do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from resight.gallery.record import Filter, Record


def distance(a: NDArray[np.float32], b: NDArray[np.float32], metric: str) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    if metric == "cosine":
        return float(1 - x @ y / np.sqrt((x @ x) * (y @ y)))
    return float(np.sqrt(((x - y) ** 2).sum()))


def passes(record: Record, where: Filter) -> bool:
    if where.cameras and record.camera not in where.cameras:
        return False
    if record.camera in where.exclude_cameras:
        return False
    if where.identities and record.identity not in where.identities:
        return False
    if where.unknown is not None and (record.identity is None) is not where.unknown:
        return False
    if where.after is not None and (record.time is None or record.time < where.after):
        return False
    return where.before is None or (record.time is not None and record.time < where.before)


class PlainGallery:
    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.records: dict[str, tuple[Record, NDArray[np.float32]]] = {}

    def names(self) -> set[str]:
        return {record.identity for record, _ in self.records.values() if record.identity is not None}

    def of(self, name: str) -> list[str]:
        return [id for id, (record, _) in self.records.items() if record.identity == name]

    def give(self, ids: list[str], name: str | None) -> None:
        for id in ids:
            record, vector = self.records[id]
            self.records[id] = replace(record, identity=name), vector

    def erase(self, ids: list[str]) -> int:
        return sum(self.records.pop(id, None) is not None for id in ids)

    def search(self, query: NDArray[np.float32], k: int, where: Filter) -> list[tuple[float, str]]:
        """(distance, id) of the k nearest; distances as float32, as everywhere."""
        found = [
            (float(np.float32(distance(query, vector, self.metric))), id)
            for id, (record, vector) in self.records.items()
            if passes(record, where)
        ]
        return sorted(found)[:k]
