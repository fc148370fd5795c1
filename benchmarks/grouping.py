"""Grouping without labels, measured: who appears in Market-1501's test pictures?

    python benchmarks/grouping.py runs/osnet_x0_25_market1501_cpu     # a run, or a weight file with its card
    python benchmarks/grouping.py MODEL --root PATH --json

The threshold is chosen on the validation identities of the train split (the one with the highest pairwise F1), then all
images of the test identities, query and gallery together, are grouped and compared with who is on them. A model that
was trained on the whole train split has seen the validation identities, so its threshold comes out tighter than it
should be; one trained on ``fold: validation`` has not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from deadline import add_deadline, limit

import resight
from resight.clustering.group import Grouping, group, measure_groups
from resight.errors import ResightError
from resight.images.cache import cache_folder
from resight.models.loading import load
from resight.records import Embeddings, Split

SHARED = Path(__file__).parents[2] / "shared"
QUANTILES = np.linspace(0.05, 0.95, 19)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--root", type=Path, default=SHARED / "data" / "Market-1501-v15.09.15.zip")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 7200)
    options = parser.parse_args()
    limit(options.deadline)
    try:
        print_result(run(options.model, options.root), options.json)
    except ResightError as error:
        sys.exit(f"Error: {error}")


def run(path: Path, root: Path) -> dict[str, object]:
    model = load(path)
    embedder = resight.Embedder(model, cache=cache_folder())
    metric = model.card.metric
    validation = resight.datasets.load("market1501", root, fold="validation")
    chosen = known(embedder, [validation.query, validation.gallery])
    tried = {float(t): score(chosen, float(t), metric)[0] for t in candidates(chosen, metric)}
    threshold = max(tried, key=lambda t: tried[t].f1)
    test = resight.datasets.load("market1501", root)
    people = known(embedder, [test.query, test.gallery])
    found, seconds = score(people, threshold, metric)
    return {
        "model": str(path),
        "metric": metric,
        "threshold": threshold,
        "validation": tried[threshold].numbers(),
        "test": found.numbers(),
        "seconds": seconds,
    }


def known(embedder: resight.Embedder, splits: list[Split]) -> Embeddings:
    """The images of known identities in all splits together."""
    parts = [embedder(split.take(split.identities > 0)) for split in splits]
    return Embeddings(
        np.concatenate([part.vectors for part in parts]), np.concatenate([part.identities for part in parts])
    )


def candidates(people: Embeddings, metric: str) -> np.ndarray:
    """Quantiles of the distances between images of the same person."""
    vectors, who = people.vectors.astype(np.float64), people.identities
    assert who is not None
    if metric == "cosine":
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = []
    for identity in np.unique(who):
        own = vectors[who == identity]
        apart = np.sqrt(np.maximum(((own[:, None] - own[None]) ** 2).sum(2), 0))
        distances.append(apart[np.triu_indices(len(own), 1)])
    every = np.concatenate(distances)
    return np.quantile(every**2 / 2 if metric == "cosine" else every, QUANTILES)


def score(people: Embeddings, threshold: float, metric: str) -> tuple[Grouping, float]:
    began = time.perf_counter()
    groups = group(people, threshold, metric)
    assert people.identities is not None
    return measure_groups(groups, people.identities), time.perf_counter() - began


def print_result(result: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=2))
        return
    for fold in ("validation", "test"):
        found = Grouping(**result[fold])  # type: ignore[arg-type]
        print(f"{fold}: {found}")
    print(f"threshold {result['threshold']:.4g} ({result['metric']}), test grouped in {result['seconds']:.1f} s")


if __name__ == "__main__":
    main()
