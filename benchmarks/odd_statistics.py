"""Can an embedding tell that a picture shows no whole person? Statistics of one embedding, measured on odd pictures.

    python benchmarks/odd_statistics.py                 # two minutes, most of them embedding

The odd pictures are those of ``odd_queries.py``. Each of the five places of ``person_domains.zip`` is left out once: a
statistic learns from the people of the others, its bound is the largest of their 99% quantiles (each place by a
statistic that has not seen it), and false alarms are counted on the place left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from deadline import add_deadline, limit
from numpy.typing import NDArray
from odd_queries import PLACES, SHARED, pictures

import resight

Vectors = NDArray[np.float32]
Statistic = Callable[[Vectors, Vectors], NDArray[np.float64]]
AXES = 128  # of the principal components that people are described by


def unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def shortness(vectors: Vectors, people: Vectors) -> NDArray[np.float64]:
    return -np.linalg.norm(vectors, axis=1)


def from_the_mean(vectors: Vectors, people: Vectors) -> NDArray[np.float64]:
    return 1 - unit(vectors) @ unit(unit(people).mean(0, keepdims=True))[0]


def from_the_nearest(vectors: Vectors, people: Vectors) -> NDArray[np.float64]:
    return 1 - np.sort(unit(vectors) @ unit(people).T, axis=1)[:, -5:].mean(1)


def outside(vectors: Vectors, people: Vectors) -> NDArray[np.float64]:
    mean = unit(people).mean(0)
    centred, own = unit(people) - mean, unit(vectors) - mean
    axes = np.linalg.eigh(centred.T @ centred)[1][:, -AXES:]
    return 1 - ((own @ axes) ** 2).sum(1) / (own**2).sum(1)


STATISTICS: dict[str, tuple[Statistic, ...]] = {
    "the norm": (shortness,),
    "distance to the mean of people": (from_the_mean,),
    "distance to the five nearest people": (from_the_nearest,),
    f"share outside {AXES} principal axes of people": (outside,),
    "mean or axes, half of the false alarms each": (from_the_mean, outside),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="person")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--engine", default="auto")
    add_deadline(parser, 900)
    args = parser.parse_args()
    limit(args.deadline)
    embedder = resight.Embedder(resight.load(args.model), args.engine)
    odd = {name: embedder(some).vectors for name, some in pictures(args.shared).items()}
    archive = args.shared / "data" / "person_domains.zip"
    people = {}
    for place in PLACES:
        data = resight.datasets.load("market_layout", archive / place)
        people[place] = np.concatenate([embedder(part).vectors for part in (data.query, data.gallery)])
    print(f"| statistic | false alarms, worst place | {' | '.join(odd)} | all |\n|---|---:|{'---:|' * (len(odd) + 1)}")
    for name, statistics in STATISTICS.items():
        alarms, found = [], []
        for place in PLACES:
            rest = [one for one in PLACES if one != place]
            known = np.concatenate([people[one] for one in rest])

            def values(vectors: Vectors, known: Vectors, which: tuple[Statistic, ...] = statistics) -> Vectors:
                return np.stack([one(vectors, known) for one in which], 1)

            each = [values(people[a], np.concatenate([people[b] for b in rest if b != a])) for a in rest]
            bounds = np.max([np.quantile(one, 1 - 0.01 / len(statistics), axis=0) for one in each], axis=0)
            alarms.append((values(people[place], known) > bounds).any(1).mean())
            found.append([(values(one, known) > bounds).any(1) for one in odd.values()])
        shares = [np.mean([place[at] for place in found]) for at in range(len(odd))]
        shares.append(np.mean([np.concatenate(place) for place in found]))
        print(f"| {name} | {max(alarms):.1%} | {' | '.join(f'{one:.0%}' for one in shares)} |", flush=True)


if __name__ == "__main__":
    main()
