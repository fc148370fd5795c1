"""Calibration by twenty answers, on people whose identities are known: is the promise kept, and what is gained?

    python benchmarks/twenty_answers.py                 # three minutes

The images of each place of ``person_domains.zip`` are a gallery that nobody labelled. Twenty pairs are asked about as
the page's section Calibrate does, each answered by the truth, several times with other pairs among those that tell as
much. Then the thresholds before (the model's own) and after are applied to all pairs of the place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from deadline import add_deadline, limit

import resight
from resight.decisions.asked import believe, decide_by, most_telling
from resight.decisions.probability import slope_at
from resight.gallery.deciding.asking import MOST, NEEDED
from resight.retrieval.ranking.distance import pairwise

SHARED = Path(__file__).parents[2] / "shared"
PLACES = ("cuhk03", "caviar", "3dpes", "sarc3d", "pku")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="person")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "person_domains.zip")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--wrong", type=float, default=0.0, help="share of wrong answers")
    add_deadline(parser, 900)
    args = parser.parse_args()
    limit(args.deadline)
    model = resight.load(args.model)
    embedder, before = resight.Embedder(model, args.engine), resight.Decision.from_card(model.card)
    slope = slope_at(before.knots, before.threshold)
    print(f"promised: {before.false_match_rate:.2%} false matches; before, match up to {before.threshold:.3f}\n")
    print("| place | round | same among 20 | threshold | false matches: before, after | missed: before, after |")
    print("|---|---:|---:|---:|---:|---:|")
    above = runs = 0
    for place in PLACES:
        data = resight.datasets.load("market_layout", args.data / place)
        two = [embedder(part) for part in (data.query, data.gallery)]
        vectors = np.concatenate([one.vectors for one in two])
        who = np.concatenate([one.identities for one in two])
        for index in range(args.rounds):
            random = np.random.default_rng(index)
            some = random.permutation(len(vectors))[:MOST]
            images = resight.Embeddings(vectors[some], fingerprint=before.fingerprint, metric=before.metric)
            first, second = np.triu_indices(len(some), 1)
            square = np.maximum(pairwise(images.vectors, images.vectors, before.metric), 0)
            distances, same = square[first, second], who[some][first] == who[some][second]
            told = same ^ (np.random.default_rng((index, 1)).random(len(same)) < args.wrong)
            asked: list[int] = []
            for _ in range(NEEDED):
                telling = most_telling(believe(distances[asked], told[asked], before.threshold, slope), distances)
                telling[asked] = 0
                asked.append(int(random.choice(np.flatnonzero(telling >= 0.99 * telling.max()))))
            belief = believe(distances[asked], told[asked], before.threshold, slope)
            rates = {"false_match_rate": before.false_match_rate, "coverage": before.coverage}
            after = decide_by(belief, distances, images, metric=before.metric, **rates)
            both = before.threshold, after.threshold
            above, runs = above + ((distances[~same] <= after.threshold).mean() > before.false_match_rate), runs + 1
            false = ", ".join(f"{(distances[~same] <= one).mean():.3%}" for one in both)
            missed = ", ".join(f"{(distances[same] > one).mean():.1%}" for one in both)
            count = int(same[asked].sum())
            print(f"| {place} | {index + 1} | {count} | {after.threshold:.3f} | {false} | {missed} |", flush=True)
    print(f"\n{above} of {runs} above the promise")


if __name__ == "__main__":
    main()
