"""Links over cameras with and without travel times, wrong clocks, and the review queue, on scenes of three sizes.

    python benchmarks/linking.py                # minutes on two cores; the largest scene takes most of them
    python benchmarks/linking.py --sizes 3,10 6,50
    python benchmarks/linking.py --sizes 6,50 12,200 --seconds 20   # short and crowded

Who walks where and when is the plan of the synthetic scenes (60 seconds; 40 for 3 cameras and 10 people, or
``--seconds``); every visit is one track, so tracking makes no mistakes here. Embeddings are drawn, 24 numbers each: a
person's centre, a shift per camera and noise, 0.9 of the differences between people. The threshold is that of a false-
match rate of 0.01. F1 is that of pairs of tracks; "true times" is with the travel times of all true links known
beforehand. The reviewer knows everybody and answers twenty questions, four at a time, then links again; the other one
answers about twenty pairs drawn at random.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from deadline import add_deadline, limit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from resight.watch.learning import Learning
from resight.watch.link import NOTHING, Answers, Rules, link
from resight.watch.review import doubts
from resight.watch.timed import Linked, successions
from resight.watch.travel import TravelTimes
from watch.simulated import Tracks, pair_f1, tracks

RULES = Rules(travel=2.0)
NOISE = 0.9
LATE = {"camera 2": 8.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["3,10", "6,50", "12,200"], metavar="CAMERAS,PEOPLE")
    parser.add_argument("--seconds", type=float, help="of each scene (default: 60; 40 for 3 cameras)")
    parser.add_argument("--scenes", type=int, default=4, help="how many of each size below 200 people, or of all short")
    add_deadline(parser, 3600)
    options = parser.parse_args()
    limit(options.deadline)
    columns = (
        "appearance",
        "and times",
        "true times",
        "identities",
        "20 answers",
        "20 random pairs",
        "clock 8 s late",
        "seconds",
    )
    print(f"| cameras, people | tracks | {' | '.join(columns)} |\n|---{'|---:' * (len(columns) + 1)}|")
    for size in options.sizes:
        cameras, people = map(int, size.split(","))
        count = options.scenes if people < 200 or options.seconds else 1
        seconds = options.seconds or (40.0 if cameras == 3 else 60.0)
        rows = np.mean([measured(cameras, people, seconds, seed) for seed in range(count)], axis=0)
        number, plain, timed, best, identities, asked, random, late, spent = rows.tolist()
        f1 = [f"{one:.1%}" for one in (plain, timed, best, asked, random, late)]
        f1.insert(3, f"{identities:.1f} of {people}")
        print(f"| {cameras}, {people} | {number:.0f} | {' | '.join(f1)} | {spent:.1f} |", flush=True)


def measured(cameras: int, people: int, length: float, seed: int) -> list[float]:
    some = tracks(people, cameras, length, NOISE, seed)
    plain = pair_f1(link(some.vectors, "cosine", some.threshold, some.seen, RULES), some.who)
    began = time.perf_counter()
    found = linked(some)
    seconds = time.perf_counter() - began
    timed = pair_f1(found.groups, some.who)
    true = TravelTimes().with_links(some.seen, successions(some.seen, some.who.tolist()))
    best = pair_f1(linked(some, times=true).groups, some.who)
    late = tracks(people, cameras, length, NOISE, seed, LATE)
    asked = random = np.nan
    if people < 200:
        asked, random = (reviewed(some, by, seed) for by in ("doubt", "chance"))
    moved = pair_f1(linked(late).groups, late.who)
    return [len(some.who), plain, timed, best, len(set(found.groups)), asked, random, moved, seconds]


def linked(some: Tracks, answers: Answers = NOTHING, times: TravelTimes | None = None) -> Linked:
    everybody = range(len(some.who))
    slope = 3 / some.threshold
    learning = Learning(times or TravelTimes())
    return learning.link(some.vectors, "cosine", some.threshold, some.seen, everybody, RULES, np.inf, slope, answers)


def reviewed(some: Tracks, how: str, seed: int) -> float:
    """F1 after twenty answers."""
    rng = np.random.default_rng(seed)
    pairs: list[tuple[int, int]] = []
    answers = NOTHING
    for _ in range(5):
        found = linked(some, answers)
        if how == "doubt":
            slope = 3 / some.threshold
            queue = doubts(some.vectors, "cosine", some.threshold, slope, some.seen, RULES, found, answers)
            pairs += [(a, b) for a, b, *_ in queue[:4]]
        else:
            pairs += [tuple(rng.choice(len(some.who), 2, replace=False).tolist()) for _ in range(4)]
        same = tuple(pair for pair in pairs if some.who[pair[0]] == some.who[pair[1]])
        answers = Answers(same, tuple(pair for pair in pairs if pair not in same))
    return pair_f1(linked(some, answers).groups, some.who)


if __name__ == "__main__":
    main()
