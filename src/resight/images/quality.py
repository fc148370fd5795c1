"""How much a picture has to say: its sharpness times its size."""

from __future__ import annotations

import cv2
import numpy as np

from resight.images.decode import Pixels


def quality(pixels: Pixels) -> float:
    """Sharpness times size of an (H, W, 3) uint8 picture; 0 where it is of one colour, larger is better.

    Sharpness is the mean absolute Laplacian of its grey values in 0..1: how far a pixel is from the mean of its four
    neighbours, times four. Size is the square root of H W. Noise looks sharp, and a patterned coat sharper than a plain
    one: compare pictures of one individual with it, as in a track, and by one camera.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    sharpness = np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()
    return float(sharpness * np.sqrt(grey.size))
