"""supervision's detections and Roboflow's trackers: from a film to a person per track."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import resight
from flat import flat_model
from resight.embedding.tracks import pool_tracks
from resight.errors import DataError
from resight.integrations.detections import embed_detections, tracked

from .test_deep_sort import film

sv = pytest.importorskip("supervision", reason="run by tools.integrations")


@pytest.fixture(scope="module")
def embedder() -> resight.Embedder:
    return resight.Embedder(flat_model(16, 8), "torch", device="cpu")


def detections(boxes: Any) -> Any:
    xyxy = np.array([[left, top, left + width, top + height] for (left, top, width, height), _, _ in boxes], float)
    return sv.Detections(xyxy=xyxy, confidence=np.full(len(boxes), 0.9), class_id=np.zeros(len(boxes), int))


def test_each_detection_gets_its_embedding(embedder: resight.Embedder) -> None:
    frames, boxes = film()
    found = embed_detections(embedder, frames[3], detections(boxes[3]))
    crops = [frames[3][10:70, left : left + 30][..., ::-1].copy() for (left, *_), _, _ in boxes[3]]
    np.testing.assert_array_equal(found.data["embedding"], embedder(crops).vectors)
    np.testing.assert_array_equal(found[[1]].data["embedding"], found.data["embedding"][[1]])  # it travels with them
    clipped = detections([([-10, -10, 30, 60], 0.9, "person")])
    own = embedder(frames[0][0:50, 0:20][..., ::-1].copy()).vectors
    np.testing.assert_array_equal(embed_detections(embedder, frames[0], clipped).data["embedding"], own)
    with pytest.raises(DataError, match=r"Detection 0 .* has no pixel in a frame of 320x80"):
        embed_detections(embedder, frames[0], detections([([400, 0, 10, 10], 0.9, "person")]))
    empty = embed_detections(embedder, frames[0], sv.Detections.empty())
    assert empty.data["embedding"].shape[0] == 0


def test_tracks_of_a_film(embedder: resight.Embedder) -> None:
    trackers = pytest.importorskip("trackers", reason="run by tools.integrations")
    frames, boxes = film()
    tracker = trackers.ByteTrackTracker()
    seen = []
    for frame, some in zip(frames, boxes, strict=True):
        seen.append(tracker.update(embed_detections(embedder, frame, detections(some))))
    found = tracked(seen, embedder)
    assert found.fingerprint == embedder.model.card.fingerprint and (found.columns["tracks"] >= 0).all()
    one = next(some for some in seen if some.tracker_id is not None and (some.tracker_id >= 0).any())
    number = seen.index(one)
    rows = found.columns["frames"] == number
    np.testing.assert_array_equal(found.vectors[rows], one.data["embedding"][one.tracker_id >= 0])
    pooled = pool_tracks(found)
    assert len(pooled) == len(np.unique(found.columns["tracks"])) >= 2


def test_what_is_missing_is_named(embedder: resight.Embedder) -> None:
    frames, boxes = film()
    with pytest.raises(DataError, match="frame 0 have no embeddings: call embed_detections first"):
        tracked([detections(boxes[0])])
    ready = embed_detections(embedder, frames[0], detections(boxes[0]))
    with pytest.raises(DataError, match="have no ids: track them"):
        tracked([ready])
    ready.tracker_id = np.array([-1, -1])
    with pytest.raises(DataError, match="No detection has the id of a track"):
        tracked([sv.Detections.empty(), ready])
