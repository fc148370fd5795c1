"""One image from its file to its vector: models and engines in turns, in one process, on the CPU.

    git show 4d4e7d4^:src/resight/models/shipped/person.safetensors > old/person.safetensors
    git show 4d4e7d4^:src/resight/models/shipped/person.card.json > old/person.card.json
    python benchmarks/one_image.py old/person.safetensors person

The first model is what the others are compared with: best engine against best engine, by the median of calls. *Engine*
is the network alone on a prepared image. Each turn begins with three untimed computations, so that the contender before
leaves nothing in the caches. On a machine in use, ``chrt -f 10`` before the command keeps other programs out of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchreid_style as peer
from deadline import add_deadline, limit
from numpy.typing import NDArray

from resight import datasets
from resight.embedding.embedder import Embedder
from resight.embedding.engines.make import installed
from resight.errors import ResightError
from resight.images.transforms import prepare
from resight.models.loading import load

IMAGES, CALLS = 100, 4  # images in all; timed calls a turn


class Contender:
    """A model with an engine, and the milliseconds that its calls and its engine took."""

    def __init__(self, model: str, engine: str) -> None:
        self.model, self.engine = model, engine
        self.embedder = Embedder(load(model), engine, 1, device="cpu")
        to = self.embedder.model.card.preprocessing
        self.image = prepare(torch.zeros((1, to.height, to.width, 3), dtype=torch.uint8), to)
        self.took: tuple[list[float], list[float]] = [], []

    def turn(self, files: list[str]) -> None:
        with torch.no_grad():
            for _ in range(3):
                self.embedder._network(self.image)
            for file in files:
                began = time.perf_counter()
                self.embedder(file)
                between = time.perf_counter()
                self.embedder._network(self.image)
                for times, seconds in zip(self.took, (between - began, time.perf_counter() - between), strict=True):
                    times.append(1e3 * seconds)

    def percentiles(self) -> NDArray[np.float64]:
        """(2, 2): of calls and of the engine, p50 and p99."""
        return np.percentile(self.took, (50, 99), axis=1).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="as resight.load takes it")
    parser.add_argument("--root", default="../shared/data/Market-1501-v15.09.15.zip", help="Market-1501, folder or zip")
    parser.add_argument("--engines", nargs="+", default=[one for one in installed() if one != "torch"])
    parser.add_argument("--rounds", type=int, default=30)
    add_deadline(parser, 600)
    args = parser.parse_args()
    limit(args.deadline)
    try:
        query = datasets.load("market1501", args.root).query
        with tempfile.TemporaryDirectory() as folder:
            few = query.take(np.arange(0, len(query), max(1, len(query) // IMAGES))[:IMAGES])
            files = peer.unpack(few, Path(folder)).paths.tolist()
            contenders = [Contender(model, engine) for model in args.models for engine in args.engines]
            for index in range(args.rounds):
                some = [files[(CALLS * index + at) % len(files)] for at in range(CALLS)]
                for contender in contenders if index % 2 else reversed(contenders):
                    contender.turn(some)
    except ResightError as error:
        sys.exit(str(error))
    print(f"{torch.get_num_threads()} threads, {args.rounds * CALLS} calls each\n")
    print("| model | engine | call p50, p99 | engine p50, p99 | call / engine p50, p99 |\n|---|---|---:|---:|---:|")
    for one in contenders:
        (call, engine) = one.percentiles()
        numbers = [f"{low:.2f}, {high:.2f}" for low, high in (call, engine, call / engine)]
        print(f"| {one.model} | {one.engine} | {numbers[0]} ms | {numbers[1]} ms | {numbers[2]} |")
    best = {model: min(one.percentiles()[0, 0] for one in contenders if one.model == model) for model in args.models}
    first, *others = args.models
    for other in others:
        print(f"\n{other}: {best[other] / best[first]:.2f} times the call of {first}, best engine against best engine")


if __name__ == "__main__":
    main()
