"""One collection of Milvus: made, read in pages, written. Errors are one sentence.

A read sees everything up to a moment of the server's clock, for which Milvus waits where it must.

Spoken to with pymilvus, in words that Milvus 2.3 and its successors know.

Shape letters: ``N`` rows, ``Q`` queries, ``D`` embedding.
"""

from __future__ import annotations

import logging
import os
import re
import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery.milvus.rows import ALL, NOTHING, RECORD, among, both, fields, quoted
from resight.secrets import without_secrets

MOST = 16384  # rows that Milvus gives for one search or query
TOKEN = "RESIGHT_MILVUS_TOKEN"
PATIENCE = 30.0  # seconds for one answer
EXACT, ROUGH = {"index_type": "FLAT"}, {"index_type": "HNSW", "params": {"M": 32, "efConstruction": 256}}
_FEW = 1000  # rows, or ids in one expression
_MESSAGE = 16 * 2**20  # bytes
_POLL = 0.1  # seconds
_ID = re.compile(r"[0-9a-f]{32}")

Row: TypeAlias = "dict[str, Any]"
Index: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Place:
    """``milvus://host:19530/collection?objects=URI``; with ``tls=1`` the connection is encrypted."""

    address: str
    collection: str
    objects: str
    tls: bool

    @classmethod
    def of(cls, uri: str) -> Place:
        """The parts of a URI; DataError where it is none."""
        parts, shown = urlsplit(uri), without_secrets(uri)
        asked = parse_qs(parts.query, keep_blank_values=True)
        collection = parts.path.strip("/")
        try:
            port = parts.port or 19530
        except ValueError:
            port = 0
        if not parts.hostname or not port or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", collection):
            raise DataError(
                f"{shown} names no collection: write milvus://HOST:19530/NAME?objects=URI, NAME of letters, digits, _."
            )
        if asked.keys() - {"objects", "tls"} or parts.username is not None:
            raise DataError(f"{shown}: only objects and tls are known here; a user or key is read from {TOKEN}.")
        if not asked.get("objects", [""])[0]:
            raise DataError(
                f"{shown} does not say where thumbnails and the log are: add ?objects=FOLDER or ?objects=s3://BUCKET/FOLDER."
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(f"{host}:{port}", collection, asked["objects"][0], asked.get("tls", ["0"])[0] == "1")

    def uri(self, objects: str) -> str:
        """The same with the full address of the objects."""
        return f"milvus://{self.address}/{self.collection}?objects={quote(objects, safe='/:')}" + "&tls=1" * self.tls


def connect(place: Place) -> Any:
    """A client that any thread may use.

    Raises:
        DataError: pymilvus is not installed.
        ResightError: the server does not answer.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise DataError("A gallery in Milvus needs pymilvus: pip install 'resight[cluster]'.") from None
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs every error that it raises
    with clear_errors(place.address):
        address = f"{'https' if place.tls else 'http'}://{place.address}"
        return MilvusClient(uri=address, token=os.environ.get(TOKEN, ""), timeout=PATIENCE)


@contextmanager
def clear_errors(address: str) -> Iterator[None]:
    """Errors of Milvus as a ResightError of one sentence."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
        message = " ".join(str(getattr(error, "message", "") or error).split()).rstrip(".")
        raise ResightError(
            f"Milvus at {address} reported an error ({message[:300]}): check the server and the address."
        ) from None


def now(client: Any, address: str) -> int:
    """The server's clock: what is read as of now has all that was written before."""
    with clear_errors(address):
        return int(client._get_connection().alloc_timestamp(timeout=PATIENCE))


class Table:
    """A collection of records of ``dim`` dimensions.

    Args:
        as_of: what reads must see everything up to, as :func:`now` gives it; None for the moment of the read.
    """

    def __init__(
        self, client: Any, address: str, name: str, dim: int, metric: str, as_of: Callable[[], int] | None = None
    ) -> None:
        self.name, self.dim, self.metric = name, dim, metric
        self._client, self._address, self._as_of = client, address, as_of
        self._measure = "COSINE" if metric == "cosine" else "L2"

    def ask(self, what: str, *args: Any, timeout: float = PATIENCE, **options: Any) -> Any:
        """Call a method of the client with the collection's name."""
        with clear_errors(self._address):
            return getattr(self._client, what)(self.name, *args, timeout=timeout, **options)

    def make(self, kind: Index | None) -> None:
        """Make the collection if it is not there, with an index and ready for use where one is given.

        Raises:
            DataError: it is there, and was never made here.
        """
        if not self.ask("has_collection"):
            from pymilvus import DataType

            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            fields(schema, DataType, self.dim)
            self.ask("create_collection", schema=schema, num_shards=1, consistency_level="Strong")
        if {field["name"] for field in self.ask("describe_collection")["fields"]} != set(ALL):
            raise DataError(f"The collection {self.name} exists, but is not a gallery: choose another name.")
        if kind is not None:
            self.index(kind)
            self.load()

    def fits(self) -> bool:
        """Whether the collection is of these dimensions, and its index of this metric."""
        kept = {field["name"]: field["params"].get("dim", 0) for field in self.ask("describe_collection")["fields"]}
        return int(kept["vector"]) == self.dim and self.ask("describe_index", "vector")["metric_type"] == self._measure

    def index(self, kind: Index) -> None:
        """Have the server begin to build an index, if there is none."""
        if not self.ask("list_indexes"):
            wanted = self._client.prepare_index_params()
            wanted.add_index("vector", metric_type=self._measure, **kind)
            self.ask("create_index", wanted, sync=False)

    def indexing(self) -> bool:
        """Whether the index is not built yet."""
        return str(self.ask("describe_index", "vector")["state"]) != "Finished"

    def load(self) -> None:
        """Have the collection in the server's memory; nothing is done where it is."""
        self.ask("load_collection", timeout=3600.0)
        until = clock.monotonic() + PATIENCE
        while True:  # the collection that was asked to load may have been a dropped one of the same name
            try:
                self.count()
                return
            except ResightError:
                if clock.monotonic() > until:
                    raise
                clock.sleep(_POLL)

    def count(self, where: str = "") -> int:
        """For how many rows an expression is true."""
        found = self.ask("query", filter=where, output_fields=["count(*)"], **self._seeing())
        return int(found[0]["count(*)"])

    def pages(
        self, where: str = "", columns: Sequence[str] = RECORD, size: int = MOST, after: str = ""
    ) -> Iterator[list[Row]]:
        """All rows for which an expression is true, in pages of at most ``size``, ordered by id."""
        size = min(size, self._together(columns))
        while True:
            rows = self._query(both(where, f"id > {quoted(after)}" if after else ""), columns, size)
            if rows:
                yield rows
            if len(rows) < size:
                return
            after = rows[-1]["id"]

    def ids(self, where: str) -> list[str]:
        """The ids of all rows for which an expression is true."""
        return [row["id"] for rows in self.pages(where, ("id",)) for row in rows]

    def any(self, where: str, columns: Sequence[str]) -> Row | None:
        """One row for which an expression is true."""
        found = self._query(where, columns, 1)
        return found[0] if found else None

    def rows(self, ids: Sequence[str], columns: Sequence[str], *, now: bool = False) -> list[Row]:
        """The rows with these ids, in no order; those that are not there are left out. ``now``: as of this moment."""
        wanted = [id for id in dict.fromkeys(ids) if isinstance(id, str) and _ID.fullmatch(id)]
        size, found = min(_FEW, self._together(columns)), []
        for start in range(0, len(wanted), size):
            some = wanted[start : start + size]
            found += self._query(among("id", some), columns, len(some), now)
        return found

    def search(self, queries: NDArray[np.float32], k: int, where: str, **options: Any) -> list[Any]:
        """For each of (Q, D) queries up to ``k`` hits with records and vectors, nearest first."""
        size = max(1, _MESSAGE // (k * (4 * self.dim + 256)))
        found: list[Any] = []
        for start in range(0, len(queries), size):
            found += self.ask(
                "search",
                data=list(queries[start : start + size]),
                filter=where,
                limit=k,
                output_fields=[*RECORD, "vector"],
                search_params={"params": options},
                **self._seeing(),
            )
        return found

    def messages(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Rows in parts that fit into one message."""
        rest = iter(rows)
        room = 0
        part: list[Row] = []
        for row in rest:
            size = 4 * self.dim + 512 + 4 * (len(row["source"]) + len(row["basis"]))
            if part and size > room:
                yield part
                part = []
            room = (room if part else _MESSAGE) - size
            part.append(row)
        if part:
            yield part

    def compacting(self, job: int) -> bool:
        """Whether a compaction that ``ask("compact")`` began is not done yet."""
        with clear_errors(self._address):
            return str(self._client.get_compaction_state(job, timeout=PATIENCE)) != "Completed"

    def _seeing(self, now: bool = False) -> dict[str, Any]:
        if now or self._as_of is None:
            return {"consistency_level": "Strong"}
        return {"consistency_level": "Customized", "guarantee_timestamp": self._as_of()}

    def _query(self, where: str, columns: Sequence[str], limit: int, now: bool = False) -> list[Row]:
        """The first rows by id for which an expression is true."""
        if where == NOTHING:
            return []
        found = self.ask("query", filter=where, output_fields=list(columns), limit=limit, **self._seeing(now))
        return sorted(map(dict, found), key=lambda row: str(row["id"]))

    def _together(self, columns: Sequence[str]) -> int:
        """How many rows with these columns fit into one message."""
        if "vector" in columns:
            return max(1, min(_FEW, _MESSAGE // (4 * self.dim + 1024)))
        return _FEW if "source" in columns else MOST
