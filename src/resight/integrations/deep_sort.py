"""resight as the embedder of ``deep-sort-realtime``.

Shape letters: ``N`` crops, ``D`` embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.embedding.embedder import Embedder
from resight.errors import DataError


class DeepSortEmbedder:
    """What ``DeepSort`` calls for the appearance of its detections: ``DeepSort(embedder=None)``, then assign it.

    Args:
        embedder: of the model. DeepSort compares by cosine; its ``max_cosine_distance`` is a distance of this model
            (``embedder.model.card.threshold`` where the model is calibrated for the cosine).
        colour: of the frames: ``BGR`` as OpenCV reads them, or ``RGB``.
    """

    def __init__(self, embedder: Embedder, colour: str = "BGR") -> None:
        self.embedder, self.colour = embedder, colour

    def predict(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """N embeddings (D,) of crops (H, W, 3) uint8.

        Raises:
            DataError: a crop without pixels, from a box outside of the frame.
        """
        empty = [at for at, crop in enumerate(crops) if not crop.size]
        if empty:
            raise DataError(f"The box of detection {empty[0]} lies outside of the frame: leave such boxes out.")
        return list(self.embedder(list(crops), colour=self.colour).vectors) if crops else []  # type: ignore[arg-type]
