"""Embedding speed, from image files to vectors: resight's engines against torchreid's feature extractor, on the CPU.

    python benchmarks/embed.py                                       # OSNet x0.25, x1.0 and ResNet-50
    python benchmarks/embed.py --models osnet_x0_25 --images 256 --rounds 2

Every contender has a process of its own. In each round each of them embeds the same folder of Market-1501's images
once and then single images one after the other; the order is reversed from round to round. The peer follows torchreid
0.2.5's ``FeatureExtractor`` (``reid/utils/feature_extractor.py``), which takes a list of files: each is opened with
Pillow, resized, made a tensor and normalised one by one, then all go through the eager network; it gets ``--batch``
files a call.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torchreid_style as peer
from deadline import Hung, add_deadline, answer
from torch.utils.flop_counter import FlopCounterMode
from train_step import matrix_peak

import resight
from resight import datasets, models
from resight.embedding.embedder import Embedder
from resight.embedding.engines.make import IN_HALF, PACKAGES, installed
from resight.errors import ResightError
from resight.images.transforms import prepare
from resight.models.loading import load

PEER = "torchreid-style"
HALF = "-half"  # behind the name of an engine: in 16 bits
DEFAULT = [*installed(), *(f"{one}{HALF}" for one in installed() if one in IN_HALF)]


@dataclass(frozen=True)
class Job:
    """What every contender does."""

    model: str
    batch: int
    height: int
    width: int
    files: tuple[str, ...]
    singles: int  # images embedded one after the other


class Extractor:
    """torchreid's way."""

    def __init__(self, job: Job) -> None:
        self.network, source = peer.network(job.model, 1)
        self.network.eval()
        print(f"{PEER}: {source}", file=sys.stderr)
        zeros = np.zeros(len(job.files), np.int64)
        split = resight.Split(np.array(job.files), zeros, zeros)
        self.crops, self.batch = peer.Crops(split, zeros, job.height, job.width, flip=False), job.batch

    def __call__(self, first: int, last: int) -> None:
        for start in range(first, last, self.batch):
            images = [self.crops[at]["img"] for at in range(start, min(start + self.batch, last))]
            with torch.no_grad():
                self.network(torch.stack(images))


class Resight:
    """Ours: one embedder for many images, one for single ones."""

    def __init__(self, job: Job, name: str) -> None:
        engine: Any = name.removesuffix(HALF)
        model = load(job.model, height=job.height, width=job.width)
        self.files = list(job.files)
        self.many = Embedder(model, engine, job.batch, half=name.endswith(HALF), device="cpu")
        self.one = Embedder(model, engine, 1, half=name.endswith(HALF), device="cpu")

        size = (1, job.height, job.width, 3)
        self.image = prepare(torch.zeros(size, dtype=torch.uint8), model.card.preprocessing)

    def engine(self) -> None:
        """The network alone, on an image that is prepared already."""
        with torch.no_grad():
            self.one._network(self.image)

    def __call__(self, first: int, last: int) -> None:
        (self.one if last - first == 1 else self.many)(self.files[first:last])


def contend(name: str, job: Job, pipe: Connection) -> None:
    """Work whenever asked to, in a process of its own; then say how much memory it took."""
    torch.manual_seed(1)
    contender = Extractor(job) if name == PEER else Resight(job, name)
    contender(0, min(2 * job.batch, len(job.files)))
    contender(0, 1)
    pipe.send("ready")
    while pipe.recv() == "go":
        began = time.perf_counter()
        contender(0, len(job.files))
        whole, alone, engine = time.perf_counter() - began, [], []
        for at in range(job.singles):
            at %= len(job.files)
            began = time.perf_counter()
            contender(at, at + 1)
            alone.append(time.perf_counter() - began)
            if isinstance(contender, Resight):
                began = time.perf_counter()
                contender.engine()
                engine.append(time.perf_counter() - began)
        pipe.send((whole, alone, engine))
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def measure(names: list[str], job: Job, rounds: int, seconds: float) -> dict[str, Any]:
    """Every contender ``rounds`` times, taking turns; one that needs more than ``seconds`` for a turn is left out."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes: dict[str, BaseProcess] = {}
    memory, hung = {}, {}
    whole: dict[str, list[float]] = {name: [] for name in names}
    alone: dict[str, list[float]] = {name: [] for name in names}
    engine: dict[str, list[float]] = {name: [] for name in names}
    flops, peak = flops_per_image(job), matrix_peak()

    def response(name: str) -> Any:
        """The contender's next answer; None if it hangs."""
        try:
            return answer(pipes[name], processes[name], seconds)
        except Hung as error:
            if name == PEER:
                sys.exit(f"{job.model}: {PEER}: {error}, and without it there is no ratio.")
            hung[name] = str(error)
            print(f"{job.model}  {name}: {error}", file=sys.stderr)

    try:
        for name in names:
            pipes[name], theirs = context.Pipe()
            processes[name] = context.Process(target=contend, args=(name, job, theirs))
            processes[name].start()
            theirs.close()
            response(name)
        for index in range(rounds):
            order = [name for name in names if name not in hung]
            for name in order if index % 2 == 0 else reversed(order):
                pipes[name].send("go")
                if (turn := response(name)) is None:
                    continue
                whole[name].append(turn[0])
                alone[name] += turn[1]
                engine[name] += turn[2]
                rate = len(job.files) / turn[0]
                print(f"{job.model} round {index + 1} of {rounds}  {name}: {rate:.1f} images/s", file=sys.stderr)
        for name in names:
            if name not in hung:
                pipes[name].send("stop")
                memory[name] = response(name)
    except (EOFError, OSError):
        sys.exit(f"{job.model}: a contender stopped in the middle: see its own error above.")
    finally:
        for pipe in pipes.values():
            pipe.close()
        for process in processes.values():
            process.join(10)
            process.kill()
    peak = max(peak, matrix_peak())
    found = {}
    for name in names:
        if name in hung:
            continue
        ratios = [theirs / ours for theirs, ours in zip(whole[PEER], whole[name], strict=True)]
        rate = median(len(job.files) / seconds for seconds in whole[name])
        p50, p99 = (1e3 * float(np.percentile(alone[name], q)) for q in (50, 99))
        found[name] = {
            "images_per_second": rate,
            "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios)},
            "share_of_peak": rate * flops / peak,
            "milliseconds": {"p50": p50, "p99": p99},
            "over_engine": [
                float(np.percentile(alone[name], q) / np.percentile(engine[name], q)) if engine[name] else None
                for q in (50, 99)
            ],
            "latency_ratio": 1e3 * float(np.percentile(alone[PEER], 50)) / p50,
            "peak_memory_mib": memory[name],
        }
    about = asdict(job) | {"files": len(job.files), "peak_gflops": peak / 1e9, "gflops_per_image": flops / 1e9}
    return about | {"contenders": found, "hung": hung}


def flops_per_image(job: Job) -> float:
    """Of a forward pass: two for each multiply-add."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        models.create(job.model).eval()(torch.zeros(1, 3, job.height, job.width))
    return float(counter.get_total_flops())


def show(results: list[dict[str, Any]]) -> None:
    """Markdown."""
    print(
        "| model | engine | images/s | ratio (min..max) | one image p50, p99 | ratio | call / engine p50, p99 "
        "| of the matrix peak | memory |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for result in results:
        for name, found in result["contenders"].items():
            ratio = "{median:.2f} ({min:.2f}..{max:.2f})".format(**found["ratio"])
            over = ", ".join("" if one is None else f"{one:.2f}" for one in found["over_engine"])
            single = "{p50:.1f}, {p99:.1f} ms".format(**found["milliseconds"])
            print(
                f"| {result['model']} | {name} | {found['images_per_second']:.1f} | {ratio} | {single} | "
                f"{found['latency_ratio']:.2f} | {over} | {found['share_of_peak']:.1%} "
                f"| {found['peak_memory_mib']:.0f} MiB |"
            )
        for name, why in result["hung"].items():
            print(f"| {result['model']} | {name} | {why} | | | | | | |")
    print()
    for result in results:
        size = f"{result['height']}x{result['width']}"
        print(
            f"{result['model']}: {result['files']:,} images a round at {size}, {result['gflops_per_image']:.3f} GFLOP "
            f"per image; matrix peak {result['peak_gflops']:.0f} GFLOP/s."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", default="../shared/data/Market-1501-v15.09.15.zip", help="Market-1501's folder or zip"
    )
    parser.add_argument("--models", nargs="+", default=["osnet_x0_25", "osnet_x1_0", "resnet50"], metavar="NAME")
    parser.add_argument(
        "--engines", nargs="+", default=DEFAULT, choices=(*PACKAGES, *(f"{one}{HALF}" for one in IN_HALF))
    )
    parser.add_argument("--images", type=int, default=1024, help="images a round")
    parser.add_argument("--singles", type=int, default=100, help="images embedded one by one, a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", default="256x128", metavar="HxW")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 600)
    args = parser.parse_args()
    height, width = map(int, args.size.split("x"))
    results = []
    try:
        query = datasets.load("market1501", args.root).query
        with tempfile.TemporaryDirectory() as folder:
            os.environ["RESIGHT_CACHE"] = str(Path(folder) / "cache")
            chosen = query.take(np.arange(min(args.images, len(query))))
            files = tuple(peer.unpack(chosen, Path(folder) / "images").paths.tolist())
            for model in args.models:
                job = Job(model, args.batch, height, width, files, args.singles)
                results.append(measure([PEER, *args.engines], job, args.rounds, args.deadline))
    except ResightError as error:
        sys.exit(str(error))
    if args.json:
        print(json.dumps({"threads": torch.get_num_threads(), "models": results}, indent=2))
    else:
        print(f"Batch {args.batch}, {args.rounds} rounds, {torch.get_num_threads()} threads\n")
        show(results)


if __name__ == "__main__":
    main()
