"""Time to accuracy: how soon resight's recipe is as accurate as torchreid's after 20 minutes, on the CPU.

    python benchmarks/time_to_accuracy.py --peer-result peer.json      # the peer's 20 minutes are measured only once
    python benchmarks/time_to_accuracy.py --minutes 1 --set phases.0.epochs=2              # to try it

Both start from random weights, train on 600 of Market-1501's train identities and are measured on the other 151
(``fold="validation"``); evaluation is on neither's clock, decoding of the images is on both's. README.md says more.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchreid_style as peer
from deadline import add_deadline, limit
from torch import nn

import resight
from resight import datasets
from resight.datasets import Dataset
from resight.errors import ResightError
from resight.files import write_text
from resight.images.cache import Images, cache_folder
from resight.models.card import Preprocessing
from resight.records import Embeddings, Split
from resight.retrieval.evaluation.evaluate import evaluate
from resight.training import recipe as recipes

Points = list[tuple[float, float]]  # (seconds of training, mAP), in order of time


def train_peer(settings: dict[str, Any], data: Dataset, folder: Path) -> Points:
    """torchreid's OSNet recipe for as many minutes, measured after every epoch and at the end."""
    torch.manual_seed(1)
    height, width = map(int, settings["size"].split("x"))
    train, query, gallery = (peer.unpack(split, folder / name) for name, split in data.splits.items())
    identities, labels = np.unique(train.identities, return_inverse=True)
    network, source = peer.network(settings["model"], len(identities))
    print(f"torchreid-style: {source}, {len(train):,} images of {len(identities)} identities", file=sys.stderr)
    loss, optimizer = peer.criterion(len(identities)), peer.optimizer(network, settings["lr"])
    batches = peer.loader(peer.Crops(train, labels, height, width, flip=True), settings["batch"], train=True)
    budget, clock = settings["minutes"] * 60, 0.0
    points: Points = []
    while clock < budget:
        network.train()
        before, began = clock, time.perf_counter()
        for batch in batches:
            if settings["schedule"] == "cosine":
                optimizer.param_groups[0]["lr"] = settings["lr"] * (1 + math.cos(math.pi * clock / budget)) / 2
            peer.step(network, loss, optimizer, batch)
            clock = before + time.perf_counter() - began
            if clock >= budget:
                break
        if clock == before:
            raise ResightError(f"a batch needs {settings['batch']} images but there are {len(train)}: use more data.")
        points.append((clock, measure_peer(network, query, gallery, height, width, data.protocol)))
        print(f"torchreid-style: {clock:.0f} s  mAP {points[-1][1]:.2%}", file=sys.stderr)
    return points


@torch.inference_mode()
def measure_peer(network: nn.Module, query: Split, gallery: Split, height: int, width: int, protocol: str) -> float:
    """mAP under the better of torchreid's two distances, through its own preprocessing."""
    network.eval()
    found = []
    for split in (query, gallery):
        batches = peer.loader(peer.Crops(split, split.identities, height, width, flip=False), 100, train=False)
        found.append(Embeddings.from_split(split, torch.cat([network(batch["img"]) for batch in batches]).numpy()))
    return max(evaluate(*found, protocol=protocol, metric=metric).mAP for metric in ("euclidean", "cosine"))


def peer_points(settings: dict[str, Any], data: Dataset, folder: Path, result: Path | None) -> Points:
    """Measured now, or read from ``result`` where it was measured with the same settings."""
    if result and result.exists():
        try:
            kept = json.loads(result.read_text(encoding="utf-8"))
            differing = [key for key, value in settings.items() if kept["settings"].get(key) != value]
            points = [(float(seconds), float(mAP)) for seconds, mAP in kept["points"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ResightError(f"{result} is not a result of this benchmark: delete it or name another file.") from None
        if differing:
            raise ResightError(f"{result} was measured with another {differing[0]}: delete it or name another file.")
        return points
    points = train_peer(settings, data, folder)
    if result:
        write_text(result, json.dumps({"settings": settings, "points": points}, indent=2) + "\n")
    return points


def train_resight(recipe: recipes.Recipe, data: Dataset, folder: Path) -> Points:
    """``resight.train``, with the time that it takes to decode the images before the first step."""
    people, spec = data.train.take(data.train.identities > 0), recipe.images
    os.environ["RESIGHT_CACHE"] = str(folder / "cache")
    began = time.perf_counter()
    to = Preprocessing(height=spec.height, width=spec.width, resize=spec.resize, interpolation=spec.interpolation)
    Images(people, to, folder=cache_folder() if spec.cache else None)
    decoding = time.perf_counter() - began
    result = resight.train(recipe, folder / "run", cpu=True, data=data)
    points = [(decoding + entry["seconds"], entry["mAP"]) for entry in result["history"] if "mAP" in entry]
    return [*points, (decoding + result["seconds"], result["report"]["mAP"])]


def reached(points: Points, mAP: float) -> float | None:
    """The first time at which ``mAP`` was measured or surpassed."""
    return next((seconds for seconds, found in points if found >= mAP), None)


def show(result: dict[str, Any]) -> None:
    goal, when = result["mAP"], result["seconds"]
    print(f"| | trained for | mAP at the end | reached mAP {goal:.2%} after |\n|---|---:|---:|---:|")
    for name, points in result["points"].items():
        after = f"{when[name]:.0f} s" if when[name] else "not reached"
        print(f"| {name} | {points[-1][0]:.0f} s | {points[-1][1]:.2%} | {after} |")
    print(f"\nratio of the times: {result['ratio']:.2f}" if result["ratio"] else "\nratio of the times: none")
    for name, points in result["points"].items():
        print(f"\n{name}\n\n| seconds | mAP |\n|---:|---:|")
        for seconds, mAP in points:
            print(f"| {seconds:.0f} | {mAP:.2%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--root", default="../shared/data/Market-1501-v15.09.15.zip", help="Market-1501's folder or zip"
    )
    parser.add_argument("--subset", action="store_true", help="accept a part of Market-1501")
    parser.add_argument("--minutes", type=float, default=20, help="the peer's training time")
    parser.add_argument("--recipe", default="recipes/osnet_x0_25_market1501_fast.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--peer-model", default="osnet_x0_25")
    parser.add_argument("--peer-size", default="256x128", metavar="HxW")
    parser.add_argument("--peer-batch", type=int, default=128)
    parser.add_argument("--peer-lr", type=float, default=0.003)
    parser.add_argument("--peer-schedule", default="cosine", choices=("cosine", "constant"), help="over the minutes")
    parser.add_argument("--peer-result", type=Path, help="JSON file to keep the peer's result in, and to reuse")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 4 * 3600)
    args = parser.parse_args()
    try:
        recipe = recipes.read(args.recipe, ["evaluation.every=1", *args.set])
        data = datasets.load("market1501", args.root, fold="validation", strict=not args.subset)
        settings = {
            "minutes": args.minutes,
            "model": args.peer_model,
            "size": args.peer_size,
            "batch": args.peer_batch,
            "lr": args.peer_lr,
            "schedule": args.peer_schedule,
            "data": data.fingerprint(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        with tempfile.TemporaryDirectory() as folder:
            limit(args.deadline)
            theirs = peer_points(settings, data, Path(folder), args.peer_result)
            limit(args.deadline)
            ours = train_resight(recipe, data, Path(folder))
    except ResightError as error:
        sys.exit(str(error))
    goal = theirs[-1][1]
    points = {"torchreid-style": theirs, f"resight, {recipe.name}": ours}
    seconds = {name: reached(of, goal) for name, of in points.items()}
    before, after = seconds.values()
    ratio = before / after if before and after else None
    result = {"mAP": goal, "seconds": seconds, "ratio": ratio, "points": points, "peer": settings}
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
