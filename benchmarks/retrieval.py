"""Evaluation and re-ranking by resight and by its peers: time, peak memory, and the same numbers.

    python benchmarks/retrieval.py                                # drawn embeddings in Market-1501's numbers
    python benchmarks/retrieval.py --real                         # Market-1501 through OSNet x0.25 with MSMT17 weights
    python benchmarks/retrieval.py --queries 11659 --images 82161 --people 3060 --cameras 15    # MSMT17's numbers
    python benchmarks/retrieval.py --images 519732 --only product resight   # Market-1501 and 500,000 distractors
    python benchmarks/retrieval.py --rerank --rounds 1            # k-reciprocal re-ranking, k1=20 k2=6 lambda=0.3

From float32 embeddings to CMC and mAP, the distances included. ``product`` is the matrix product of queries and gallery
alone, in blocks of 1,024 queries whose results are thrown away: what no exact method can do without. ``compiled`` is
the Cython evaluator that fast-reid took from torchreid and ships (torchreid's own package has lost its source), built
here, after torch's distances. ``torchreid re-ranking`` is torchreid's file with the square roots of its own three
matrices, since it squares what it is given; its time stops at the matrix, resight's includes the evaluation.

Each contender works in a process of its own on the same files; rounds take turns. Time: the median of the rounds, and
the ratio to the product is the median of the ratios of each round. The time that all cores together spent on it hardly
depends on what else they do. Memory: the process's peak beyond what it held when
the embeddings were loaded and the libraries imported.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from deadline import Hung, add_deadline, run
from numpy.typing import NDArray

import resight
from resight.embedding.bfloat16 import Bfloat16Products
from resight.retrieval.ranking import counting
from resight.retrieval.ranking.rank import Stream

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from peers import load_file

SHARED = Path(__file__).parents[2] / "shared"
COLUMNS = ("vectors", "identities", "cameras")
Numbers = dict[str, float]


def main() -> int:
    """Embed or draw once, run each contender in its process, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--images", type=int, default=19732, help="in the gallery; beyond 19,732: distractors")
    parser.add_argument("--people", type=int, default=750)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--noise", type=float, default=0.65, help="of drawn embeddings")
    parser.add_argument("--real", action="store_true", help="embed Market-1501 instead of drawing")
    parser.add_argument("--root", type=Path, default=SHARED / "data" / "Market-1501-v15.09.15.zip")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights" / "osnet_x0_25_msmt17.pth")
    parser.add_argument("--rerank", action="store_true", help="measure re-ranking instead of plain evaluation")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="run only these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    add_deadline(parser, 3600)
    parser.add_argument("--work", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.folder)))
        return 0
    names = options.only or [name for name in CONTENDERS if name.endswith("re-ranking") == options.rerank]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "compiled" in names and not build(folder):
            print("fast-reid's evaluator cannot be built here (it needs fastreid, cython and a C compiler): left out.")
            names.remove("compiled")
        query, gallery = embed(options.root, options.weights) if options.real else draw(options)
        for part, one in (("query", query), ("gallery", gallery)):
            for column in COLUMNS:
                np.save(folder / f"{part}_{column}.npy", getattr(one, column))
        size = f"{len(query):,} x {len(gallery):,} x {query.vectors.shape[1]}"
        del query, gallery
        rows: dict[str, list[Numbers]] = {contender: [] for contender in names}
        for turn in range(options.rounds):
            for contender in list(rows) if turn % 2 == 0 else list(reversed(rows)):
                print(f"round {turn + 1}: {contender} ...", file=sys.stderr, flush=True)
                command = [sys.executable, __file__, "--work", contender, "--folder", name]
                try:
                    done = run(command, options.deadline, check=True, stdout=subprocess.PIPE)
                except Hung as hung:
                    print(f"{contender}: {hung} and left out", file=sys.stderr, flush=True)
                    del rows[contender]
                    continue
                rows[contender].append(json.loads(done.stdout))
        apart = compare(folder) if "torchreid re-ranking" in rows else None
    table = [summary(contender, rows[contender], rows.get("product")) for contender in rows]
    if options.json:
        print(json.dumps({"size": size, "rows": table, "apart": apart}, indent=2))
        return 0
    print(f"{size}, {options.rounds} rounds")
    for row in table:
        ratio = f"{row['ratio']:6.2f} x the product" if row["ratio"] else " " * 20
        numbers = f"R1 {row['R1']:.4%}  mAP {row['mAP']:.4%}" if row["mAP"] else ""
        spent = f"{row['seconds']:8.2f} s ({row['processor']:.2f} s of cores)"
        print(f"{row['contender']:>20}: {spent} {ratio} {row['peak'] / 2**20:8.0f} MiB   {numbers}")
    if apart:
        print(f"{apart['share']:.4%} of the re-ranked distances differ by more than 1e-5, at most {apart['most']:.1e}")
    return 0


def summary(contender: str, found: list[Numbers], product: list[Numbers] | None) -> dict[str, Any]:
    """One line of the table."""
    ratios = [one["seconds"] / other["seconds"] for one, other in zip(found, product or (), strict=False)]
    return {
        "contender": contender,
        "seconds": statistics.median(one["seconds"] for one in found),
        "processor": statistics.median(one["processor"] for one in found),
        "ratio": statistics.median(ratios) if ratios and contender != "product" else None,
        "peak": max(one["peak"] for one in found),
        "R1": found[0]["R1"],
        "mAP": found[0]["mAP"],
    }


def draw(options: argparse.Namespace) -> tuple[resight.Embeddings, resight.Embeddings]:
    """Clusters that overlap, in a space of few dimensions as embeddings are, with a shift for each camera.

    Beyond 19,732 for each 750 people, the gallery is filled with distractors, each a person of its own.
    """
    rng = np.random.default_rng(0)
    hidden, people = 24, options.people
    centres = rng.normal(size=(people, hidden))
    shifts = 0.3 * rng.normal(size=(options.cameras, hidden))
    spread = (rng.normal(size=(hidden, options.dimensions)) / hidden**0.5).astype(np.float32)

    def some(count: int, known: int) -> resight.Embeddings:
        who, where = rng.integers(0, people, known), rng.integers(0, options.cameras, count)
        seen = shifts[where] + options.noise * rng.normal(size=(count, hidden))
        seen[:known] += centres[who]
        seen[known:] += rng.normal(size=(count - known, hidden))
        vectors = seen.astype(np.float32) @ spread
        for start in range(0, count, 10_000):  # in pieces, for memory
            part = vectors[start : start + 10_000]
            part += np.float32(0.05) * rng.standard_normal(part.shape, np.float32)
        identities = np.zeros(count, np.int64)
        identities[:known] = who + 1
        return resight.Embeddings(vectors, identities, where + 1)

    return some(options.queries, options.queries), some(options.images, min(options.images, people * 28))


def embed(root: Path, weights: Path) -> tuple[resight.Embeddings, resight.Embeddings]:
    """Market-1501's queries and gallery."""
    data = resight.datasets.load("market1501", root)
    embedder = resight.Embedder(resight.load("osnet_x0_25", weights=weights), engine="torch")
    return embedder(data.query), embedder(data.gallery)


def build(folder: Path) -> bool:
    """Compile fast-reid's evaluator in the benchmark's folder."""
    package = importlib.util.find_spec("fastreid")
    if package is None or not package.submodule_search_locations or importlib.util.find_spec("Cython") is None:
        return False
    source = Path(next(iter(package.submodule_search_locations))) / "evaluation" / "rank_cylib" / "rank_cy.pyx"
    shutil.copy(source, folder)
    code = (
        "from setuptools import setup; from Cython.Build import cythonize; import numpy\n"
        "modules = cythonize('rank_cy.pyx', language_level=3, quiet=True)\n"
        "modules[0].include_dirs.append(numpy.get_include())\n"
        "setup(script_args=['build_ext', '--inplace', '-q'], ext_modules=modules)"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = run([sys.executable, "-c", code], 600, cwd=folder, **pipes)
    return done.returncode == 0


def read(folder: Path) -> list[resight.Embeddings]:
    """Query and gallery as the parent wrote them."""
    return [resight.Embeddings(*(np.load(folder / f"{p}_{c}.npy") for c in COLUMNS)) for p in ("query", "gallery")]


def work(contender: str, folder: Path) -> Numbers:
    """One contender's time, memory and numbers, in this process."""
    query, gallery = read(folder)
    run, after = CONTENDERS[contender](query, gallery, folder)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    began, used = time.perf_counter(), time.process_time()
    found = run()
    took, used = time.perf_counter() - began, time.process_time() - used
    return {"seconds": took, "processor": used, "peak": memory("VmHWM") - before} | after(found)


def memory(kind: str) -> int:
    """Bytes this process holds (VmRSS) or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(kind)))


Contender = tuple[Callable[[], Any], Callable[[Any], Numbers]]  # what is measured, and its numbers


def product(query: resight.Embeddings, gallery: resight.Embeddings, _: Path) -> Contender:
    """The matrix product alone."""

    def run() -> None:
        buffer = np.empty((1024, len(gallery)), np.float32)
        for start in range(0, len(query), 1024):
            some = query.vectors[start : start + 1024]
            np.matmul(some, gallery.vectors.T, out=buffer[: len(some)])

    return run, lambda _: {"R1": 0.0, "mAP": 0.0}


def ours(query: resight.Embeddings, gallery: resight.Embeddings, _: Path) -> Contender:
    """``resight.evaluate``."""
    evaluate = resight.evaluate  # imported here
    return lambda: evaluate(query, gallery), numbers


def ours_again(query: resight.Embeddings, gallery: resight.Embeddings, folder: Path) -> Contender:
    """``resight.evaluate`` in a process that has numba loaded from an evaluation before."""
    counting.kernel()
    resight.evaluate(query.take(np.arange(8)), gallery)
    return ours(query, gallery, folder)


def reranked(query: resight.Embeddings, gallery: resight.Embeddings, _: Path) -> Contender:
    """``resight.evaluate`` with re-ranking, as ``resight evaluate --rerank`` calls it."""
    import torch

    assert torch  # loaded before, as for the peer
    evaluate, rerank = resight.evaluate, resight.KReciprocal(products=Bfloat16Products())
    return lambda: evaluate(query, gallery, rerank=rerank), numbers


def numbers(report: resight.Report) -> Numbers:
    """What a report is compared by."""
    return {"R1": report.cmc[1], "mAP": report.mAP}


def compiled(query: resight.Embeddings, gallery: resight.Embeddings, folder: Path) -> Contender:
    """fast-reid's compiled evaluator after torch's distances."""
    sys.path.insert(0, str(folder))
    import rank_cy

    gallery = gallery.take(np.flatnonzero(gallery.identities != -1))  # peers drop junk when they read the data
    squared = distances(query, gallery)
    labels = [one.copy() for one in (query.identities, gallery.identities, query.cameras, gallery.cameras)]
    return lambda: rank_cy.evaluate_cy(squared(), *labels, 50, False), lambda found: {
        "R1": float(found[0][0]),
        "mAP": float(np.mean(found[1])),
    }


def distances(one: resight.Embeddings, other: resight.Embeddings) -> Callable[[], NDArray[np.float32]]:
    """Squared Euclidean distances as both peers compute them."""
    import torch

    a, b = torch.tensor(one.vectors), torch.tensor(other.vectors)

    def run() -> NDArray[np.float32]:
        squares = (a**2).sum(1, keepdim=True) + (b**2).sum(1)
        return squares.addmm_(a, b.T, beta=1, alpha=-2).clamp_(min=0).numpy()

    return run


def peer_reranked(query: resight.Embeddings, gallery: resight.Embeddings, folder: Path) -> Contender:
    """torchreid's re-ranking."""
    peer = load_file("torchreid", "reid/utils/rerank.py")
    pairs = [distances(query, gallery), distances(query, query), distances(gallery, gallery)]

    def after(final: NDArray[Any]) -> Numbers:
        matrix = final.astype(np.float32)
        np.save(folder / "reranked.npy", matrix)
        return numbers(resight.evaluate(query, gallery, rerank=Matrix(matrix)))

    return lambda: peer.re_ranking(*(np.sqrt(one()) for one in pairs)), after


@dataclass(frozen=True)
class Matrix:
    """Distances that are there already, so that both contenders are measured by the same evaluator."""

    values: NDArray[np.float32]

    def __call__(self, *_: Any) -> Matrix:
        return self

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape  # type: ignore[return-value]

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        return np.maximum(self.values[rows, columns], 0)


def compare(folder: Path) -> Numbers:
    """How far resight's re-ranked distances are from torchreid's: the share beyond 1e-5, and the largest difference."""
    query, gallery = read(folder)
    theirs = np.load(folder / "reranked.npy", mmap_mode="r")
    stream = Stream(query, gallery, "euclidean", None, 2**28, resight.KReciprocal())
    beyond, most = 0, 0.0
    for rows in stream.blocks():
        for start, block in stream.chunks(rows):
            apart = np.abs(block - theirs[rows, start : start + block.shape[1]])
            beyond, most = beyond + int((apart > 1e-5).sum()), max(most, float(apart.max()))
    return {"share": beyond / theirs.size, "most": most}


CONTENDERS: dict[str, Callable[[resight.Embeddings, resight.Embeddings, Path], Contender]] = {
    "product": product,
    "resight": ours,
    "resight, numba loaded": ours_again,
    "compiled": compiled,
    "resight re-ranking": reranked,
    "torchreid re-ranking": peer_reranked,
}

if __name__ == "__main__":
    sys.exit(main())
