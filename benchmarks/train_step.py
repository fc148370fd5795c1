"""Training speed, data included: resight's loop against torchreid's, in images per second on the CPU.

    python benchmarks/train_step.py                      # OSNet x0.25, batch 64, 128x64 and 256x128
    python benchmarks/train_step.py --parts              # and what each ingredient gives
    python benchmarks/train_step.py --model osnet_x1_0 --sizes 128x64 --json

Both train the same network on the same images with the same batch size, loss (cross entropy, smoothed), optimiser
(AMSGrad) and augmentation (flip). resight's side is ``resight.training.loop.train`` itself, stopped between steps;
torchreid's is ``torchreid_style.py``. ``turns.py`` lets them take turns, as README.md says.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torchreid_style as peer
from deadline import add_deadline
from torch.utils.flop_counter import FlopCounterMode
from turns import Turns, take_turns

from resight import datasets, models
from resight.datasets import Dataset
from resight.errors import ResightError
from resight.images.cache import Images, cache_folder
from resight.models.card import Preprocessing
from resight.records import Split

PEER, WHOLE = "torchreid-style", "resight"
PARTS = {  # name: what is switched off
    "resight's data, loss and network": {"channels last", "kept memory", "fused Adam"},
    "+ channels last": {"kept memory", "fused Adam"},
    "+ kept memory": {"fused Adam"},
    "+ fused Adam (whole loop)": set(),
}


@dataclass(frozen=True)
class Job:
    """What every contender trains."""

    model: str
    batch: int
    height: int
    width: int
    root: str
    subset: bool
    folder: Path  # for the unpacked images and what training writes

    def data(self) -> Dataset:
        return datasets.load("market1501", self.root, strict=not self.subset)

    def files(self, data: Dataset) -> Split:
        """The train images as files, for the peer."""
        return peer.unpack(data.train, self.folder / "train")


def work(turns: Turns, name: str, job: Job) -> None:
    """Train for ever, in a process of its own."""
    if name == PEER:
        train_peer(turns, job)
    else:
        train_resight(turns, job, PARTS.get(name, set()))


def train_peer(turns: Turns, job: Job) -> None:
    torch.manual_seed(1)
    files = job.files(job.data())
    identities, labels = np.unique(files.identities, return_inverse=True)
    network, source = peer.network(job.model, len(identities))
    print(f"{PEER}: {source}", file=sys.stderr)
    loss, optimizer = peer.criterion(len(identities)), peer.optimizer(network.train(), 0.0015)
    batches = peer.loader(peer.Crops(files, labels, job.height, job.width, flip=True), job.batch, train=True)
    while True:
        for batch in batches:
            peer.step(network, loss, optimizer, batch)
            turns.done()


def train_resight(turns: Turns, job: Job, off: set[str]) -> None:
    from resight.training import loop, optim, recipe, session, state
    from resight.training.progress import live

    class Live(live.Live):
        def step(self, images: int, share: float, losses: dict[str, float]) -> None:
            super().step(images, share, losses)
            turns.done()

    create = state.State.create

    def default_format(*arguments: Any) -> state.State:
        made = create(*arguments)
        made.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return made

    def not_fused(*arguments: Any) -> torch.optim.Optimizer:
        made = optim.optimizer(*arguments)
        for group in made.param_groups:
            group["fused"] = None
        return made

    content = {
        "name": "train_step",
        "data": {"name": "market1501"},
        "model": {"name": job.model},
        "images": {"height": job.height, "width": job.width},
        "sampler": {"kind": "random", "batch_size": job.batch},
        "phases": [{"epochs": 1_000_000, "optimizer": "amsgrad", "lr": 0.0015}],
    }
    with ExitStack() as patches:
        patches.enter_context(patch.object(loop, "Live", Live))
        if "kept memory" in off:
            patches.enter_context(patch.object(loop, "freed_memory_kept", lambda wanted: nullcontext(False)))
        if "fused Adam" in off:
            patches.enter_context(patch.object(state, "optimizer", not_fused))
        if "channels last" in off:
            patches.enter_context(patch.object(state.State, "create", default_format))
            patches.enter_context(patch.object(session, "resize", lambda x, *_: x.contiguous()))
        output = tempfile.mkdtemp(dir=job.folder)
        loop.train(recipe.parse(content), output, cpu=True, progress=False, data=job.data())


def matrix_peak(size: int = 2048, times: int = 6) -> float:
    """FLOP/s of the best fp32 matrix product of ``times``."""
    a, b, took = torch.randn(size, size), torch.randn(size, size), []
    for _ in range(times):
        began = time.perf_counter()
        torch.mm(a, b)
        took.append(time.perf_counter() - began)
    return 2 * size**3 / min(took)


def flops_per_image(model: str, identities: int, height: int, width: int) -> float:
    """Of a training step: forward, and twice that for backward; two for each multiply-add."""
    with FlopCounterMode(display=False) as counter:
        models.create(model, identities)(torch.zeros(2, 3, height, width))
    return 3 * float(counter.get_total_flops()) / 2


def measure(names: list[str], job: Job, data: Dataset, rounds: int, steps: int, seconds: float) -> dict[str, Any]:
    job.files(data)
    began = time.perf_counter()
    Images(data.train, Preprocessing(height=job.height, width=job.width), folder=cache_folder())
    decoding, peak = time.perf_counter() - began, matrix_peak()
    took = take_turns({name: (name, job) for name in names}, work, rounds, steps, seconds)
    if PEER not in took:
        sys.exit(f"{PEER} hung, and without it there is no ratio: see above.")
    rates = {name: [job.batch * steps / seconds for seconds in values] for name, values in took.items()}
    peak = max(peak, matrix_peak())
    flops = flops_per_image(job.model, len(np.unique(data.train.identities)), job.height, job.width)
    found = {}
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, rates[PEER], strict=True)]
        found[name] = {
            "images_per_second": median(values),
            "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios)},
            "share_of_peak": median(values) * flops / peak,
            "rounds": values,
        }
    size = f"{job.height}x{job.width}"
    facts = {"peak_gflops": peak / 1e9, "gflops_per_image": flops / 1e9, "decoding_seconds": decoding}
    return {"size": size, **facts, "contenders": found}


def show(results: list[dict[str, Any]], title: str) -> None:
    print(f"{title}\n\n| size | loop | images/s | ratio (min..max) | of the matrix peak |\n|---|---|---:|---:|---:|")
    for result in results:
        for name, found in result["contenders"].items():
            ratio = "{median:.2f} ({min:.2f}..{max:.2f})".format(**found["ratio"])
            speed, share = found["images_per_second"], found["share_of_peak"]
            print(f"| {result['size']} | {name} | {speed:.1f} | {ratio} | {share:.1%} |")
    print()
    for result in results:
        print(
            f"{result['size']}: {result['gflops_per_image']:.3f} GFLOP per image; peak {result['peak_gflops']:.0f} "
            f"GFLOP/s; decoding all images once took resight {result['decoding_seconds']:.1f} s, which is not counted."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", default="../shared/data/Market-1501-v15.09.15.zip", help="Market-1501's folder or zip"
    )
    parser.add_argument("--subset", action="store_true", help="accept a part of Market-1501")
    parser.add_argument("--model", default="osnet_x0_25", choices=("osnet_x0_25", "osnet_x0_5", "osnet_x1_0"))
    parser.add_argument("--sizes", nargs="+", default=["128x64", "256x128"], metavar="HxW")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a turn")
    parser.add_argument("--parts", action="store_true", help="measure what each ingredient gives")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 900)
    args = parser.parse_args()
    names = [PEER, *PARTS] if args.parts else [PEER, WHOLE]
    results = []
    try:
        data = datasets.load("market1501", args.root, strict=not args.subset)
        if len(data.train) < args.batch:
            raise ResightError(f"a batch needs {args.batch} images but there are {len(data.train)}: lower --batch.")
        with tempfile.TemporaryDirectory() as folder:
            os.environ["RESIGHT_CACHE"] = folder
            for size in args.sizes:
                height, width = map(int, size.split("x"))
                job = Job(args.model, args.batch, height, width, args.root, args.subset, Path(folder))
                results.append(measure(names, job, data, args.rounds, args.steps, args.deadline))
    except ResightError as error:
        sys.exit(str(error))
    threads = torch.get_num_threads()
    if args.json:
        print(json.dumps({"model": args.model, "batch": args.batch, "threads": threads, "sizes": results}, indent=2))
    else:
        show(results, f"{args.model}, batch {args.batch}, {len(data.train):,} images, {threads} threads")


if __name__ == "__main__":
    main()
