"""Tracks of a synthetic scene without its pictures: who walks where is the scene's plan, embeddings are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from resight.datasets.synthetic.scene import plan
from resight.watch.link import WORLD, Sighted

START = 1_760_000_000.0
DIM = 24


@dataclass(frozen=True, eq=False)
class Tracks:
    """T tracks in the order of their times.

    Attributes:
        vectors: (T, D) float32 of length 1; ``seen``: when and where; ``who``: (T,) the true people.
        threshold: the distance below which 1% of the pairs of other people are.
    """

    vectors: NDArray[np.float32]
    seen: list[Sighted]
    who: NDArray[np.int64]
    threshold: float


def tracks(
    people: int = 10,
    cameras: int = 3,
    seconds: float = 40.0,
    noise: float = 0.14,
    seed: int = 0,
    late: dict[str, float] | None = None,
) -> Tracks:
    """Every visit of the plan is a track.

    Args:
        noise: of the embeddings, as a share of the differences between people; ``late``: seconds that a camera's clock
            is late.
    """
    rng = np.random.default_rng((seed, 1))
    visits = sorted(plan(people=people, cameras=cameras, seconds=seconds, seed=seed), key=lambda one: one.begin)
    centre = rng.normal(size=(people + 1, DIM))
    tint = rng.normal(size=(cameras + 1, DIM))
    vectors = np.stack([centre[v.identity] + noise * (0.5 * tint[v.camera] + rng.normal(size=DIM)) for v in visits])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seen = []
    for v in visits:
        begin = START + v.begin - (late or {}).get(f"camera {v.camera}", 0.0)
        seen.append(Sighted(f"camera {v.camera}", begin, begin + v.end - v.begin, WORLD))
    others = rng.normal(size=(400, DIM))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    apart = 1 - (others @ others.T)[np.triu_indices(400, 1)]
    who = np.array([v.identity for v in visits])
    return Tracks(vectors.astype(np.float32), seen, who, float(np.quantile(apart, 0.01)))


def pair_f1(groups: list[int], who: NDArray[np.int64]) -> float:
    """F1 of the pairs of tracks that are in one group."""
    together = right = true = 0
    for a, b in combinations(range(len(who)), 2):
        together += groups[a] == groups[b]
        true += int(who[a] == who[b])
        right += groups[a] == groups[b] and who[a] == who[b]
    return 2 * right / (together + true)
