"""The id of a record, made from what was seen: the same picture at the same time and place is the same record."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from resight.gallery.record import Box
from resight.images.decode import Pixels


def of_file(data: bytes) -> bytes:
    """The content of an image file."""
    return b"file" + hashlib.sha256(data).digest()


def of_pixels(pixels: Pixels) -> bytes:
    """The content of (H, W, 3) uint8 pixels that came without a file."""
    return b"pixels" + hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).digest()


def of_vector(vector: NDArray[np.float32]) -> bytes:
    """The content of a (D,) vector that came without a picture; zeros count without their sign."""
    return b"vector" + hashlib.sha256((vector + np.float32(0)).astype("<f4").tobytes()).digest()


def record_id(content: bytes, camera: str, time: float | None, box: Box | None) -> str:
    """32 hex digits."""
    return hashlib.sha256(content + f"{camera}\0{time!r}\0{box}".encode()).hexdigest()[:32]
