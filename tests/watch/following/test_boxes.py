"""Boxes with whole corners are counted pixel by pixel."""

import numpy as np
from numpy.typing import NDArray

from resight.watch.following.boxes import areas, common, covered, overlaps

SIDE = 24


def some(count: int, seed: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    corners = np.sort(random.integers(0, SIDE + 1, (count, 2, 2)), axis=1)
    return corners.reshape(count, 4).astype(np.float64)


def painted(box: NDArray[np.float64]) -> NDArray[np.bool_]:
    left, top, right, bottom = box.astype(int)
    image = np.zeros((SIDE, SIDE), bool)
    image[top:bottom, left:right] = True
    return image


def test_areas_and_overlaps_are_those_of_painted_pixels() -> None:
    first, second = some(30, 0), some(20, 1)
    assert np.array_equal(areas(first), [painted(box).sum() for box in first])
    for a, one in enumerate(first):
        for b, other in enumerate(second):
            both, either = (painted(one) & painted(other)).sum(), (painted(one) | painted(other)).sum()
            assert common(first, second)[a, b] == both
            assert np.isclose(overlaps(first, second)[a, b], both / either if either else 0)


def test_who_stands_nearer_hides_the_others() -> None:
    far, near, aside = [0, 0, 10, 20], [0, 10, 5, 30], [15, 0, 20, 25]
    assert covered(np.array([far, near, aside], float)).tolist() == [0.25, 0, 0]
    assert len(covered(np.zeros((0, 4)))) == 0
