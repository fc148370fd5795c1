"""Pictures that show the same: saved again, resized, brightened, blurred or mirrored, so that their bytes differ.

Each picture is shrunk to 16 x 8 pixels, and two are near copies where these correlate by 0.985 or more, each channel
about its own mean. In Market-1501 no two images of different people or cameras reach 0.97, while JPEG at quality 30,
half the size, noise or blur leave most above 0.99. Letters: N images, P pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 16, 8
SAME = 0.985  # correlation
FLAT = 12  # of 255: a picture whose shrunk pixels differ less in every channel shows nothing that could be compared
_NEIGHBOURS = 8
_COMPONENTS = 12
_CHUNK = 65_536


def near_copies(thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs (P, 2) of near copies among N pictures; of many copies of one picture, each is paired with some others.

    Args:
        thumbnails: (N, 16, 8, 3). Flat ones have no copies.
    """
    from scipy.spatial import KDTree

    shown = np.flatnonzero(contrast(thumbnails) >= FLAT)
    if len(shown) < 2:
        return np.empty((0, 2), np.int64)
    axes = _axes(thumbnails[shown])
    near: Any = KDTree(_projected(thumbnails[shown], axes))  # type: ignore[no-untyped-call]
    pairs = []
    for mirrored in (False, True):
        asked = thumbnails[shown][:, :, ::-1] if mirrored else thumbnails[shown]
        count = min(_NEIGHBOURS, len(shown))
        limit = np.sqrt(2 * (1 - SAME))  # of unit vectors; a projection never makes a distance longer
        _, found = near.query(_projected(asked, axes), k=count, distance_upper_bound=limit)
        left, right = np.repeat(np.arange(len(shown)), count), np.reshape(found, -1)
        other = (right < len(shown)) & (right != left)
        left, right = left[other], right[other]
        same = _correlation(asked, thumbnails[shown], left, right) >= SAME
        pairs.append(np.sort(np.stack([shown[left[same]], shown[right[same]]], axis=1), axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How far apart the greatest and the least value of each picture's most varied channel are, (N,)."""
    values = thumbnails.reshape(-1, HEIGHT * WIDTH, 3).astype(np.int64)
    apart: NDArray[np.int64] = (values.max(axis=1) - values.min(axis=1)).max(axis=1)
    return apart


def groups(pairs: NDArray[np.int64], count: int) -> list[list[int]]:
    """What the pairs connect among ``count`` images: groups of two or more, each ascending."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix(  # type: ignore[no-untyped-call]
        (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count)
    )
    label = connected_components(graph, directed=False)[1]
    images = np.unique(pairs)
    by_group: dict[int, list[int]] = {}
    for image in images.tolist():
        by_group.setdefault(int(label[image]), []).append(image)
    return list(by_group.values())


def _unit(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 384) of length 1, each channel of mean 0, so that the product of two is their correlation."""
    values = thumbnails.reshape(len(thumbnails), HEIGHT * WIDTH, 3).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    flat = values.reshape(len(values), -1)
    unit: NDArray[np.float32] = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return unit


def _axes(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(12, 384) orthonormal directions in which a sample of the pictures differs most."""
    some = _unit(thumbnails[:: max(1, len(thumbnails) // 4096)])
    axes: NDArray[np.float32] = np.linalg.svd(some, full_matrices=False)[2][:_COMPONENTS]
    return axes


def _projected(thumbnails: NDArray[np.uint8], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    starts = range(0, len(thumbnails), _CHUNK)
    return np.concatenate([_unit(thumbnails[start : start + _CHUNK]) @ axes.T for start in starts])


def _correlation(
    asked: NDArray[np.uint8], among: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(P,) of the pictures at ``left`` with those at ``right``."""
    found = np.empty(len(left), np.float32)
    for start in range(0, len(left), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = np.einsum("pd,pd->p", _unit(asked[left[part]]), _unit(among[right[part]]))
    return found
