"""Everything about a GPU in one run of a quarter of an hour: embedding, evaluation, re-ranking, training.

    python benchmarks/gpu.py --minutes 15 -o gpu.json         # eight minutes of measuring, then OSNet x1.0's recipe
    python benchmarks/gpu.py --minutes 15 --resume            # later: the recipe alone, for as long again
    python benchmarks/gpu.py --device cpu --tiny              # whether it runs; its numbers say nothing

Parts, each in a process of its own with a share of the time: a part that fails or hangs is named, and the others go on.

- ``embedding``: images/s of :class:`resight.Embedder` from pixels in memory and from files, in 32 and 16 bits, and of
  the network alone: eager, ``torch.compile`` with CUDA graphs; and how far 16 bits are from 32.
- ``retrieval``: evaluation and re-ranking of drawn embeddings, products on the device in 32 and 16 bits, beside those
  of the processor; the numbers must be equal.
- ``training``: the recipe until the time is over; a checkpoint is kept after each epoch, so that it can be continued.

It has not run on a GPU yet, only with ``--device cpu --tiny``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deadline import Hung, add_deadline, limit, no_limit, run

import resight
from resight.embedding.products import TorchProducts
from resight.images.transforms import prepare
from resight.training.run import Run

ROOT = Path(__file__).parents[1]
SHARES = {"embedding": 0.55, "retrieval": 0.45}  # of the eight minutes
MEASURING = 480.0
RECIPE = ROOT / "recipes" / "osnet_x1_0_market1501.yaml"
RESERVE = 30.0  # seconds at the end of the time, in which nothing new begins
Numbers = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=15, help="in all")
    parser.add_argument("--models", nargs="+", default=["osnet_x0_25", "osnet_x1_0", "resnet50"], metavar="NAME")
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "Market-1501-v15.09.15.zip")
    parser.add_argument("--run", type=Path, default=Path("runs/osnet_x1_0_market1501"), help="folder of the training")
    parser.add_argument("--resume", action="store_true", help="measure nothing, go on with the training")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes and no real data, to see whether it runs")
    parser.add_argument("-o", "--output", type=Path, help="where the numbers are written after each part")
    parser.add_argument("--part", choices=[*PARTS], help=argparse.SUPPRESS)
    add_deadline(parser, MEASURING)
    options = parser.parse_args()
    if options.part:
        limit(options.deadline)
        print(json.dumps(PARTS[options.part](options)))
        return
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("There is no GPU here: --device cpu --tiny shows whether this script runs.")
    until = time.monotonic() + 60 * options.minutes
    found: Numbers = {"device": about(options.device), "tiny": options.tiny}
    for part in PARTS:
        share = SHARES.get(part, 0.0) * min(MEASURING, options.deadline)
        if options.resume and part != "training":
            continue
        seconds = min(share or until - time.monotonic() - RESERVE, until - time.monotonic() - RESERVE)
        if seconds < 1:
            found[part] = {"left out": "no time is left"}
            continue
        began = time.monotonic()
        found[part] = in_a_process(part, seconds) | {"took_seconds": time.monotonic() - began}
        print(f"{part}: {json.dumps(found[part])}", file=sys.stderr, flush=True)
        if options.output:
            options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def in_a_process(part: str, seconds: float) -> Numbers:
    """The numbers of a part, or why there are none."""
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part, "--deadline", str(seconds)]
    try:
        done = run(command, seconds + RESERVE, stdout=subprocess.PIPE, text=True)
    except Hung as hung:
        return {"failed": str(hung)}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return {"failed": f"it ended with status {done.returncode}: see its own error above"}
    numbers: Numbers = json.loads(lines[-1])
    return numbers


def about(device: str) -> Numbers:
    """The machine that computes."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    return {"name": name, "torch": torch.__version__, "cuda": torch.version.cuda}


def seconds_of(work: Callable[[], object], device: str, rounds: int = 3) -> float:
    """The least of some rounds, after one to warm up; the device has finished before and after."""
    took = []
    for _ in range(rounds + 1):
        settled(device)
        began = time.perf_counter()
        work()
        settled(device)
        took.append(time.perf_counter() - began)
    return min(took[1:])


def settled(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def embedding(options: argparse.Namespace) -> Numbers:
    """Images a second."""
    height, width, count, batch = (64, 32, 12, 4) if options.tiny else (256, 128, 4096, 256)
    pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    found: Numbers = {}
    models = ["osnet_x0_25"] if options.tiny else options.models
    files = None
    if not options.tiny and options.root.exists():
        files = resight.datasets.load("market1501", options.root).query
        files = files.take(np.arange(min(count, len(files))))
    for name in models:
        model = resight.load(name, height=height, width=width)
        rates: Numbers = {}
        vectors = {}
        for half in (False, True):
            bits = "16 bits" if half else "32 bits"
            embedder = resight.Embedder(model, "torch", batch, half=half, device=options.device)
            vectors[half] = embedder(pixels[: 2 * batch]).vectors
            rates[f"pixels, {bits}"] = count / seconds_of(lambda e=embedder: e(pixels), options.device)
            if files is not None:
                rates[f"files, {bits}"] = len(files) / seconds_of(lambda e=embedder: e(files), options.device, 1)
        one, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors.values())
        rates["least cosine of 16 bits with 32"] = float((one * other).sum(axis=1).min())
        found[name] = rates | network_alone(model, torch.from_numpy(pixels[:batch]), options)
    return found


def network_alone(model: resight.Model, pixels: torch.Tensor, options: argparse.Namespace) -> Numbers:
    """Images a second of the network on prepared images that are there, eager and compiled, in each type."""
    network = model.network.to(options.device, memory_format=torch.channels_last).eval()
    x = prepare(pixels.to(options.device), model.card.preprocessing)
    ways: dict[str, Callable[[torch.Tensor], Any]] = {"eager": network}
    if options.device.startswith("cuda"):
        ways["compiled, CUDA graphs"] = torch.compile(network, mode="reduce-overhead")
    kinds = (torch.float32, torch.float16, torch.bfloat16) if options.device.startswith("cuda") else (torch.float32,)
    found: Numbers = {}
    for way, function in ways.items():
        for kind in kinds:

            def work(f: Callable[[torch.Tensor], Any] = function, k: torch.dtype = kind) -> None:
                with torch.no_grad(), torch.autocast(x.device.type, k, enabled=k != torch.float32):
                    for _ in range(10):
                        f(x)

            name = f"network alone, {way}, {str(kind).removeprefix('torch.')}"
            try:
                found[name] = 10 * len(x) / seconds_of(work, options.device)
            except Exception as error:  # a compiler that is not there fails in many ways; the other numbers count
                found[name] = f"failed: {str(error).splitlines()[0][:120]}"
    return found


def retrieval(options: argparse.Namespace) -> Numbers:
    """Seconds of evaluation and re-ranking."""
    queries, images, people = (40, 160, 20) if options.tiny else (3368, 19732, 750)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(people, 24))
    spread = (rng.normal(size=(24, 512)) / 24**0.5).astype(np.float32)

    def some(count: int) -> resight.Embeddings:
        who = rng.integers(0, people, count)
        hidden = (centres[who] + 0.65 * rng.normal(size=(count, 24))).astype(np.float32)
        noise = np.float32(0.05) * rng.standard_normal((count, 512), np.float32)
        return resight.Embeddings(hidden @ spread + noise, who + 1, rng.integers(1, 7, count))

    query, gallery = some(queries), some(images)
    ways = {
        "processor": None,
        "device, 32 bits": TorchProducts(options.device),
        "device, 16 bits": TorchProducts(options.device, half=True),
    }
    found: Numbers = {}
    measured = {}
    for name, products in ways.items():
        rerank = resight.KReciprocal(products=products)
        plain = lambda p=products: resight.evaluate(query, gallery, products=p)  # noqa: E731
        again = lambda r=rerank: resight.evaluate(query, gallery, rerank=r)  # noqa: E731
        found[f"evaluation, {name}, seconds"] = seconds_of(plain, options.device, 2)
        found[f"re-ranking, {name}, seconds"] = seconds_of(again, options.device, 1)
        measured[name] = plain().numbers(), again().numbers()
    found["equal numbers"] = all(one == measured["processor"] for one in measured.values())
    return found


def training(options: argparse.Namespace) -> Numbers:
    """The recipe, for as long as there is time; the run continues where it was."""
    settings, folder = [f"data.root={json.dumps(str(options.root))}"], options.run
    if options.tiny:
        place = Path(tempfile.mkdtemp())
        data = "{name: synthetic, options: {identities: 8, cameras: 2, images_per_camera: 2, seed: 1}}"
        settings = [f"data={data}", f"data.root={json.dumps(str(place / 'data'))}", "model.name=osnet_x0_25"]
        settings += ["images={height: 64, width: 32}", "sampler.batch_size=4", "augmentation.pad_crop=2"]
        settings += ["phases.0.epochs=1", "phases.0.warmup=0", "phases.0.milestones=[1]", "phases.0.lr=0.001"]
        folder = place / "run"
    elif options.device.startswith("cuda"):
        settings += ["precision=bf16"]
    command = [sys.executable, "-m", "resight", "train", RECIPE, "-o", folder, "--resume"]
    command += ["--cpu"] if options.device == "cpu" else []
    no_limit()
    try:
        status = run([*command, *(word for one in settings for word in ("--set", one))], options.deadline).returncode
    except Hung:  # as it was meant to: the time is over
        status = 0
    if status:
        sys.exit(f"resight train ended with status {status}.")
    history = Run(folder).history()
    return {"run": str(folder), "epochs": len(history), "last": history[-1] if history else {}}


PARTS: dict[str, Callable[[argparse.Namespace], Numbers]] = {
    "embedding": embedding,
    "retrieval": retrieval,
    "training": training,
}


if __name__ == "__main__":
    main()
