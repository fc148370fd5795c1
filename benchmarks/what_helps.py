"""What moves accuracy per minute of training: one thing changed at a time, everything else alike.

    python benchmarks/what_helps.py                               # all rows, 45 minutes on one core
    python benchmarks/what_helps.py --only "synthetic people first"   # some rows; the first is always there
    python benchmarks/what_helps.py --epochs 68 28 --size 128 64 -o runs/what_helps_large  # longer and larger

Each row is recipes/osnet_x0_25_market1501_cpu.yaml, small and short, with the settings of :data:`ROWS`: trained on 600
of Market-1501's 751 training people, measured on the other 151 (665 queries). The first row is trained with three
seeds; what lies within their spread says nothing. Rows that are finished in the output folder are not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from deadline import add_deadline, limit

import resight
from resight.errors import ResightError
from resight.training import recipe as recipes

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
RECIPE = ROOT / "recipes" / "osnet_x0_25_market1501_cpu.yaml"
FIRST, SYNTHETIC = "as it is", "SYNTHETIC_PEOPLE"
SEEDS = (1, 2, 3)
ROWS: dict[str, tuple[str, ...]] = {
    FIRST: (),
    "synthetic people first": (f"model.weights={SYNTHETIC}",),
    "parts": ("model.name=parts_osnet_x0_25", "model.head=null"),
    "x0.5": ("model.name=osnet_x0_5",),
    "triplets among 8 people x 8 images": ("phases.1.sampler.images_per_identity=8",),
    "triplets among 32 people x 2 images": ("phases.1.sampler.images_per_identity=2",),
    "no triplets": ("phases.1.sampler=null", "phases.1.losses=null"),
}
DRAWING = (
    "data={name: synthetic, options: {identities: 400, cameras: 6, images_per_camera: 3, seed: 5, test_fraction: 0.1}}",
    "phases.0.epochs=8",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=SHARED / "data" / "Market-1501-v15.09.15.zip")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--epochs", nargs=2, type=int, default=(8, 4), help="with identities, then with triplets too")
    parser.add_argument("--size", nargs=2, type=int, default=(64, 32), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--output", "-o", type=Path, default=Path("runs/what_helps"))
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 21600)
    options = parser.parse_args()
    try:
        rows = [measured(name, options) for name in ROWS if name in (FIRST, *options.only)]
    except ResightError as error:
        sys.exit(f"Error: {error}")
    print(json.dumps(rows, indent=2) if options.json else "\n".join(table(rows)))


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A row: the mean over its seeds, with their standard deviation where there are several."""
    limit(options.deadline)
    small = [
        f"data.root={json.dumps(str(options.root))}",
        "data.options.fold=validation",
        f"images.height={options.size[0]}",
        f"images.width={options.size[1]}",
        "augmentation.pad_crop=3",
        f"phases.0.epochs={options.epochs[0]}",
        f"phases.1.epochs={options.epochs[1]}",
        "precision=bf16",
    ]
    synthetic = options.output / "synthetic people"
    settings = [setting.replace(SYNTHETIC, json.dumps(str(synthetic / "model.safetensors"))) for setting in ROWS[name]]
    before = 0.0
    if SYNTHETIC in " ".join(ROWS[name]):
        pictures = f"data.root={json.dumps(str(options.output / 'pictures of synthetic people'))}"
        before = trained([*small, *DRAWING, pictures], synthetic, only_first=True)["seconds"]
    seeds = SEEDS if name == FIRST else SEEDS[:1]
    found = [trained([*small, *settings, f"seed={seed}"], options.output / f"{name}, seed {seed}") for seed in seeds]
    return row(
        name,
        mAP=[one["report"]["mAP"] for one in found],
        R1=[one["report"]["cmc"]["1"] for one in found],
        minutes=[(before + one["seconds"]) / 60 for one in found],
    )


def row(name: str, **columns: list[float]) -> dict[str, Any]:
    """The mean of each column over the seeds, with the standard deviation where there are several."""
    numbers: dict[str, Any] = {"what": name}
    for key, values in columns.items():
        numbers |= {key: mean(values)} | ({f"{key}_deviation": stdev(values)} if len(values) > 1 else {})
    return numbers


def trained(settings: Iterable[str], folder: Path, *, only_first: bool = False) -> dict[str, Any]:
    """What a run came to; ``only_first`` leaves out the phase with triplets."""
    recipe = recipes.read(RECIPE, [*settings])
    if only_first:
        recipe = recipe.model_copy(update={"phases": recipe.phases[:1]})
    print(folder.name, file=sys.stderr)
    return resight.train(recipe, folder, resume=True)


def table(rows: list[dict[str, Any]], of: str = "fold") -> list[str]:
    lines = [f"| what | mAP, {of} | R1, {of} | minutes |", "|---|---:|---:|---:|"]
    for row in rows:
        shown = [
            f"{row[key]:.1%}" + (f" ± {100 * row[f'{key}_deviation']:.1f}" if f"{key}_deviation" in row else "")
            for key in ("mAP", "R1")
        ]
        lines.append(f"| {row['what']} | {shown[0]} | {shown[1]} | {row['minutes']:.1f} |")
    return lines


if __name__ == "__main__":
    main()
