"""What each change of the person model's views is worth on cameras that it does not learn from.

    python benchmarks/views.py                               # all rows, 40 minutes of one core
    python benchmarks/views.py --only "light as it is"       # some rows; the first is always there

Each row is the bundled person model's recipe for one epoch at ``--size``, on CUHK03's training people and the
unlabelled crops, with the settings of :data:`ROWS`, measured by the mean over the five data sets that the recipe names.
The first row is trained with three seeds; what lies within their spread says nothing. Rows that are finished in the
output folder are not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from deadline import add_deadline, limit
from what_helps import FIRST, SEEDS, row, table

import resight
from resight.errors import ResightError
from resight.training import recipe as recipes

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
RECIPE = ROOT / "recipes" / "person_osnet_lct_x0_5_cpu.yaml"
CHANGES = ("box", "light", "blur", "low_resolution", "patch")
ROWS: dict[str, tuple[str, ...]] = {
    FIRST: (),
    "boxes as they are": ("augmentation.box=0",),
    "light as it is": ("augmentation.light=0",),
    "no blur": ("augmentation.blur=0",),
    "no low resolution": ("augmentation.low_resolution=0",),
    "no patches of others": ("augmentation.patch=0",),
    "halves of two people, 30%": ("augmentation.halves=0.3",),
    "mirrored only": tuple(f"augmentation.{name}=0" for name in CHANGES),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=Path, default=SHARED / "data" / "person_domains.zip")
    parser.add_argument(
        "--weights",
        type=Path,
        default=SHARED / "weights" / "openvino" / "person-reidentification-retail-0287.xml",
        help="of 0287, its .bin beside it",
    )
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--size", nargs=2, type=int, default=(128, 64), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--output", "-o", type=Path, default=Path("runs/views"))
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 4 * 3600)
    options = parser.parse_args()
    try:
        rows = [measured(name, options) for name in ROWS if name in (FIRST, *options.only)]
    except ResightError as error:
        sys.exit(f"Error: {error}")
    print(json.dumps(rows, indent=2) if options.json else "\n".join(table(rows, "mean of five sets")))


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A row: the mean over its seeds."""
    limit(options.deadline)
    recipe = recipes.read(RECIPE)
    places = {f"evaluation.data.{one}.root": options.domains / one for one in recipe.evaluation.data}
    small = [
        f"data=[{{name: market_layout, root: {json.dumps(str(options.domains / 'cuhk03'))}}}, "
        f"{{name: unlabelled, root: {json.dumps(str(options.domains / 'unlabelled'))}}}]",
        *(f"{key}={json.dumps(str(place))}" for key, place in places.items()),
        f"model.weights={json.dumps(str(options.weights))}",
        f"images.height={options.size[0]}",
        f"images.width={options.size[1]}",
        "phases.0.epochs=1",
        "precision=bf16",
    ]
    found = []
    for seed in SEEDS if name == FIRST else SEEDS[:1]:
        folder = options.output / f"{name}, seed {seed}"
        print(folder.name, file=sys.stderr)
        found.append(resight.train(recipes.read(RECIPE, [*small, *ROWS[name], f"seed={seed}"]), folder, resume=True))
    return row(
        name,
        mAP=[one["average"]["mAP"] for one in found],
        R1=[one["average"]["R1"] for one in found],
        minutes=[one["seconds"] / 60 for one in found],
    )


if __name__ == "__main__":
    main()
