"""Two writers and four readers of one gallery in PostgreSQL, each a process; what is read must be what was written.

    python benchmarks/cluster_load.py                 # a minute
    python benchmarks/cluster_load.py --restart       # and the server is stopped and started again every ten seconds

Each writer adds batches of four records to a camera of its own, gives two of them a name, and erases its oldest batch
when it has more than 50. It announces each step before it begins and after it has returned. A reader looks at one
writer's camera: every batch that was there before it began and is not erased since must be there, whole and once; none
may be there that was erased before it began or that nobody has begun to add. It also searches for the newest batch that
was there, which must be found, and nothing that was erased. Two of the readers search in the database, two from memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

from postgres_server import PostgresServer
from resight import Embeddings, Gallery
from resight.gallery.record import Filter
from resight.gallery.store import HELD
from seen import card

WRITERS, READERS, EACH, KEPT, DIM = 2, 4, 4, 50, 64
ADDING, ADDED, ERASING, ERASED = range(4)  # how many batches of a writer


def batch(writer: int, number: int) -> Embeddings:
    return Embeddings(np.random.default_rng((writer, number)).normal(size=(EACH, DIM)).astype(np.float32))


def write(uri: str, writer: int, steps: Any, stop: float) -> None:
    with Gallery.open(uri) as gallery:
        while time.time() < stop:
            number = steps[ADDING]
            steps[ADDING] = number + 1
            ids = gallery.add(batch(writer, number), cameras=f"w{writer}", times=float(number)).ids
            steps[ADDED] = number + 1
            gallery.enrol(f"w{writer} {number}", ids[:2])
            if number - steps[ERASED] >= KEPT:
                steps[ERASING] += 1
                assert gallery.erase(before=float(steps[ERASING])) in (EACH, 2 * EACH, 0)
                steps[ERASED] = steps[ERASING]


def read(uri: str, reader: int, steps: Any, stop: float, answers: Any) -> None:
    with Gallery.open(uri, read_only=True) as gallery:
        gallery.hold_vectors(HELD if reader >= WRITERS else 0)
        writer = reader % WRITERS
        where = Filter(cameras=(f"w{writer}",))
        while time.time() < stop:
            added, erased = steps[writer][ADDED], max(each[ERASED] for each in steps)
            records = gallery.records(where, limit=10**5)
            adding, erasing = steps[writer][ADDING], max(each[ERASING] for each in steps)
            assert len({record.id for record in records}) == len(records), "a record was seen twice"
            seen = Counter(int(record.time or 0) for record in records)
            assert set(seen.values()) <= {EACH}, "half a batch was seen"
            assert set(range(erasing, added)) <= seen.keys(), "a batch was lost"
            assert seen.keys() <= set(range(erased, adding)), "a batch was seen that is not there"
            if added > erasing:
                hits = gallery.search(batch(writer, added - 1).vectors[0], 4 * KEPT, where)
                assert hits and (hits[0].record.time == added - 1 or max(each[ERASING] for each in steps) >= added)
                assert erased <= min(hit.record.time or 0 for hit in hits), "an erased record was found"
            answers.value += 1


def run(server: PostgresServer, seconds: float, restart: float = 0.0) -> dict[str, Any]:
    """Returns how much was done; raises AssertionError where anything was wrong."""
    uri, context = server.uri(), multiprocessing.get_context("fork")
    Gallery.open(uri, card(DIM)).close()
    stop = time.time() + seconds
    steps = [context.Array("q", 4, lock=False) for _ in range(WRITERS)]
    answers = [context.Value("q", 0, lock=False) for _ in range(READERS)]
    writers = [context.Process(target=write, args=(uri, at, steps[at], stop)) for at in range(WRITERS)]
    readers = [context.Process(target=read, args=(uri, at, steps, stop, answers[at])) for at in range(READERS)]
    for process in (*writers, *readers):
        process.start()
    restarts = 0
    while restart and time.time() < stop - restart:
        time.sleep(restart)
        server.stop()
        server.start()
        restarts += 1
    for process in (*writers, *readers):
        process.join(max(stop + 120 - time.time(), 1))
        process.kill()  # one that hangs, which the next line then says
    assert all(process.exitcode == 0 for process in (*writers, *readers)), "see above"
    with Gallery.open(uri) as gallery:
        gallery.verify_log()
        assert gallery.check().problems == ()
        events = Counter(event.action for event in gallery.log(limit=10**7))
    assert events["add"] == events["enrol"] == sum(each[ADDED] for each in steps)
    return {"seconds": seconds, "restarts": restarts, **events, "reads": sum(answer.value for answer in answers)}


if __name__ == "__main__":
    from deadline import add_deadline, limit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--restart", action="store_true")
    add_deadline(parser, 600)
    options = parser.parse_args()
    limit(options.seconds + options.deadline)
    database = PostgresServer(fsync="on", full_page_writes="on")
    try:
        print(json.dumps(run(database, options.seconds, 10.0 if options.restart else 0.0)))
    finally:
        database.close()
