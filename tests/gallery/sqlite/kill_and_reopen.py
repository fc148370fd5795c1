"""Kills a program that works on a gallery at random moments, and looks each time at what it left; prints JSON.

A script of its own, since it forks: ``python kill_and_reopen.py FOLDER KILLS SEED``. What must hold each time: all that
was acknowledged is there; of the action that was interrupted all or nothing; no half of a record; searches by the cache
find what is in the database and nothing else; what was erased is in none of the files.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import cv2
import numpy as np

from resight import Embeddings, Gallery
from resight.gallery import content
from resight.gallery.adding.thumbnails import given
from resight.gallery.vectors.scan import faiss
from seen import card, vectors

DIM, MOST = 64, 200
POINTS = vectors(MOST, DIM, people=40)
PICTURES = [
    cv2.imencode(".png", np.random.default_rng(seed).integers(0, 255, (24, 12, 3)).astype(np.uint8))[1].tobytes()
    for seed in range(MOST)
]
THUMBNAILS = [given(picture, 256, "it") for picture in PICTURES]
IDS = [content.record_id(content.of_vector(point), "north", None, None) for point in POINTS]
NAMES = ("Ann", "Bob", "Cy", "Dee")
State = dict[int, "str | None"]  # which points are there, and whose they are
Action = tuple[str, list[int], "str | None"]


def choose(state: State, luck: random.Random) -> Action:
    there, names = sorted(state), sorted({name for name in state.values() if name})
    kind = luck.choice(["add", "add", "enrol", "merge", "erase", "erase", "forget", "search", "index"])
    if kind == "merge" and len(names) > 1:
        return "merge", [], " ".join(luck.sample(names, 2))
    if kind == "forget" and names and luck.random() < 0.5:
        return "forget", [], luck.choice(names)
    if kind == "erase" and there:
        return "erase", luck.sample(there, luck.randint(1, min(20, len(there)))), None
    if kind == "enrol" and any(name is None for name in state.values()):
        unknown = [at for at in there if state[at] is None]
        return "enrol", luck.sample(unknown, min(5, len(unknown))), luck.choice(NAMES)
    if kind in ("search", "index") and there:
        return kind, luck.sample(there, 1), None
    return "add", luck.sample(range(MOST), luck.randint(1, 30)), luck.choice([None, *NAMES])


def after(state: State, action: Action) -> State:
    kind, which, name = action
    new = dict(state)
    if kind == "add":
        new |= {at: name for at in which if at not in state}
    elif kind == "enrol":
        new |= dict.fromkeys(which, name)
    elif kind == "merge":
        into, other = str(name).split()
        new = {at: into if own == other else own for at, own in state.items()}
    elif kind == "forget":
        new = {at: own for at, own in state.items() if own != name}
    elif kind == "erase":
        new = {at: own for at, own in state.items() if at not in which}
    return new


def do(gallery: Gallery, action: Action) -> None:
    kind, which, name = action
    if kind == "add":
        pictures = [PICTURES[at] for at in which]
        points = Embeddings(POINTS[which])
        gallery.add(points, cameras="north", identities=name, thumbnails=pictures, add_erased=True)
    elif kind == "enrol":
        gallery.enrol(str(name), [IDS[at] for at in which])
    elif kind == "merge":
        into, other = str(name).split()
        gallery.merge(into, [other])
    elif kind == "forget":
        gallery.erase(identity=name)
    elif kind == "erase":
        gallery.erase(ids=[IDS[at] for at in which])
    elif kind == "search":
        gallery.search(POINTS[which[0]])
    else:
        gallery.index()


def in_child(work: Callable[[Any], None]) -> tuple[int, int]:
    """Fork; the child works with a file to write to. Its process, and what to read from."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as file:
                work(file)
        except BaseException as error:  # told of where it is read
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    return child, reading


def look(uri: Path, possible: list[State]) -> int:
    """Which of the possible states the gallery is in, all of it.

    What an interrupted action was to add may be in SQLite's log until that is closed; nothing else may be left over.
    """
    with Gallery.open(uri) as gallery:
        found = {IDS.index(record.id): record.identity for record in gallery.records(limit=MOST + 1)}
        assert found in possible, "an acknowledged write is gone, or half a write is there"
        assert gallery.check().problems == (), gallery.check().problems
        gallery.verify_log()
        names = {name for name in found.values() if name}
        assert {person.name for person in gallery.identities()} == names, "a name without a record"
        ids = [IDS[at] for at in sorted(found)]
        assert np.array_equal(gallery.vectors(ids), POINTS[sorted(found)]), "a vector is not what was added"
        assert all(gallery.thumbnail(IDS[at]) == THUMBNAILS[at] for at in found), "a thumbnail is not what was added"
        for approximate in (False, True):
            hits = gallery.search_many(Embeddings(POINTS), 1, approximate=approximate)
            themselves = {at for at, some in enumerate(hits) if some and some[0].record.id == IDS[at]}
            missed = found.keys() - themselves
            assert len(missed) <= (len(found) // 20 if approximate else 0), f"a search misses {missed} {approximate}"
            assert {hit.record.id for some in hits for hit in some} <= set(ids), "a search finds what is not there"
        refuse_bytes(uri.parent, set(range(MOST)).difference(found, *possible))
    refuse_bytes(uri.parent, set(range(MOST)) - found.keys())
    return possible.index(found)


def refuse_bytes(folder: Path, gone: set[int]) -> None:
    everything = b"\0".join(file.read_bytes() for file in sorted(folder.iterdir()))
    for at in gone:
        unit = (POINTS[at].astype(np.float64) / np.linalg.norm(POINTS[at].astype(np.float64))).astype(np.float32)
        for data in (POINTS[at].tobytes(), unit.tobytes(), THUMBNAILS[at][-300:]):
            assert data[:64] not in everything and data[-64:] not in everything, "bytes of what was erased are left"


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    uri, luck = folder / "seen.db", random.Random(seed)
    faiss()  # once, not in every child
    child, _ = in_child(lambda _: Gallery.open(uri, card(DIM)).close())
    assert os.waitpid(child, 0)[1] == 0
    state: State = {}
    told = {"kills": 0, "acknowledged": 0, "interrupted": 0, "done all the same": 0}
    while told["kills"] < kills:
        start, own = dict(state), random.Random(luck.random())

        def work(out: Any, start: State = start, own: random.Random = own) -> None:
            now = start
            with Gallery.open(uri) as gallery:
                print("ready", file=out, flush=True)
                while True:
                    action = choose(now, own)
                    print(json.dumps(action), file=out, flush=True)
                    do(gallery, action)
                    print("done", file=out, flush=True)
                    now = after(now, action)

        child, reading = in_child(work)
        with os.fdopen(reading) as file:
            if luck.random() < 0.9:  # else while it opens
                assert file.readline() == "ready\n"
            time.sleep(luck.expovariate(20))
            os.kill(child, signal.SIGKILL)
            lines = [line for line in file.read().split("\n")[:-1] if line != "ready"]
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it ended by itself"
        pending: list[State] = []
        for line in lines:
            if line == "done":
                (state,), pending = pending, []
                told["acknowledged"] += 1
            else:
                kind, which, name = json.loads(line)
                pending = [after(state, (kind, which, name))]
        possible = [state, *pending]
        child, reading = in_child(lambda out, possible=possible: print(look(uri, possible), file=out))  # type: ignore[misc]
        with os.fdopen(reading) as file:
            answer = file.read().strip()
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit(f"after {told}, {lines[-2:]}")
        state = possible[int(answer)]
        told["kills"] += 1
        told["interrupted"] += len(pending)
        told["done all the same"] += int(answer)
    print(json.dumps(told))


main()
