"""``supervision.Detections``, which Roboflow's ``trackers`` and many detectors speak, to embeddings.

Shape letters: ``N`` detections, ``D`` embedding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.records import Embeddings

if TYPE_CHECKING:
    from supervision import Detections

EMBEDDING = "embedding"  # the key in ``Detections.data``


def embed_detections(
    embedder: Embedder, frame: NDArray[np.uint8], detections: Detections, *, colour: str = "BGR"
) -> Detections:
    """The detections with the embedding of each in ``data["embedding"]``, (N, D) float32.

    Args:
        embedder: of the model.
        frame: (H, W, 3) uint8, in which they were found.
        detections: boxes are clipped to the frame.
        colour: of the frame: ``BGR`` as OpenCV and supervision read it, or ``RGB``.

    Raises:
        DataError: a box that lies outside of the frame, or no such frame or colour.
    """
    crops = [_crop(frame, box, at) for at, box in enumerate(np.asarray(detections.xyxy))]
    dim = embedder.model.card.dim or 0
    vectors = embedder(crops, colour=colour).vectors if crops else np.empty((0, dim), np.float32)  # type: ignore[arg-type]
    detections.data[EMBEDDING] = np.array(vectors)
    return detections


def _crop(frame: NDArray[np.uint8], box: NDArray[Any], at: int) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    left, top, right, bottom = np.round(box).astype(int)
    left, right = np.clip((left, right), 0, width)
    top, bottom = np.clip((top, bottom), 0, height)
    if left >= right or top >= bottom:
        numbers = ", ".join(f"{side:.0f}" for side in box)
        raise DataError(
            f"Detection {at} ({numbers}) has no pixel in a frame of {width}x{height}: take it out, as in "
            "detections[detections.area > 0]."
        )
    return frame[top:bottom, left:right]


def tracked(detections: Iterable[Detections], embedder: Embedder | None = None) -> Embeddings:
    """The detections of a film, frame by frame, that have a tracker's id, as embeddings.

    Args:
        detections: of each frame in order, after :func:`embed_detections` and the tracker. A tracker gives id -1 to
            what it does not follow; this is left out.
        embedder: names model and metric in the result.

    Returns:
        The columns ``tracks`` and ``frames`` (N,), and ``boxes`` (N, 4) in pixels: left, top, right, bottom.
        :func:`resight.embedding.tracks.pool_tracks` makes one embedding per track.

    Raises:
        DataError: detections without embeddings or ids, or none that is followed.
    """
    vectors: list[NDArray[np.float32]] = []
    columns: dict[str, list[NDArray[Any]]] = {"tracks": [], "frames": [], "boxes": []}
    for number, some in enumerate(detections):
        if not len(some):
            continue
        if EMBEDDING not in some.data or some.tracker_id is None:
            missing = "embeddings: call embed_detections first" if EMBEDDING not in some.data else "ids: track them"
            raise DataError(f"The detections of frame {number} have no {missing}.")
        followed = np.flatnonzero(np.asarray(some.tracker_id) >= 0)
        vectors.append(np.asarray(some.data[EMBEDDING])[followed])
        columns["tracks"].append(np.asarray(some.tracker_id)[followed].astype(np.int64))
        columns["frames"].append(np.full(len(followed), number, np.int64))
        columns["boxes"].append(np.asarray(some.xyxy)[followed].astype(np.float32))
    if not sum(map(len, vectors)):
        raise DataError("No detection has the id of a track: a tracker needs a few frames before it gives one.")
    card = None if embedder is None else embedder.model.card
    return Embeddings(
        np.concatenate(vectors),
        columns={name: np.concatenate(parts) for name, parts in columns.items()},
        fingerprint="" if card is None else card.fingerprint,
        metric="" if card is None else card.metric,
    )
