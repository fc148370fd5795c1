"""Adapting without labels: clustering in bounded memory, and a real run.

    python benchmarks/adapt.py clustering                      # 50,000 crops: peak memory, seconds of each step
    python benchmarks/adapt.py market MARKET.zip WEIGHTS.pth   # MSMT17's OSNet x0.25 on Market-1501 without its labels

The second may be interrupted; repeated with the same options, it goes on. The official test is measured once, with the
model of the last epoch.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
from deadline import add_deadline, limit

IDENTITIES, DIM, CAMERAS = 2_500, 512, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_deadline(parser, 4 * 3600)
    kinds = parser.add_subparsers(dest="kind", required=True)
    clustering = kinds.add_parser("clustering")
    clustering.add_argument("--crops", type=int, default=50_000)
    market = kinds.add_parser("market")
    market.add_argument("data", type=Path)
    market.add_argument("weights", type=Path)
    market.add_argument("--output", type=Path, default=Path("runs/adapted_market"))
    market.add_argument("--height", type=int, default=128)
    market.add_argument("--epochs", type=int, default=20)
    market.add_argument("--steps", type=int, default=0)
    market.add_argument("--lr", type=float, default=3.5e-4)
    market.add_argument("--seed", type=int, default=1)
    market.add_argument("--precision", default="no", help="bf16 is faster on processors that have it")
    market.add_argument("--distance", type=float)
    market.add_argument("--without-cameras", action="store_true")
    market.add_argument("--random", action="store_true", help="begin with random weights")
    arguments = parser.parse_args()
    limit(arguments.deadline)
    measure_clustering(arguments.crops) if arguments.kind == "clustering" else measure_market(arguments)


def measure_clustering(count: int) -> None:
    """Crops of people with images each, as vectors."""
    from resight.adaptation.clusters import cluster, facts, graph_of
    from resight.adaptation.constraints import Constraints
    from resight.adaptation.crops import Crops
    from resight.records import Split

    rng = np.random.default_rng(0)
    who = rng.integers(0, count // 20, count)
    cameras = rng.integers(0, CAMERAS, count)
    looks = rng.normal(size=(count // 20, DIM)).astype(np.float32)
    vectors = looks[who] + 0.9 * rng.standard_normal((count, DIM), np.float32)
    nothing = np.full(count, -1)
    images = Split(np.array([f"{at}.jpg" for at in range(count)]), nothing, cameras)
    known = Constraints(Crops(images, cameras, tuple("12345678"), nothing, nothing, np.full(count, np.nan)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    graph = graph_of(vectors, known)
    graphed = time.perf_counter()
    labels, _ = cluster(graph, 0.6, known, vectors)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{count:,} crops: {graph.nnz:,} pairs in {graphed - began:.1f} s, clusters in {done - graphed:.1f} s")
    print(f"peak memory {peak / 1e6:.2f} GB, {(peak - before) / 1e6:.2f} GB of it for the graph and the clusters")
    print(facts(labels, cameras, 0.6))


def measure_market(arguments: argparse.Namespace) -> None:
    """Adapt, and measure the last epoch's model on the official test."""
    import resight
    from resight.embedding.measure import measure
    from resight.images.cache import cache_folder
    from resight.records import Split

    data = resight.datasets.load("market1501", arguments.data)
    start = resight.load(
        "osnet_x0_25",
        weights=None if arguments.random else arguments.weights,
        height=arguments.height,
        width=arguments.height // 2,
    )
    train = data.train
    unlabelled = Split(train.paths, np.full(len(train), -1), train.cameras, train.columns, "market1501 without labels")
    if arguments.without_cameras:
        unlabelled = Split(train.paths, unlabelled.identities, np.ones(len(train), np.int64), name="unlabelled")
    result = resight.adapt(
        unlabelled,
        arguments.output,
        start,
        epochs=arguments.epochs,
        steps=arguments.steps,
        lr=arguments.lr,
        seed=arguments.seed,
        distance=arguments.distance,
        precision=arguments.precision,
        resume=True,
        pictures=False,
    )
    report = measure(resight.load(arguments.output), data, engine="torch", cache=cache_folder())[2]
    print(report)
    epochs = len(result.get("history", ()))
    summary = {"mAP": report.mAP, "R1": report.cmc[1], "seconds": result["seconds"], "epochs": epochs}
    (arguments.output / "test.json").write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
