"""k-reciprocal re-ranking by resight and by torchreid's file: time, peak memory, and how far apart they are.

    python benchmarks/reranking.py                       # drawn embeddings in Market-1501's numbers, both contenders
    python benchmarks/reranking.py --only resight        # without the peer, which needs minutes and 12 GB
    python benchmarks/reranking.py --real                # Market-1501 through OSNet x0.25 with MSMT17 weights

Each contender works in a process of its own on the same float32 embeddings, with k1 = 20, k2 = 6, lambda = 0.3, from
embeddings to re-ranked distances, the plain distances included. torchreid's three distance matrices are computed with
torch as its own code does, and their roots taken, since its re-ranking squares what it is given. resight's time
includes CMC, mAP and mINP, for which it streams the distances; torchreid's stops at the matrix. Memory is the
process's peak beyond what it held when the embeddings were loaded.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resight
from resight.retrieval.rank import Stream

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from peers import load_file

SHARED = Path(__file__).parents[2] / "shared"
CONTENDERS = ("resight", "torchreid")


def main() -> int:
    """Embed or draw once, run each contender in its process, compare, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--images", type=int, default=19732, help="in the gallery")
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--real", action="store_true", help="embed Market-1501 instead of drawing")
    parser.add_argument("--root", type=Path, default=SHARED / "data" / "Market-1501-v15.09.15.zip")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights" / "osnet_x0_25_msmt17.pth")
    parser.add_argument("--only", choices=CONTENDERS, help="run one contender")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--work", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.folder)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        query, gallery = embed(options.root, options.weights) if options.real else draw(options)
        for part, one in (("query", query), ("gallery", gallery)):
            for column in ("vectors", "identities", "cameras"):
                np.save(folder / f"{part}_{column}.npy", getattr(one, column))
        rows = []
        for contender in [options.only] if options.only else CONTENDERS:
            print(f"{contender} ...", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--work", contender, "--folder", name]
            rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        apart = None if options.only else compare(folder)
    size = f"{len(query):,} x {len(gallery):,} x {query.vectors.shape[1]}"
    plain = resight.evaluate(query, gallery)
    if options.json:
        print(json.dumps({"size": size, "plain": plain.numbers(), "rows": rows, "apart": apart}, indent=2))
        return 0
    print(f"{size}: without re-ranking R1 {plain.cmc[1]:.2%}  mAP {plain.mAP:.2%}")
    for row in rows:
        print(
            f"{row['contender']:>10}: {row['seconds']:8.1f} s {row['peak'] / 2**20:8.0f} MiB"
            f"   R1 {row['R1']:.2%}  mAP {row['mAP']:.2%}"
        )
    if apart:
        one, other = rows
        print(
            f"{other['seconds'] / one['seconds']:.1f} times as fast with {one['peak'] / other['peak']:.1%} of the "
            f"memory; {apart['share']:.4%} of the distances differ by more than 1e-5, at most {apart['most']:.1e}"
        )
    return 0


def draw(options: argparse.Namespace) -> tuple[resight.Embeddings, resight.Embeddings]:
    """Clusters that overlap, in a space of few dimensions as embeddings are, with a shift for each camera."""
    rng = np.random.default_rng(0)
    hidden, people, cameras = 24, 750, 6
    centres, shifts = rng.normal(size=(people, hidden)), 0.4 * rng.normal(size=(cameras, hidden))
    spread = rng.normal(size=(hidden, options.dimensions)) / hidden**0.5

    def some(count: int) -> resight.Embeddings:
        who, where = rng.integers(0, people, count), rng.integers(0, cameras, count)
        seen = centres[who] + shifts[where] + 0.7 * rng.normal(size=(count, hidden))
        vectors = seen @ spread + 0.05 * rng.normal(size=(count, options.dimensions))
        return resight.Embeddings(vectors.astype(np.float32), who + 1, where + 1)

    return some(options.queries), some(options.images)


def embed(root: Path, weights: Path) -> tuple[resight.Embeddings, resight.Embeddings]:
    """Market-1501's queries and gallery."""
    data = resight.datasets.load("market1501", root)
    embedder = resight.Embedder(resight.load("osnet_x0_25", weights=weights))
    return embedder(data.query), embedder(data.gallery)


def read(folder: Path) -> list[resight.Embeddings]:
    """Query and gallery as the parent wrote them."""
    columns = ("vectors", "identities", "cameras")
    return [resight.Embeddings(*(np.load(folder / f"{p}_{c}.npy") for c in columns)) for p in ("query", "gallery")]


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


def work(contender: str, folder: Path) -> dict[str, Any]:
    """One contender's time, memory and numbers, in this process."""
    query, gallery = read(folder)
    peer = load_file("torchreid", "reid/utils/rerank.py") if contender == "torchreid" else None
    import torch  # for both, so that it counts for neither

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    if peer is None:
        report = resight.evaluate(query, gallery, rerank=resight.KReciprocal())
    else:

        def distances(one: resight.Embeddings, other: resight.Embeddings) -> NDArray[np.float32]:
            a, b = torch.tensor(one.vectors), torch.tensor(other.vectors)
            squares = (a**2).sum(1, keepdim=True) + (b**2).sum(1)
            return squares.addmm_(a, b.T, beta=1, alpha=-2).clamp_(min=0).sqrt_().numpy()

        final = peer.re_ranking(distances(query, gallery), distances(query, query), distances(gallery, gallery))
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if peer is not None:
        np.save(folder / "torchreid.npy", final.astype(np.float32))
        report = resight.evaluate(query, gallery, rerank=Matrix(final.astype(np.float32)))
    return {
        "contender": contender,
        "seconds": took,
        "peak": peak * 1024,
        "R1": report.cmc[1],
        "mAP": report.mAP,
        "mINP": report.mINP,
    }


def compare(folder: Path) -> dict[str, float]:
    """How far resight's distances are from torchreid's: the share beyond 1e-5, and the largest difference."""
    query, gallery = read(folder)
    theirs = np.load(folder / "torchreid.npy", mmap_mode="r")
    stream = Stream(query, gallery, "euclidean", None, 2**28, resight.KReciprocal())
    beyond, most = 0, 0.0
    for rows in stream.blocks():
        for start, block in stream.chunks(rows):
            apart = np.abs(block - theirs[rows, start : start + block.shape[1]])
            beyond, most = beyond + int((apart > 1e-5).sum()), max(most, float(apart.max()))
    return {"share": beyond / theirs.size, "most": most}


if __name__ == "__main__":
    sys.exit(main())
