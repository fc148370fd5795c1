"""Which frames make a clip, against loops written from the descriptions."""

from __future__ import annotations

import numpy as np
import pytest

from resight.errors import RecipeError
from resight.images.clips import clips_of, groups_of, random_frames

LENGTHS = pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 9, 30])


@LENGTHS
def test_random_frames_are_one_of_each_chunk(length: int) -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(300):
        found = random_frames(length, 4, rng).tolist()
        assert found == sorted(found) and found[0] >= 0 and found[-1] < length
        seen |= set(enumerate(found))
    for chunk in range(4):  # every frame of each chunk comes at some time, and no other
        inside = set(range(chunk * length // 4, (chunk + 1) * length // 4)) or {min(chunk * length // 4, length - 1)}
        assert {frame for at, frame in seen if at == chunk} == inside


@LENGTHS
def test_first_evenly_and_dense(length: int) -> None:
    evenly, first, dense = (clips_of(length, 4, how).tolist() for how in ("evenly", "first", "dense"))
    if length >= 4:
        cut = length - length % 4
        assert evenly == [list(range(0, cut, cut // 4))]  # torchreid's numpy.arange
        assert first == [[int(chunk[0]) for chunk in [range(i * length // 4, (i + 1) * length // 4) for i in range(4)]]]
    else:
        assert evenly == first == [[*range(length), *[length - 1] * (4 - length)]]
    plain = list(range(length))
    while len(plain) % 4:
        plain.append(length - 1)
    assert dense == [plain[start : start + 4] for start in range(0, len(plain), 4)]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(RecipeError, match="no sampling 'some': choose one of evenly, first, dense"):
        clips_of(3, 2, "some")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="A clip of 0 frames of 3"):
        clips_of(3, 0)


def test_groups_keep_the_order_of_images() -> None:
    assert [group.tolist() for group in groups_of(np.array([5, 2, 5, 2, 9]))] == [[1, 3], [0, 2], [4]]
    assert groups_of(np.empty(0, np.int64)) == []
