"""Is Milvus worth its place behind a gallery in PostgreSQL? Searches of both, exact and approximate, and inserting.

    pip install milvus==2.3.5 pymilvus==3.0.2       # a server in this environment, and its client
    python benchmarks/peer_milvus.py --size 200000

Vectors, cameras and times are those of ``gallery.py``. Each query is asked of every contender before the next query is,
in an order that changes; servers and client share the machine. A ratio is the median over the queries of (PostgreSQL /
Milvus) for the same query. Milvus answers with numbers of rows and rough distances, the gallery with whole records.

- ``exact``: Milvus's FLAT index against an exact search in the database, and against one in vectors that are held in
  memory (``Gallery.hold_vectors``, as ``resight serve`` does).
- ``near``: Milvus's HNSW (M 16, efConstruction 64, ef 128) against pgvector's, as ``resight gallery index`` makes it.
- recall: share of the ten exact nearest that are found.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from deadline import add_deadline, limit
from numpy.typing import NDArray

import resight
from benchmarks.cluster_search import EXACT, K, fill, one, recall
from benchmarks.gallery import camera_of, draw, quantiles, ratio, take_turns, time_of
from postgres_server import PostgresServer

Ask = Callable[[Any], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=50)
    add_deadline(parser, 2 * 3600)
    options = parser.parse_args()
    limit(options.deadline)
    from milvus import MilvusServer
    from pymilvus import MilvusClient

    postgres = PostgresServer(fsync="on", full_page_writes="on", shared_buffers="2GB", max_wal_size="4GB")
    vectors, queries = draw(options.size, options.queries, 512, "clustered")
    with tempfile.TemporaryDirectory() as folder:
        server = MilvusServer()
        server.set_base_dir(folder)
        server.start()
        try:
            client = MilvusClient(uri=f"http://127.0.0.1:{server.listen_port}")
            tell(milvus_added_a_second=fill_milvus(client, vectors))
            uri = postgres.uri()
            tell(postgres_added_a_second=fill(uri, vectors))
            measure(client, postgres, uri, list(queries))
            size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            tell(milvus_bytes=size)
        finally:
            postgres.close()
            server.server_proc.kill()  # its own stop gives up after some seconds
            server.server_proc.wait()


def measure(client: Any, postgres: PostgresServer, uri: str, queries: list[NDArray[np.float32]]) -> None:
    """Search in turns, exactly and by the indexes."""
    schema = uri.partition("gallery=")[2]
    with postgres.connect() as db, resight.Gallery.open(uri) as gallery, resight.Gallery.open(uri) as holding:
        db.execute(f"VACUUM ANALYZE {schema}.records")
        holding.hold_vectors()
        began = time.perf_counter()
        gallery.store.index()
        tell(postgres_index_seconds=time.perf_counter() - began)
        tell(postgres_bytes=one(db, f"SELECT pg_total_relation_size('{schema}.records')"))
        for name, (where, condition) in EXACT.items():

            def ours(one: resight.Gallery, where: Any = where, **how: bool) -> Ask:
                return lambda query: [int(hit.record.source) for hit in one.search(query, K, where, **how)]

            def theirs(collection: str, condition: str = in_milvus(condition)) -> Ask:
                def ask(query: Any) -> list[int]:
                    found = client.search(
                        collection, [query.tolist()], filter=condition, limit=K, search_params={"params": {"ef": 128}}
                    )
                    return [hit["id"] for hit in found[0]]

                return ask

            took, got = take_turns(
                {
                    "exact": ours(gallery),
                    "held": ours(holding),
                    "near": ours(gallery, approximate=True),
                    "milvus exact": theirs("flat"),
                    "milvus near": theirs("near"),
                },
                queries,
            )
            for way, peer in (("exact", "milvus exact"), ("held", "milvus exact"), ("near", "milvus near")):
                both = {way: recall(got["exact"], got[way]), peer: recall(got["exact"], got[peer])}
                tell(
                    filter=name,
                    way=way,
                    ratio_to_milvus=ratio(took[way], took[peer]),
                    postgres=quantiles(took[way]),
                    milvus=quantiles(took[peer]),
                    recall=both,
                )


def in_milvus(condition: str) -> str:
    """A condition of SQL as Milvus writes it."""
    return "" if condition == "true" else condition.replace(" = ", " == ").replace("AND", "and")


def fill_milvus(client: Any, vectors: NDArray[np.float32]) -> float:
    """Two collections, one for each index; records a second of the first, until they can be searched."""
    from pymilvus import DataType

    rates = []
    cameras, times = camera_of(len(vectors)), time_of(len(vectors))
    for collection, kind, parameters in (
        ("flat", "FLAT", {}),
        ("near", "HNSW", {"M": 16, "efConstruction": 64}),
    ):
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("camera", DataType.VARCHAR, max_length=64)
        schema.add_field("time", DataType.DOUBLE)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        index = client.prepare_index_params()
        index.add_index("vector", index_type=kind, metric_type="COSINE", params=parameters)
        client.create_collection(collection, schema=schema, index_params=index, consistency_level="Eventually")
        began = time.perf_counter()
        for start in range(0, len(vectors), 4096):
            rows = range(start, min(start + 4096, len(vectors)))
            client.insert(
                collection,
                [
                    {
                        "id": row,
                        "camera": f"c{cameras[row]}",
                        "time": float(times[row]),
                        "vector": vectors[row].tolist(),
                    }
                    for row in rows
                ],
            )
        client.flush(collection)
        rates.append(len(vectors) / (time.perf_counter() - began))
        began = time.perf_counter()
        while client.describe_index(collection, "vector")["pending_index_rows"]:
            time.sleep(0.5)
        tell(milvus=kind, index_seconds=time.perf_counter() - began)
    return rates[0]


def tell(**found: Any) -> None:
    """Print each part as soon as it is there."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
