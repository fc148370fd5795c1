"""A gallery against plain FAISS on the same vectors: inserting, opening, searching exactly and approximately, memory.

    python benchmarks/gallery.py                                   # 20,000 and 200,000 records of 512 numbers
    python benchmarks/gallery.py --sizes 1000000 --approximate-up-to 0
    python benchmarks/gallery.py --sizes 20000 --vectors random

Vectors are drawn. ``clustered``: 20 sightings of each identity around its centre, both in 32 hidden dimensions that are
spread over 512, and a little noise in all 512 on top. An index finds its way among them about as hard as among real
ones: of the ten nearest, HNSW with efSearch 8, 16, 32 finds 92.3%, 96.6%, 99.0% of 20,000 drawn ones, and 94.4%, 97.7%,
99.6% of Market-1501's 19,732 (OSNet x0.25 with weights of MSMT17). ``random``: 512 independent numbers each, which no
embedding looks like; nearest neighbours mean little there, and an index has its worst day. Queries are new sightings of
identities that are there. All vectors have length 1, cosine distance.

**Interleaved.** Each query is asked of every contender before the next query is, in an order that changes; all live in
one process. A ratio is the median over the queries of (gallery / FAISS) for the same query. FAISS holds the vectors in
its own memory and answers with row numbers; a gallery answers with whole records, in exact float64 distances, after
looking whether another process wrote. ``k`` is 10.

- ``flat``: FAISS IndexFlatIP. ``flat, filtered``: the same with an IDSelectorBitmap that is ready made.
- ``camera``: one of eight cameras; ``hour``: a window of time that holds 1 in 24; ``not camera``: seven of eight;
  ``unknown``: the records without identity, one half.
- ``hnsw``: FAISS IndexHNSWFlat with M = 32, efConstruction = 80 and the smallest efSearch of a series whose recall is
  at least 0.98, and no lower than the gallery's; recall: share of the 10 exact nearest that are found. ``together``: 64
  queries in one call.
- Memory: of a process that opened the gallery and searched; ``own`` is its own memory beyond that of the imported
  libraries, ``mapped`` what of the gallery's file the system keeps for it, and may take back.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from deadline import add_deadline, limit, no_limit, run
from numpy.typing import NDArray

import resight
from resight.gallery.record import Filter
from resight.models.card import Card

HIDDEN, EACH, CAMERAS, K, TOGETHER = 32, 20, 8, 10, 64
DAY = 86_400.0
START = 1_700_000_000.0
WANTED = 0.98
EFFORTS = (8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 1024)
Seconds = list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[20_000, 200_000])
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--vectors", choices=("clustered", "random"), default="clustered")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--approximate-up-to", type=int, default=200_000, help="no approximate index for larger sizes")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the galleries are made")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 3600)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(opened(options.work)))
        return
    results = []
    for size in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="gallery-", dir=options.folder))
        try:
            needed, free = 12 * size * options.dimensions, shutil.disk_usage(folder).free
            if needed > free:
                sys.exit(f"{folder} has {free:,} bytes left, but {size:,} records take some {needed:,}: pass --folder.")
            results.append(measure(size, options, folder))
            if not options.json:
                show(results[-1])
        finally:
            shutil.rmtree(folder)
    if options.json:
        print(json.dumps(results, indent=2))


def measure(size: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything about one size."""
    dim = options.dimensions
    vectors, queries = draw(size, options.queries, dim, options.vectors)
    uri = str(folder / "bench.db")
    limit(options.deadline)
    inserted = insert(uri, vectors)
    no_limit()
    tell(f"{size:,} records added")
    command = [sys.executable, __file__, "--work", uri]
    opening = json.loads(run(command, options.deadline, check=True, stdout=subprocess.PIPE).stdout)
    limit(options.deadline)
    flat = faiss.IndexFlatIP(dim)
    flat.add(vectors)
    filters = {
        "": Filter(),
        "camera": Filter(cameras=("c3",)),
        "not camera": Filter(exclude_cameras=("c3",)),
        "hour": Filter(after=START + 9 * 3600, before=START + 10 * 3600),
        "unknown": Filter(unknown=True),
    }
    masks = {
        "": np.ones(size, bool),
        "camera": camera_of(size) == 3,
        "not camera": camera_of(size) != 3,
        "hour": (time_of(size) >= START + 9 * 3600) & (time_of(size) < START + 10 * 3600),
        "unknown": np.arange(size) % (2 * EACH) >= EACH,
    }
    with resight.Gallery.open(uri) as gallery:
        contenders: dict[str, Callable[[NDArray[np.float32]], list[int]]] = {}
        for name, where in filters.items():
            contenders[f"flat, {name}" if name else "flat"] = by_faiss(flat, masks[name], filtered=bool(name))
            contenders[f"gallery, {name}" if name else "gallery"] = by_gallery(gallery, where)
        took, found = take_turns(contenders, list(queries))
        rows = []
        for name in filters:
            ours, theirs = (f"{who}, {name}" if name else who for who in ("gallery", "flat"))
            rows.append(
                {"filter": name or "-", "passing": float(masks[name].mean())}
                | {"gallery": quantiles(took[ours]), "flat_filtered": quantiles(took[theirs])}
                | {"ratio": ratio(took[ours], took["flat"]), "same": agreement(found[ours], found[theirs])}
            )
        result = {
            "records": size,
            "dimensions": dim,
            "vectors": options.vectors,
            "queries": len(queries),
            "threads": faiss.omp_get_max_threads(),
            "insert": inserted,
            "open": opening,
            "flat": quantiles(took["flat"]),
            "search": rows,
        }
        if size <= options.approximate_up_to:
            result["approximate"] = approximate(gallery, flat, vectors, queries, found["flat"])
    return result


def draw(size: int, count: int, dim: int, kind: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, D) vectors and (Q, D) queries of length 1; row i is identity i // EACH."""
    rng = np.random.default_rng(size)
    spread = (rng.standard_normal((HIDDEN, dim)) / HIDDEN**0.5).astype(np.float32)
    centres = rng.standard_normal((-(-size // EACH), HIDDEN), np.float32)

    def some(who: NDArray[np.int64]) -> NDArray[np.float32]:
        made = np.empty((len(who), dim), np.float32)
        for start in range(0, len(who), 50_000):  # in pieces, for memory
            part = who[start : start + 50_000]
            if kind == "random":
                made[start : start + len(part)] = rng.standard_normal((len(part), dim), np.float32)
                continue
            hidden = centres[part] + np.float32(0.8) * rng.standard_normal((len(part), HIDDEN), np.float32)
            made[start : start + len(part)] = hidden @ spread
            made[start : start + len(part)] += np.float32(0.05) * rng.standard_normal((len(part), dim), np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    return some(np.arange(size) // EACH), some(rng.integers(0, len(centres), count))


def camera_of(size: int) -> NDArray[np.int64]:
    return np.arange(size) * 7919 % CAMERAS


def time_of(size: int) -> NDArray[np.float64]:
    """All within a day."""
    return START + np.arange(size) * 1013 % size * (DAY / size)


def insert(uri: str, vectors: NDArray[np.float32]) -> dict[str, float]:
    """Fill a new gallery; records a second, by how many are added at once."""
    size, dim = vectors.shape
    card = Card(architecture="drawn", dim=dim, metric="cosine", fingerprint="drawn")
    cameras, times = camera_of(size), time_of(size)
    rates, at = {}, 0
    with resight.Gallery.open(uri, card) as gallery:
        for batch, count in ((1, min(100, size // 4)), (64, min(2560, size // 4)), (4096, size)):
            begin, began = at, time.perf_counter()
            while at < min(begin + count, size):
                rows = range(at, min(at + batch, begin + count, size))
                gallery.add(
                    resight.Embeddings(vectors[rows.start : rows.stop]),
                    cameras=[f"c{camera}" for camera in cameras[rows.start : rows.stop]],
                    times=times[rows.start : rows.stop].tolist(),
                    identities=[f"person {row // EACH}" if row % (2 * EACH) < EACH else None for row in rows],
                    sources=[str(row) for row in rows],
                    basis="drawn",
                )
                at = rows.stop
            rates[str(batch)] = (at - begin) / (time.perf_counter() - began)
    return rates


def opened(path: Path) -> dict[str, float]:
    """Seconds to open a gallery and to answer the first query, and the memory that takes, in a process of its own."""
    import resight.gallery.gallery  # all that is imported is paid before

    faiss.IndexFlatIP(8).add(np.zeros((1, 8), np.float32))
    before, began = memory("RssAnon"), time.perf_counter()
    with resight.Gallery.open(str(path)) as gallery:
        took = time.perf_counter() - began
        query = np.random.default_rng(0).standard_normal(gallery.card.dim).astype(np.float32)
        began = time.perf_counter()
        gallery.search(query, K)
        first = time.perf_counter() - began
        for _ in range(5):
            gallery.search(query, K, Filter(cameras=("c3",)))
        return {"open": took, "first": first, "own": memory("RssAnon") - before, "mapped": memory("RssFile")}


def memory(kind: str) -> int:
    """Bytes that this process holds: RssAnon, its own; RssFile, of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(kind)))


def by_faiss(index: Any, mask: NDArray[np.bool_], *, filtered: bool) -> Callable[[NDArray[np.float32]], list[int]]:
    bits = np.packbits(mask, bitorder="little")
    chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits)) if filtered else None
    return lambda query: index.search(query[None], K, params=chosen)[1][0].tolist()


def by_gallery(gallery: resight.Gallery, where: Filter, **options: Any) -> Callable[[NDArray[np.float32]], list[int]]:
    return lambda query: [int(hit.record.source) for hit in gallery.search(query, K, where, **options)]


def take_turns(
    contenders: dict[str, Callable[[NDArray[np.float32]], Any]], asked: Sequence[NDArray[np.float32]]
) -> tuple[dict[str, Seconds], dict[str, list[Any]]]:
    """Seconds and answers of every contender for everything that is asked; two rounds come before that do not count."""
    took: dict[str, Seconds] = {name: [] for name in contenders}
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    names = list(contenders)
    for number, query in enumerate([*asked[:2], *asked], -len(asked[:2])):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.perf_counter()
            answer = contenders[name](query)
            seconds = time.perf_counter() - began
            if number >= 0:
                took[name].append(seconds)
                found[name].append(answer)
    return took, found


def approximate(
    gallery: resight.Gallery,
    flat: Any,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    exact: list[list[int]],
) -> dict[str, Any]:
    """The gallery's index against FAISS's HNSW at the same recall."""
    index = gallery.index()
    tell(f"the gallery's index: {index}")
    began = time.perf_counter()
    hnsw = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    hnsw.hnsw.efConstruction = 80
    hnsw.add(vectors)
    built = time.perf_counter() - began
    ours = by_gallery(gallery, Filter(), approximate=True)
    wanted = max(WANTED, agreement([ours(query) for query in queries], exact))
    for effort in EFFORTS:
        hnsw.hnsw.efSearch = effort
        recall = agreement(hnsw.search(queries, K)[1].tolist(), exact)
        if recall >= wanted:
            break
    camera = Filter(cameras=("c3",))
    took, found = take_turns(
        {
            "gallery": ours,
            "camera": by_gallery(gallery, camera, approximate=True),
            "camera, exact": by_gallery(gallery, camera),
            "hnsw": by_faiss(hnsw, np.empty(0, bool), filtered=False),
        },
        list(queries),
    )
    several = {
        "gallery": lambda some: gallery.search_many(some, K, approximate=True),
        "hnsw": lambda some: hnsw.search(some, K),
        "exact": lambda some: gallery.search_many(some, K),
        "flat": lambda some: flat.search(some, K),
    }
    batches = [queries[start : start + TOGETHER] for start in range(0, len(queries) - TOGETHER + 1, TOGETHER)]
    together = take_turns(several, batches)[0] if batches else {}
    return {
        "together": {name: float(np.median(seconds)) / TOGETHER for name, seconds in together.items()},
        "gallery": quantiles(took["gallery"]) | {"recall": agreement(found["gallery"], exact), "built": index.seconds},
        "camera": quantiles(took["camera"]) | {"recall": agreement(found["camera"], found["camera, exact"])},
        "hnsw": quantiles(took["hnsw"]) | {"recall": recall, "built": built, "efSearch": effort},
        "ratio": ratio(took["gallery"], took["hnsw"]),
    }


def agreement(found: list[list[int]], truth: list[list[int]]) -> float:
    """The share of what is to be found that was."""
    shared = sum(len(set(some) & set(others)) for some, others in zip(found, truth, strict=True))
    return shared / max(sum(map(len, truth)), 1)


def quantiles(seconds: Seconds) -> dict[str, float]:
    return {"p50": float(np.quantile(seconds, 0.5)), "p99": float(np.quantile(seconds, 0.99))}


def ratio(ours: Seconds, theirs: Seconds) -> float:
    return float(np.median(np.divide(ours, theirs)))


def show(found: dict[str, Any]) -> None:
    def ms(one: dict[str, float]) -> str:
        return f"{1000 * one['p50']:8.2f} {1000 * one['p99']:8.2f}"

    insert, opening = found["insert"], found["open"]
    print(f"\n{found['records']:,} x {found['dimensions']}, {found['vectors']}, {found['queries']} queries, k {K}")
    print("added a second: " + ", ".join(f"{rate:,.0f} ({batch} at once)" for batch, rate in insert.items()))
    print(
        f"opened in {1000 * opening['open']:.0f} ms, first answer {1000 * opening['first']:.0f} ms later; "
        f"own memory {opening['own'] / 2**20:.0f} MiB, mapped {opening['mapped'] / 2**20:.0f} MiB"
    )
    print(f"{'ms':>22} {'p50':>8} {'p99':>8}   to flat   as FAISS")
    print(f"{'faiss flat':>22} {ms(found['flat'])}")
    for row in found["search"]:
        name = f"{row['filter']} ({row['passing']:.0%})" if row["filter"] != "-" else "no filter"
        print(f"{name:>22} {ms(row['gallery'])}   {row['ratio']:6.2f} x  {row['same']:8.2%}")
        if row["filter"] != "-":
            print(f"{'flat, filtered':>22} {ms(row['flat_filtered'])}")
    if "approximate" in found:
        near = found["approximate"]
        for name in ("hnsw", "gallery", "camera"):
            one = near[name]
            built = f", built in {one['built']:.0f} s" if "built" in one else ""
            print(f"{'approximate ' + name:>22} {ms(one)}   recall {one['recall']:.4f}{built}")
        if near["together"]:
            print(
                f"{TOGETHER} together, ms a query: "
                + ", ".join(f"{name} {1000 * seconds:.2f}" for name, seconds in near["together"].items())
            )
        print(f"approximate: {near['ratio']:.2f} x FAISS HNSW (efSearch {near['hnsw']['efSearch']})")
    sys.stdout.flush()


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
