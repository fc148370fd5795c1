"""OpenVINO's person detectors with an SSD head, such as person-detection-retail-0013 (Apache-2.0).

Images are BGR, 0 to 255, stretched to the input. Each row of the output is image, label, score, left, top, right,
bottom, the last four as shares of the frame; the first row of image -1 ends the list.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from resight.errors import ModelError
from resight.watch.detectors.detector import Detections
from resight.watch.detectors.network import Network
from resight.watch.frames import Frame

LEAST = 0.1  # scores below are left out; boxes of low scores continue tracks


class Ssd:
    """A detector of people."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """People in each frame."""
        return self.network.each(frames, self._detect)

    def _detect(self, frame: Frame) -> Detections:
        height, width = self.network.shape
        small = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
        image = small[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        rows = self.network.run(image).reshape(-1, 7).astype(np.float64)
        ends = np.flatnonzero(rows[:, 0] < 0)
        rows = rows[: ends[0]] if len(ends) else rows
        rows = rows[rows[:, 2] >= LEAST]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        sides = np.array([frame.pixels.shape[1], frame.pixels.shape[0]] * 2, np.float64)
        return Detections.within(frame, rows[:, 3:] * sides, rows[:, 2], np.full(len(rows), "person"))


def opened(network: Network) -> Ssd | None:
    """The detector, if the network's output is SSD's: (1, 1, N, 7)."""
    try:
        found = network.run(np.zeros((1, 3, *network.shape), np.float32))
    except ModelError:
        return None
    return Ssd(network) if found.ndim == 4 and found.shape[3] == 7 else None
