"""A gallery in PostgreSQL whose writer, or whose server, is killed again and again; nothing acknowledged may be lost.

    python benchmarks/cluster_kills.py                       # 200 kills, ten minutes at most
    python benchmarks/cluster_kills.py --kills 20 --deadline 60

A writer adds, names, merges, splits and erases in an order that depends on the number of the action alone, and reports
each action that returned. At random moments it is killed (SIGKILL), or the postmaster with all its children is; after a
kill of the server the writer goes on as if nothing had happened. After each kill the gallery must be exactly what the
first n actions make it, n being the number of events in its log, and n is the number of reported actions, or one more
where the writer was killed before it could report. So nothing is lost, done by half or done twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postgres_server import PostgresServer
from resight import Embeddings, Gallery
from resight.gallery import content
from seen import card, vectors

Names = dict[str, "str | None"]


def batch(number: int) -> Embeddings:
    return Embeddings(vectors(3, seed=number))


def ids_of(number: int) -> list[str]:
    return [content.record_id(content.of_vector(one), "door", None, None) for one in batch(number).vectors]


def act(gallery: Gallery, number: int) -> None:
    """Action ``number``, from 0: five kinds in turn, all about the batch that the first of five added."""
    first = number - number % 5
    ids = ids_of(first)
    match number % 5:
        case 0:
            gallery.add(batch(first), cameras="door", identities=[f"a{first}", f"b{first}", None], thumbnails=None)
        case 1:
            gallery.enrol(f"b{first}", ids[2:])
        case 2:
            gallery.merge(f"a{first}", [f"b{first}"])
        case 3:
            gallery.split(f"a{first}", ids[:1], f"c{first}")
        case 4:
            gallery.erase(identity=f"a{first}")


def after(names: Names, number: int) -> None:
    """The same on a dict."""
    first = number - number % 5
    one, two, three = ids_of(first)
    match number % 5:
        case 0:
            names |= {one: f"a{first}", two: f"b{first}", three: None}
        case 1:
            names[three] = f"b{first}"
        case 2:
            names |= {two: f"a{first}", three: f"a{first}"}
        case 3:
            names[one] = f"c{first}"
        case 4:
            del names[two], names[three]


def write(uri: str, start: int, pipe: int) -> None:
    """Act until killed, and report that the gallery is open, and then each action that returned."""
    with Gallery.open(uri) as gallery:
        os.write(pipe, b".")
        for number in range(start, sys.maxsize):
            act(gallery, number)
            os.write(pipe, b".")


def run(server: PostgresServer, kills: int, deadline: float, seed: int) -> dict[str, float]:
    draw, begun, done, names = random.Random(seed), time.monotonic(), 0, Names()
    killed = {"writer": 0, "server": 0}
    uri = server.uri()
    Gallery.open(uri, card()).close()
    while sum(killed.values()) < kills and time.monotonic() - begun < deadline:
        writer, reader = begin(uri, done)
        time.sleep(draw.uniform(0.0, 0.3))
        which = draw.choice(list(killed))
        killed[which] += 1
        if which == "server":
            server.kill()
            time.sleep(draw.uniform(0.0, 0.1))
            server.start()
            time.sleep(draw.uniform(0.0, 0.3))
            assert os.waitpid(writer, os.WNOHANG) == (0, 0), "an action failed when the server came back"
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        with os.fdopen(reader, "rb") as told:
            done = check(uri, names, done, len(told.read()))
    return {**killed, "actions": done, "seconds": round(time.monotonic() - begun, 1)}


def begin(uri: str, start: int) -> tuple[int, int]:
    """A process that writes, and what reads its reports, when its gallery is open."""
    reader, pipe = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            write(uri, start, pipe)
        except BaseException:
            traceback.print_exc()
        os._exit(1)  # only where an action failed
    os.close(pipe)
    assert os.read(reader, 1) == b"."
    return writer, reader


def check(uri: str, names: Names, done: int, reported: int) -> int:
    """How many actions are in the log now; the gallery must be what they make it."""
    with Gallery.open(uri) as gallery:
        acted = len(gallery.log(limit=10**6)) - 1  # the first event made the gallery
        assert acted - done - reported in (0, 1), f"{reported} reported, {acted - done} in the log"
        for number in range(done, acted):
            after(names, number)
        found = {record.id: record.identity for record in gallery.records(limit=10**6)}
        assert found == names, f"the gallery is not what {acted} actions make it"
        assert {person.name for person in gallery.identities()} == set(names.values()) - {None}
        gallery.verify_log()
        assert gallery.check().problems == ()
    return acted


if __name__ == "__main__":
    from deadline import add_deadline, limit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0, help="after which no other kill begins")
    parser.add_argument("--seed", type=int, default=0)
    add_deadline(parser, 3600)
    options = parser.parse_args()
    limit(options.seconds + options.deadline)
    database = PostgresServer(fsync="on", full_page_writes="on")
    try:
        print(json.dumps(run(database, options.kills, options.seconds, options.seed)))
    finally:
        database.close()
