"""deep-sort-realtime with resight's embeddings: two people who pass each other keep their tracks."""

from __future__ import annotations

import numpy as np
import pytest

import resight
from flat import flat_model
from resight.errors import DataError
from resight.integrations.deep_sort import DeepSortEmbedder

deepsort = pytest.importorskip("deep_sort_realtime.deepsort_tracker", reason="needs deep-sort-realtime")


def film() -> tuple[list[np.ndarray], list[list[tuple[list[int], float, str]]]]:
    """A dark and a bright square that cross; their boxes are left, top, width, height."""
    frames, boxes = [], []
    for at in range(30):
        frame = np.full((80, 320, 3), 128, np.uint8)
        dark, bright = 10 + 8 * at, 280 - 8 * at
        frame[10:70, dark : dark + 30] = (10, 20, 120)
        frame[10:70, bright : bright + 30] = (240, 220, 90)
        frames.append(frame)
        boxes.append([([dark, 10, 30, 60], 0.9, "person"), ([bright, 10, 30, 60], 0.9, "person")])
    return frames, boxes


def test_tracks_keep_their_people() -> None:
    embedder = resight.Embedder(flat_model(16, 8), "torch", device="cpu")
    frames, boxes = film()
    tracker = deepsort.DeepSort(embedder=None, max_age=5, n_init=2)
    tracker.embedder = DeepSortEmbedder(embedder)
    seen: dict[str, set[str]] = {}
    for frame, some in zip(frames, boxes, strict=True):
        for track in tracker.update_tracks(some, frame=frame):
            apart = abs(some[0][0][0] - some[1][0][0]) > 40  # else one is painted over the other
            if apart and track.is_confirmed() and track.time_since_update == 0:
                left = int(track.to_ltrb(orig=True)[0])
                seen.setdefault(track.track_id, set()).add("dark" if frame[40, left + 15, 0] < 128 else "bright")
    assert sorted(map(sorted, seen.values())) == [["bright"], ["dark"]]


def test_what_the_tracker_is_given_is_what_resight_computes() -> None:
    embedder = resight.Embedder(flat_model(16, 8), "torch", device="cpu")
    frames, boxes = film()
    crops = deepsort.DeepSort.crop_bb(frames[0], boxes[0])[0]
    found = DeepSortEmbedder(embedder).predict(crops)
    own = embedder([crop[..., ::-1].copy() for crop in crops]).vectors
    np.testing.assert_array_equal(np.stack(found), own)
    np.testing.assert_array_equal(np.stack(DeepSortEmbedder(embedder, "RGB").predict(crops)), embedder(crops).vectors)
    assert DeepSortEmbedder(embedder).predict([]) == []
    with pytest.raises(DataError, match="detection 1 lies outside"):
        DeepSortEmbedder(embedder).predict([crops[0], np.empty((0, 5, 3), np.uint8)])
