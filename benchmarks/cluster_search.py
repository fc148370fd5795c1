"""Searches of a gallery in PostgreSQL against pgvector's own bare query, with and without filters and index.

    python benchmarks/cluster_search.py                                  # 20,000 and 200,000 records of 512 numbers
    python benchmarks/cluster_search.py --sizes 1000000 --queries 30 --no-usual
    python benchmarks/cluster_search.py --sizes 200000 --divide hour     # the same table in 24 partitions; or camera

Vectors, cameras and times are those of ``gallery.py``. Client and server share the machine and speak through a socket.

- ``bare``: ``SELECT id FROM records ORDER BY vector <=> %s LIMIT 10`` on the gallery's own table, prepared, which
  returns ids only. The gallery asks for 18 with all that belongs to them, and computes distances anew in float64.
- ``processor``: the same ratio of the processor's time, of client and server together, without parallel
  workers; it holds on a busy machine too.
- ``usual``: the same on a table made as pgvector's documentation does, ``(id bigserial, embedding vector(512))``, whose
  vectors of more than 2,000 bytes PostgreSQL keeps apart (TOAST).
- ``camera``: one of eight; ``hour``: 1 in 24; each in the bare query as well.
- ``hnsw``: the index of ``resight gallery index``; recall: share of the ten exact nearest that are found.
- ``divided``: the bare query on a table of the same columns, storage and indexes in partitions, each with an HNSW index
  of its own, against the bare query on the gallery's table; and what it takes to erase one partition's records.

What is measured is printed at once, so a run that is ended early leaves what it has.

**Interleaved.** Each query is asked of every contender before the next query is, in an order that changes. A ratio is
the median over the queries of (gallery / bare) for the same query.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
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


EXACT = {
    "all": (Filter(), "true"),
    "camera": (Filter(cameras=("c3",)), "camera = 'c3'"),
    "hour": (Filter(after=HOUR[0], before=HOUR[1]), f"time >= {HOUR[0]} AND time < {HOUR[1]}"),
}
NEAR = "l2_normalize(vector)::halfvec(512)"  # what the gallery's index is over


def run(server: PostgresServer, size: int, options: argparse.Namespace) -> None:
    """Measure one size, and print each part as soon as it is there."""

    def tell(**found: Any) -> None:
        print(json.dumps({"records": size} | found), flush=True)

    vectors, queries = draw(size, options.queries, 512, "clustered")
    uri = server.uri()
    tell(added_a_second=fill(uri, vectors))
    del vectors
    schema = uri.partition("gallery=")[2]
    with server.connect() as db, resight.Gallery.open(uri) as gallery:
        register_vector(db)
        db.execute(f"SET search_path = {schema}, public")
        for table in ("records", "labels"):
            db.execute(f"VACUUM ANALYZE {table}")
        contenders = {}
        if not options.no_usual:
            db.execute("CREATE TABLE usual (id bigserial, embedding vector(512))")
            db.execute("INSERT INTO usual (embedding) SELECT vector FROM records")
            db.execute("VACUUM ANALYZE usual")
            contenders["usual"] = bare(db, "true", "usual", "embedding")
            tell(usual_bytes=one(db, "SELECT pg_table_size('usual')"))
        for name, (where, condition) in EXACT.items():
            contenders |= {f"bare {name}": bare(db, condition), f"gallery {name}": ours(gallery, where)}
        tell(table_bytes=one(db, "SELECT pg_table_size('records')"))
        tell(index_bytes=one(db, "SELECT pg_indexes_size('records')"))
        tell(slots_bytes=one(db, "SELECT pg_total_relation_size('slots')"))
        took, found = take_turns(contenders, list(queries))
        if "usual" in took:
            tell(usual=quantiles(took["usual"]), ratio_to_bare=ratio(took["usual"], took["bare all"]))
        for name in EXACT:
            mine, other = took[f"gallery {name}"], took[f"bare {name}"]
            tell(exact=name, gallery=quantiles(mine), bare=quantiles(other), ratio=ratio(mine, other))
        spent = processor(db, contenders, list(queries[:20]))
        for name in EXACT:
            tell(exact=name, processor=spent[f"gallery {name}"] / spent[f"bare {name}"])
        if options.divide:
            divided(db, options.divide, queries, tell)
        if options.no_index:
            return
        began = time.perf_counter()
        gallery.store.index()
        tell(index_seconds=time.perf_counter() - began, hnsw_bytes=one(db, "SELECT pg_relation_size('records_near')"))
        took, got = take_turns(
            {name: ours(gallery, where, approximate=True) for name, (where, _) in EXACT.items()}, list(queries)
        )
        for name in took:
            apart = ratio(took[name], took["all"])
            tell(hnsw=name, **quantiles(took[name]), recall=recall(found[f"gallery {name}"], got[name]), to_all=apart)


def divided(db: Any, by: str, queries: NDArray[np.float32], tell: Callable[..., None]) -> None:
    """The table in partitions, by camera or by hour, against the table in one: searches, indexes, erasing one part."""
    kind, bounds = ("LIST (camera)", [f"IN ('c{number}')" for number in range(8)])
    if by == "hour":
        edges = [START + hour * 3600 for hour in range(25)]
        kind = "RANGE (time)"
        bounds = [f"FROM ({low}) TO ({high})" for low, high in itertools.pairwise(edges)]
    db.execute(f"CREATE TABLE divided (LIKE records INCLUDING DEFAULTS) PARTITION BY {kind}")
    db.execute("CREATE INDEX ON divided (camera, time)")
    for number, bound in enumerate(bounds):
        part = f"divided_{number}"
        db.execute(f"CREATE TABLE {part} PARTITION OF divided FOR VALUES {bound} WITH (toast_tuple_target = 8160)")
    db.execute("INSERT INTO divided SELECT * FROM records")
    db.execute("VACUUM ANALYZE divided")
    contenders = {}
    for name, (_, condition) in EXACT.items():
        contenders |= {name: bare(db, condition), f"divided {name}": bare(db, condition, "divided")}
    took, exact = take_turns(contenders, list(queries))
    spent = processor(db, contenders, list(queries[:20]))
    for name in EXACT:
        apart = ratio(took[f"divided {name}"], took[name])
        tell(divided_by=by, exact=name, ratio_to_one_table=apart, processor=spent[f"divided {name}"] / spent[name])
    for table in ("divided", "records"):
        began = time.perf_counter()
        db.execute("SET maintenance_work_mem = '2GB'")
        db.execute(f"CREATE INDEX {table}_hnsw ON {table} USING hnsw (({NEAR}) halfvec_ip_ops)")
        tell(table=table, hnsw_seconds=time.perf_counter() - began)
    db.execute("SET hnsw.iterative_scan = relaxed_order")
    db.execute("SET hnsw.ef_search = 128")
    contenders = {
        f"{table} {name}": near(db, condition, table)
        for name, (_, condition) in EXACT.items()
        for table in ("records", "divided")
    }
    took, got = take_turns(contenders, list(queries))
    spent = processor(db, contenders, list(queries[:20]))
    for name in EXACT:
        both = {table: recall(exact[name], got[f"{table} {name}"]) for table in ("records", "divided")}
        apart = ratio(took[f"divided {name}"], took[f"records {name}"])
        work = spent[f"divided {name}"] / spent[f"records {name}"]
        tell(divided_by=by, hnsw=name, ratio_to_one_table=apart, processor=work, recall=both)
    condition = EXACT[by][1]
    for what, statement in {
        "rows of one table": f"DELETE FROM records WHERE {condition}",
        "a partition": f"DROP TABLE divided_{9 if by == 'hour' else 3}",
    }.items():
        began = time.perf_counter()
        db.execute("BEGIN")
        db.execute(statement)
        tell(erased=what, seconds=time.perf_counter() - began)
        db.execute("ROLLBACK")
    db.execute("DROP TABLE divided")
    db.execute("DROP INDEX records_hnsw")


def processor(db: Any, contenders: dict[str, Any], queries: list[Any]) -> dict[str, float]:
    """Seconds that the processor spends on the queries of each contender, in this process and in its sessions."""

    def so_far() -> dict[int, int]:
        sessions = db.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'").fetchall()
        found = {}
        for number in [os.getpid(), *(number for (number,) in sessions)]:
            files = Path(f"/proc/{number}/task").glob("*/schedstat")
            found[number] = sum(int(file.read_text().split()[0]) for file in files)
        return found

    db.execute("ALTER SYSTEM SET max_parallel_workers_per_gather = 0")
    db.execute("SELECT pg_reload_conf()")
    while one(db, "SHOW max_parallel_workers_per_gather") != "0":
        time.sleep(0.1)
    time.sleep(1)  # for the other sessions
    spent = {}
    for name, ask in contenders.items():
        for query in queries[:12]:  # after which plans of repeated statements are kept
            ask(query)
        before = so_far()
        for query in queries:
            ask(query)
        after = so_far()
        spent[name] = sum(after[number] - before.get(number, 0) for number in after) / 1e9
    db.execute("ALTER SYSTEM RESET max_parallel_workers_per_gather")
    db.execute("SELECT pg_reload_conf()")
    return spent


def bare(db: Any, condition: str, table: str = "records", column: str = "vector") -> Callable[[Any], Any]:
    """Pgvector's own query."""
    statement = f"SELECT id FROM {table} WHERE {condition} ORDER BY {column} <=> %s LIMIT {K}"
    return lambda query: [id for (id,) in db.execute(statement, (query,), prepare=True).fetchall()]


def near(db: Any, condition: str, table: str) -> Callable[[Any], Any]:
    """The same by an index over half precision."""
    statement = f"SELECT id FROM {table} WHERE {condition} ORDER BY {NEAR} <#> %s::halfvec(512) LIMIT {K}"
    return lambda query: [id for (id,) in db.execute(statement, (query,), prepare=True).fetchall()]


def ours(gallery: resight.Gallery, where: Filter, **how: bool) -> Callable[[Any], Any]:
    return lambda query: [hit.record.id for hit in gallery.search(query, K, where, **how)]


def recall(truth: list[Any], got: list[Any]) -> float:
    shares = [len({*some} & {*others}) / len(some) for some, others in zip(truth, got, strict=True) if some]
    return float(np.mean(shares))


def one(db: Any, statement: str) -> Any:
    (value,) = db.execute(statement).fetchone()
    return value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[20_000, 200_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--no-usual", action="store_true", help="leave out the table of pgvector's documentation")
    parser.add_argument("--no-index", action="store_true", help="leave out approximate searches")
    parser.add_argument("--divide", choices=("camera", "hour"), help="also measure the table in partitions")
    add_deadline(parser, 3600)
    options = parser.parse_args()
    database = PostgresServer(
        fsync="on", full_page_writes="on", shared_buffers="2GB", max_wal_size="4GB", effective_cache_size="6GB"
    )
    try:
        for records in options.sizes:
            limit(options.deadline)
            run(database, records, options)
    finally:
        database.close()
