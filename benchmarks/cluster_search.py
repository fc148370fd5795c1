"""Searches of a gallery in PostgreSQL against pgvector's own bare query, with and without filters and index.

    python benchmarks/cluster_search.py                                  # 20,000 and 200,000 records of 512 numbers
    python benchmarks/cluster_search.py --sizes 20000 --queries 50

Vectors, cameras and times are those of ``gallery.py``. Client and server share the machine and speak through a socket.

- ``bare``: ``SELECT id FROM records ORDER BY vector <=> %s LIMIT 10`` on the gallery's own table, prepared, which
  returns ids only. The gallery asks for 26 with all that belongs to them, and computes distances anew in float64.
- ``usual``: the same on a table made as pgvector's documentation does, ``(id bigserial, embedding vector(512))``, whose
  vectors of more than 2,000 bytes PostgreSQL keeps apart (TOAST).
- ``camera``: one of eight; ``hour``: 1 in 24; each in the bare query as well.
- ``hnsw``: the index of ``resight gallery index``; recall: share of the ten exact nearest that are found.

**Interleaved.** Each query is asked of every contender before the next query is, in an order that changes. A ratio is
the median over the queries of (gallery / bare) for the same query.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from deadline import add_deadline, limit
from numpy.typing import NDArray
from pgvector.psycopg import register_vector

import resight
from benchmarks.gallery import START, camera_of, draw, quantiles, ratio, take_turns, time_of
from postgres_server import PostgresServer
from resight.gallery.record import Filter
from resight.models.card import Card

K = 10
HOUR = (START + 9 * 3600, START + 10 * 3600)


def fill(uri: str, vectors: NDArray[np.float32]) -> float:
    """Records a second, 4,096 at once."""
    size, dim = vectors.shape
    cameras, times = camera_of(size), time_of(size)
    began = time.perf_counter()
    with resight.Gallery.open(
        uri, Card(architecture="drawn", dim=dim, metric="cosine", fingerprint="drawn")
    ) as gallery:
        for start in range(0, size, 4096):
            some = slice(start, start + 4096)
            gallery.add(
                resight.Embeddings(vectors[some]),
                cameras=[f"c{camera}" for camera in cameras[some]],
                times=times[some].tolist(),
                sources=[str(row) for row in range(size)[some]],
            )
    return size / (time.perf_counter() - began)


def run(server: PostgresServer, size: int, count: int) -> dict[str, Any]:
    vectors, queries = draw(size, count, 512, "clustered")
    uri = server.uri()
    rate = fill(uri, vectors)
    print(f"{size:,} records added, {rate:,.0f} a second", file=sys.stderr)
    schema = uri.partition("gallery=")[2]
    with server.connect() as db, resight.Gallery.open(uri) as gallery:
        register_vector(db)
        db.execute(f"SET search_path = {schema}, public")
        db.execute("CREATE TABLE usual (id bigserial, embedding vector(512))")
        db.execute("INSERT INTO usual (embedding) SELECT vector FROM records")
        for table in ("records", "labels", "usual"):
            db.execute(f"VACUUM ANALYZE {table}")

        def bare(condition: str = "true", table: str = "records", column: str = "vector") -> Callable[[Any], Any]:
            statement = f"SELECT id FROM {table} WHERE {condition} ORDER BY {column} <=> %s LIMIT {K}"
            return lambda query: db.execute(statement, (query,), prepare=True).fetchall()

        def ours(where: Filter, **options: bool) -> Callable[[Any], Any]:
            return lambda query: [hit.record.id for hit in gallery.search(query, K, where, **options)]

        exact = {
            "": (Filter(), "true"),
            "camera": (Filter(cameras=("c3",)), "camera = 'c3'"),
            "hour": (Filter(after=HOUR[0], before=HOUR[1]), f"time >= {HOUR[0]} AND time < {HOUR[1]}"),
        }
        contenders = {"usual": bare(table="usual", column="embedding")}
        for name, (where, condition) in exact.items():
            contenders |= {f"bare {name}": bare(condition), f"gallery {name}": ours(where)}
        took, found = take_turns(contenders, list(queries))
        result: dict[str, Any] = {"records": size, "queries": count, "rate": rate, "usual": quantiles(took["usual"])}
        for name in exact:
            one, other = took[f"gallery {name}"], took[f"bare {name}"]
            result[name or "all"] = {"gallery": quantiles(one), "bare": quantiles(other), "ratio": ratio(one, other)}
        size_of = "SELECT pg_table_size('records'), pg_indexes_size('records'), pg_table_size('usual')"
        result["bytes"] = dict(zip(("table", "indexes", "usual"), db.execute(size_of).fetchone() or (), strict=True))
        print("building the index", file=sys.stderr)
        began = time.perf_counter()
        gallery.store.index()
        result["index seconds"] = time.perf_counter() - began
        (result["bytes"]["hnsw"],) = db.execute("SELECT pg_relation_size('records_near')").fetchone() or (0,)
        near = {name or "all": ours(where, approximate=True) for name, (where, _) in exact.items()}
        took, got = take_turns(near, list(queries))
        for name in near:
            truth = found[f"gallery {'' if name == 'all' else name}"]
            shares = [len({*one} & {*other}) / len(one) for one, other in zip(truth, got[name], strict=True) if one]
            result[f"hnsw {name}"] = quantiles(took[name]) | {"recall": float(np.mean(shares))}
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[20_000, 200_000])
    parser.add_argument("--queries", type=int, default=100)
    add_deadline(parser, 3600)
    options = parser.parse_args()
    database = PostgresServer(
        fsync="on", full_page_writes="on", shared_buffers="2GB", max_wal_size="4GB", effective_cache_size="6GB"
    )
    try:
        for records in options.sizes:
            limit(options.deadline)
            print(json.dumps(run(database, records, options.queries), indent=1), flush=True)
    finally:
        database.close()
