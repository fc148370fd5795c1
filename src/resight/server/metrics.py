"""What Prometheus reads: how many requests, how long, how much of it in the model and the search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The counters of one application, in a registry of its own.

    Args:
        records: gives the number of records in the gallery.
    """

    def __init__(self, records: Callable[[], int]) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter("resight_requests", "Requests answered.", ("route", "method", "status"), registry=own)
        self.seconds = Histogram(
            "resight_request_seconds", "From its header to the answer.", ("route",), buckets=SECONDS, registry=own
        )
        self.under_way = Gauge("resight_requests_under_way", "Requests not answered yet.", registry=own)
        self.work = Histogram("resight_work_seconds", "One batch of work.", ("work",), buckets=SECONDS, registry=own)
        self.items = Counter("resight_work_items", "Pictures and queries worked on.", ("work",), registry=own)
        Gauge("resight_records", "Records in the gallery.", registry=own).set_function(records)

    @contextmanager
    def working(self, work: str, items: int) -> Iterator[None]:
        """Time one batch of work: ``model`` or ``search``."""
        began = perf_counter()
        try:
            yield
        finally:
            self.work.labels(work).observe(perf_counter() - began)
            self.items.labels(work).inc(items)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)
