"""The service under load: requests a second and waiting times of 1, 8 and 64 clients, and what happens with too many.

    python benchmarks/service.py                          # OSNet x0.25 with random weights, 20,000 vectors
    python benchmarks/service.py --model runs/NAME --seconds 20
    python benchmarks/service.py --postgres               # a gallery in PostgreSQL against one in a file
    python benchmarks/service.py --fuzz 300               # schemathesis against the running service, nothing is timed

A real ``resight serve`` in a process of its own, a real gallery of synthetic vectors (1,000 people around whose
directions they lie), and clients in this process that keep one connection each and ask again as soon as they are
answered. Both share the machine's cores. The service itself tells (``/metrics``) how long it computed in the model and
in the search; "outside" is the share of the time in which it did neither. The share in the model is also the ratio of
the pictures answered to those that the engine alone would embed in such batches, as fast as it is beside the rest.

``--postgres``: two services, of the same vectors in a file and in PostgreSQL, are asked in turns, three times each. A
ratio is the median over the turns of (answers a second by PostgreSQL / by the file). ``exact``: from the service's
memory; ``index``: approximate searches, in the database. Before that, the processor's time of a search without the
service is measured, of client and server together.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from deadline import add_deadline, killed_after, run, stop
from PIL import Image

import resight
from resight.models.loading import load

CLIENTS = (1, 8, 64)
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)
WARM = 1.0  # seconds before the clock starts
START = 300.0  # seconds in which the service starts or stops, or is killed


class Load(NamedTuple):
    """What a number of clients met; milliseconds, shares of the time."""

    asked: str
    clients: int
    per_second: float
    median: float
    p99: float
    batch: float
    model: float
    search: float
    outside: float
    statuses: dict[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="a run or a weight file with its card")
    parser.add_argument("--vectors", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--fuzz", type=int, default=0, metavar="EXAMPLES", help="of each operation")
    parser.add_argument("--postgres", action="store_true", help="compare a gallery in PostgreSQL with one in a file")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or str(Path(folder) / "model.safetensors")
        if not options.model:
            resight.load("osnet_x0_25").save(model)
        card = load(model).card
        print(f"adding {options.vectors:,} vectors", file=sys.stderr)
        fill(Path(folder) / "seen", model, options.vectors)
        if options.fuzz:
            sys.exit(fuzz(folder, model, options.fuzz, options.deadline))
        random = np.random.default_rng(1)
        embedding = by_embedding(random.normal(size=card.dim).astype(np.float32))
        picture = by_picture(random.integers(0, 256, (160, 64, 3), dtype=np.uint8))
        if options.postgres:
            against_postgres(folder, model, {"embedding": embedding, "picture": picture}, options)
            return
        loads = []
        with served(folder, model, "--rate", "0", "--queue", "128") as address:
            for asked, request in (("embedding", embedding), ("picture", picture)):
                for clients in CLIENTS:
                    loads.append(measure(address, asked, request, clients, options.seconds, options.deadline))
                    print(line(loads[-1]), file=sys.stderr)
        with served(folder, model, "--rate", "100", "--queue", "8") as address:
            for asked, request in (("embedding", embedding), ("picture", picture)):
                loads.append(measure(address, f"{asked}, too many", request, 64, options.seconds, options.deadline))
    odd = {status for load in loads for status in load.statuses} - {200, 429, 503}
    if options.json:
        print(json.dumps([load._asdict() for load in loads], indent=2))
    else:
        print("| asked by | clients | answers/s | median ms | p99 ms | batch | model | search | outside | statuses |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
        print("\n".join(line(load) for load in loads))
    if odd:
        sys.exit(f"Statuses that must not be: {odd}")


def against_postgres(folder: str, model: str, requests: dict[str, bytes], options: argparse.Namespace) -> None:
    """Print answers a second of both, and their ratio."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from cluster_search import processor

    from postgres_server import PostgresServer

    server = PostgresServer(fsync="on", full_page_writes="on", shared_buffers="1GB")
    how = ("--rate", "0", "--queue", "128")
    try:
        uri = server.uri()
        fill(uri, model, options.vectors)
        with resight.Gallery.open(uri) as gallery, server.connect() as db:
            gallery.store.index()
            db.execute("VACUUM ANALYZE")
            with resight.Gallery.open(Path(folder) / "seen") as other, resight.Gallery.open(uri) as held:
                held.hold_vectors()
                contenders: dict[str, Any] = {
                    "file": other.search,
                    "memory": held.search,
                    "database": gallery.search,
                    "index": lambda query: gallery.search(query, approximate=True),
                }
                some = list(np.random.default_rng(2).normal(size=(30, gallery.card.dim)).astype(np.float32))
                spent = processor(db, contenders, some)
        print(
            json.dumps({f"{who}, ms of a processor": round(1000 * spent[who] / len(some), 2) for who in spent}),
            flush=True,
        )
        with served(folder, model, *how) as file, served(folder, model, *how, gallery=uri) as database:
            for asked, request in requests.items():
                near = nearby(request)
                for clients in CLIENTS:
                    turns: dict[str, list[float]] = {"file": [], "exact": [], "index": []}
                    for _ in range(3):
                        for who, address, body in (
                            ("file", file, request),
                            ("exact", database, request),
                            ("index", database, near),
                        ):
                            load = measure(address, asked, body, clients, options.seconds, options.deadline)
                            assert load.statuses.keys() == {200}, load.statuses
                            turns[who].append(load.per_second)
                    told = {who: round(float(np.median(found)), 1) for who, found in turns.items()}
                    for who in ("exact", "index"):
                        told[f"{who} / file"] = round(float(np.median(np.divide(turns[who], turns["file"]))), 2)
                    print(json.dumps({"asked": asked, "clients": clients, **told}), flush=True)
    finally:
        server.close()


def nearby(request: bytes) -> bytes:
    """The same request for an approximate search."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b"multipart" in head:
        body = b'--x\r\nContent-Disposition: form-data; name="approximate"\r\n\r\ntrue\r\n' + body
    else:
        body = json.dumps(json.loads(body) | {"approximate": True}).encode()
    return re.sub(rb"Content-Length: \d+", f"Content-Length: {len(body)}".encode(), head) + b"\r\n\r\n" + body


def line(load: Load) -> str:
    statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(load.statuses.items()))
    return (
        f"| {load.asked} | {load.clients} | {load.per_second:.1f} | {load.median:.1f} | {load.p99:.1f} "
        f"| {load.batch:.1f} | {load.model:.0%} | {load.search:.0%} | {load.outside:.0%} | {statuses} |"
    )


def fill(path: Path | str, model: str, count: int) -> None:
    """A gallery of vectors around 1,000 directions."""
    card, random = load(model).card, np.random.default_rng(0)
    people = random.normal(size=(1000, card.dim))
    who = random.integers(0, len(people), count)
    with resight.Gallery.open(path, card) as gallery:
        for start in range(0, count, 4096):
            some = who[start : start + 4096]
            vectors = people[some] + 0.5 * random.normal(size=(len(some), card.dim))
            gallery.add(
                resight.Embeddings(vectors.astype(np.float32), fingerprint=card.fingerprint),
                cameras=[f"camera {one}" for one in random.integers(0, 8, len(some))],
                times=random.uniform(1.79e9, 1.8e9, len(some)).tolist(),
            )


@contextmanager
def served(folder: str, model: str, *options: str, gallery: str = "seen") -> Iterator[str]:
    """The address of a service that runs meanwhile."""
    words = [sys.executable, "-m", "resight", "serve", gallery, "--model", str(Path(model).resolve()), "--port", "0"]
    log_file = Path(folder) / ("log" if gallery == "seen" else "log of the other")
    with log_file.open("w") as log:
        process = subprocess.Popen([*words, *options], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        with killed_after(process, START):
            said = process.stdout.readline()
        if not said.startswith("listening on "):
            sys.exit(log_file.read_text())
        try:
            yield said.split()[-1]
        finally:
            stop(process, START)


def by_embedding(vector: np.ndarray) -> bytes:
    return _request("/api/search/embedding", "application/json", json.dumps({"embedding": vector.tolist()}).encode())


def by_picture(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).resize((64, 160)).save(out, "JPEG")
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return _request("/api/search", "multipart/form-data; boundary=x", head + out.getvalue() + b"\r\n--x--\r\n")


def _request(path: str, kind: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def measure(address: str, asked: str, request: bytes, clients: int, seconds: float, deadline: float) -> Load:
    """Let clients ask for some seconds; ``deadline`` more, and the service counts as hung."""
    host, port = address.removeprefix("http://").split(":")
    statuses: Counter[int] = Counter()
    took: list[float] = []
    before, after = {}, {}

    async def client(until: float, counts: bool) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while (began := time.perf_counter()) < until:
            writer.write(request)
            status, wait = await answer(reader)
            if counts:
                statuses[status] += 1
                if status == 200:
                    took.append(time.perf_counter() - began)
            if wait:  # as a client that does not listen, but does not spin either
                await asyncio.sleep(0.01)
        writer.close()

    async def ask() -> float:
        nonlocal before, after
        await asyncio.gather(*(client(time.perf_counter() + WARM, False) for _ in range(clients)))
        before = await asyncio.to_thread(counters, address)
        began = time.perf_counter()
        await asyncio.gather(*(client(began + seconds, True) for _ in range(clients)))
        whole = time.perf_counter() - began
        after = await asyncio.to_thread(counters, address)
        return whole

    try:
        whole = asyncio.run(asyncio.wait_for(ask(), seconds + deadline))
    except asyncio.TimeoutError:
        sys.exit(f"{asked}, {clients} clients: the service did not answer within {deadline:g} s.")
    spent = {name: after[name] - before[name] for name in after}
    work = "search" if asked.startswith("embedding") else "model"
    batches = spent[f"resight_work_seconds_count {work}"]
    model, search = (spent[f"resight_work_seconds_sum {name}"] / whole for name in ("model", "search"))
    ms = 1000 * np.array(took or [np.nan])
    return Load(
        asked,
        clients,
        statuses[200] / whole,
        float(np.median(ms)),
        float(np.quantile(ms, 0.99)),
        spent[f"resight_work_items_total {work}"] / max(1, batches),
        model,
        search,
        max(0.0, 1 - model - search),
        dict(statuses),
    )


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status of an answer that is read to its end, and whether it says to wait."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    await reader.readexactly(int(length[1]))
    return int(head.split()[1]), b"retry-after:" in head


def counters(address: str) -> dict[str, float]:
    """What the service counted in model and search so far."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as page:
        text = page.read().decode()
    pattern = r'^(resight_work_(?:seconds_sum|seconds_count|items_total)){work="(\w+)"} (\S+)'
    found = {f"{name} {work}": float(value) for name, work, value in re.findall(pattern, text, re.MULTILINE)}
    names = ("resight_work_seconds_sum", "resight_work_seconds_count", "resight_work_items_total")
    return {f"{name} {work}": 0.0 for name in names for work in ("model", "search")} | found


def fuzz(folder: str, model: str, examples: int, deadline: float) -> int:
    """Schemathesis against the running service; its exit status."""
    with served(folder, model, "--rate", "0", "--queue", "128") as address:
        words = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json", "--seed", "1"]
        words += [
            "--max-examples",
            str(examples),
            "--phases",
            "examples,coverage,fuzzing",
            "--checks",
            ",".join(CHECKS),
        ]
        done = run(words, examples * deadline, cwd=folder).returncode
    log = [json.loads(one) for one in (Path(folder) / "log").read_text().splitlines()]
    statuses = Counter(one["status"] for one in log if one["event"] == "request")
    print(f"{sum(statuses.values()):,} requests: {dict(sorted(statuses.items()))}")
    return done or int(any(status >= 500 and status != 503 for status in statuses))


if __name__ == "__main__":
    main()
