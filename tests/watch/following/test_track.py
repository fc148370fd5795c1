"""A track that goes on for long."""

from __future__ import annotations

import tracemalloc

import numpy as np

from resight.embedding.tracks import pool_tracks
from resight.records import Embeddings
from resight.watch.following.track import Growing, Sighting
from resight.watch.frames import Frame

PIXELS = np.zeros((200, 100, 3), np.uint8)
BOXES = np.array([[10.0, 20.0, 60.0, 150.0]])


def test_a_long_track_is_the_best_of_longer_moments_and_stays_small() -> None:
    """Twelve minutes at two frames a second: moments have become two seconds long."""
    rng = np.random.default_rng(0)
    count, dim, others = 1500, 64, 64
    qualities, vectors = rng.uniform(0.1, 1.0, count), rng.normal(size=(count, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def sighting(at: int) -> Sighting:
        rows = np.repeat(vectors[at][None], others, axis=0)  # of all that are in the frame
        boxes = np.repeat(BOXES + at % 7, others, axis=0)
        return Sighting(Frame("film", at, at / 2, PIXELS), boxes[3], rows[3], float(qualities[at]), 0.0, sure=True)

    tracemalloc.start()
    try:
        track = Growing(sighting(0), "cosine")
        for at in range(1, count):
            track.add(sighting(at))
        taken = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    ours = [tracemalloc.Filter(True, place) for place in ("*/resight/*", "*/numpy/*", __file__)]  # not other threads'
    used = sum(one.size for one in taken.filter_traces(ours).traces)
    assert used < 500 * dim * 4 + 8 * 8 * count + 2e5

    best = [max(range(at, min(at + 4, count)), key=qualities.__getitem__) for at in range(0, count, 4)]
    expected = pool_tracks(Embeddings(vectors[best]), np.zeros(len(best), np.int64), qualities[best]).vectors[0]
    ended = track.ended()
    np.testing.assert_allclose(ended.vector, expected, rtol=0, atol=1e-6)
    assert ended.frames.tolist() == list(range(count)) and ended.times[-1] == (count - 1) / 2 and ended.seen.all()
    np.testing.assert_array_equal(ended.boxes, BOXES + np.arange(count)[:, None] % 7)
