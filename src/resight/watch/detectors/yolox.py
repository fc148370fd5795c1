"""YOLOX (Ge et al. 2021, Apache-2.0) exported to ONNX by its own tool: people, vehicles and 75 other kinds of COCO.

Images are BGR, 0 to 255, scaled to fit at the left upper corner, grey (114) around. Each row of the output is of one
place of three grids (steps of 8, 16 and 32 pixels): the middle relative to that place, the logarithms of width and
height, all in steps; whether there is anything; and the probability of each kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.watch.detectors.detector import Detections
from resight.watch.detectors.network import Network
from resight.watch.frames import Frame

KINDS = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich"),
    *("orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed"),
    *("dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven"),
    *("toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier"),
    "toothbrush",
)
STEPS = (8, 16, 32)
GREY = 114
LEAST = 0.1  # scores below are left out; boxes of low scores continue tracks
SAME = 0.45  # of two boxes that overlap more, the surer one stays


class Yolox:
    """A detector of COCO's kinds."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._middles, self._steps = _grid(*network.shape)

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """What is in each frame."""
        return self.network.each(frames, self._detect)

    def _detect(self, frame: Frame) -> Detections:
        image, scale = _prepared(frame, *self.network.shape)
        rows = self.network.run(image)[0].astype(np.float64)
        kinds = rows[:, 5:].argmax(axis=1)
        scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + kinds]
        likely = np.flatnonzero(scores >= LEAST)
        rows, kinds, scores, steps = rows[likely], kinds[likely], scores[likely], self._steps[likely]
        middles = (rows[:, :2] + self._middles[likely]) * steps
        halves = np.exp(rows[:, 2:4]) * steps / 2
        boxes = np.concatenate([middles - halves, middles + halves], axis=1) / scale
        corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        # Whatever its kind: a box is one thing, which a small network may take for a car and for a bus.
        kept = np.array(cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), LEAST, SAME), np.int64).reshape(-1)
        return Detections.within(frame, boxes[kept], scores[kept], np.array(KINDS)[kinds[kept]])


def opened(network: Network) -> Yolox | None:
    """The detector, if the network's output is that of YOLOX: (1, places, 5 + kinds)."""
    found = network.run(np.zeros((1, 3, *network.shape), np.float32))
    return Yolox(network) if found.shape == (1, len(_grid(*network.shape)[0]), 5 + len(KINDS)) else None


def _grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(places, 2) column and row of each place of the grids, and (places, 1) the step of its grid in pixels."""
    middles, steps = [], []
    for step in STEPS:
        y, x = np.mgrid[: height // step, : width // step]
        middles.append(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64))
        steps.append(np.full((x.size, 1), float(step)))
    return np.concatenate(middles), np.concatenate(steps)


def _prepared(frame: Frame, height: int, width: int) -> tuple[NDArray[np.float32], float]:
    """The image (1, 3, H, W), and how many of its pixels one of the frame's became."""
    rows, columns = frame.pixels.shape[:2]
    scale = min(height / rows, width / columns)
    size = (max(1, int(columns * scale)), max(1, int(rows * scale)))
    image = np.full((height, width, 3), GREY, np.float32)
    image[: size[1], : size[0]] = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_LINEAR)[..., ::-1]
    return image.transpose(2, 0, 1)[None], scale
