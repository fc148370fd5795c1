"""Threads that share one gallery and one embedder; every answer must be the one that a single thread gets.

A script of its own, for a short test and for an hour: ``python many_threads.py FOLDER SECONDS SEED``; prints JSON.
Searches by picture, by embedding, filtered, re-ranked and of many queries go on while another thread adds,
names and erases records that no search can confuse with the others: these lie far away, and are of other cameras.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import resight
from flat import flat_model
from resight.gallery.record import Filter

HEIGHT, WIDTH = 8, 4
DIM, RECORDS, QUESTIONS = 3 * HEIGHT * WIDTH, 3000, 60
READERS = 4


def embed(gallery: resight.Gallery, several: np.ndarray) -> bytes:
    pictures = several.astype(np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
    return gallery.embedder(list(pictures)).vectors.tobytes()


def questions(gallery: resight.Gallery, draw: np.random.Generator) -> list[Callable[[], Any]]:
    """Different searches, each a function that asks it anew."""
    near = Filter(exclude_cameras=("far",))
    found: list[Callable[[], Any]] = []
    for at in range(QUESTIONS):
        vector = draw.integers(0, 256, DIM).astype(np.float32)
        several = draw.integers(0, 256, (25, DIM)).astype(np.float32)
        picture = draw.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        camera = Filter(cameras=(f"camera {at % 5}",))
        found += [
            lambda vector=vector: gallery.search(vector, 7, near),
            lambda vector=vector: gallery.search(vector, 20, near, rerank=resight.KReciprocal()),
            lambda vector=vector, camera=camera: gallery.search(vector, 5, camera),
            lambda several=several: gallery.search_many(several, 3, near),
            lambda picture=picture: gallery.search(picture, 5, near),
            lambda camera=camera: gallery.count(camera),
            lambda at=at: gallery.timeline(f"person {at % 9}"),
            lambda several=several: embed(gallery, several),
        ]
    return found


def main(folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    embedder = resight.Embedder(flat_model(HEIGHT, WIDTH), "torch", batch_size=8)
    asked, wrong, changes = itertools.count(), [], 0
    with resight.Gallery.open(folder / "seen", embedder) as gallery:
        some = draw.integers(0, 256, (RECORDS, DIM)).astype(np.float32)
        gallery.add(
            resight.Embeddings(some),
            cameras=[f"camera {at % 5}" for at in range(RECORDS)],
            identities=[f"person {at % 9}" if at % 3 else None for at in range(RECORDS)],
            times=[1.8e9 + at for at in range(RECORDS)],
        )
        ask = questions(gallery, draw)
        right = [one() for one in ask]
        stop = time.monotonic() + seconds

        def reader(number: int) -> None:
            order = random.Random(seed + number)
            while time.monotonic() < stop and not wrong:
                at = order.randrange(len(ask))
                try:
                    same = ask[at]() == right[at]
                except Exception as error:
                    wrong.append(f"{at}: {error!r}")
                    return
                next(asked)
                if not same:
                    wrong.append(f"question {at} had another answer")

        threads = [threading.Thread(target=reader, args=(number,)) for number in range(READERS)]
        for thread in threads:
            thread.start()
        while time.monotonic() < stop and not wrong:  # meanwhile others come and go, far away
            far = draw.integers(0, 256, (40, DIM)).astype(np.float32) + 5000
            ids = gallery.add(resight.Embeddings(far), cameras="far").ids
            gallery.enrol(f"far {changes}", ids[:5])
            gallery.erase(ids=ids)
            changes += 1
        for thread in threads:
            thread.join()
        problems = gallery.check().problems
        records = len(gallery)
    if wrong or problems or records != RECORDS:
        raise SystemExit(f"seed {seed}: {wrong[:3]} {problems} {records}")
    return {"seconds": round(seconds), "threads": READERS, "answers": next(asked), "changes": changes}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
