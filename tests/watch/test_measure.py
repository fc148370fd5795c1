"""Identity F1 against cases worked by hand and against trying every assignment."""

from itertools import permutations

import numpy as np
import pytest

from resight.errors import DataError
from resight.watch.measure import Boxed, identity_f1

BOX = [10.0, 10.0, 30.0, 60.0]
FAR = [100.0, 10.0, 120.0, 60.0]


def boxed(*parts: tuple[int, range, list[float], object]) -> Boxed:
    """Of (camera, frames, the same box in all of them, who)."""
    return Boxed.joined([(camera, frames, [box] * len(frames), who) for camera, frames, box, who in parts])


def test_a_track_that_changes_its_identity_halfway() -> None:
    """A is there for 10 frames, found as 1 for 6 and as 2 for 4; B for 5, found as 2: of 15 boxes 11 are right."""
    truth = boxed((1, range(10), BOX, "A"), (1, range(20, 25), FAR, "B"))
    found = boxed((1, range(6), BOX, 1), (1, range(6, 10), BOX, 2), (1, range(20, 25), FAR, 2))
    measured = identity_f1(truth, found)
    assert (measured.right, measured.wrong, measured.missed) == (11, 4, 4)
    assert measured.f1 == pytest.approx(22 / (22 + 4 + 4))
    assert (measured.true, measured.found) == (2, 2)


def test_one_identity_must_be_one_in_all_cameras() -> None:
    """Each camera is right by itself, but A is 1 in one and 2 in the other: half of the boxes are right."""
    truth = boxed((1, range(8), BOX, "A"), (2, range(8), BOX, "A"))
    found = boxed((1, range(8), BOX, 1), (2, range(8), BOX, 2))
    measured = identity_f1(truth, found)
    assert (measured.right, measured.wrong, measured.missed) == (8, 8, 8) and measured.f1 == 0.5


def test_ghosts_and_misses() -> None:
    """10 true boxes, 7 of them found, and 5 ghosts: F1 14 / (14 + 5 + 3); boxes that overlap by less are not found."""
    truth = boxed((1, range(10), BOX, "A"))
    found = boxed((1, range(7), BOX, 1), (1, range(5), FAR, 2))
    measured = identity_f1(truth, found)
    assert measured.f1 == pytest.approx(14 / 22)
    assert measured.precision == pytest.approx(7 / 12) and measured.recall == pytest.approx(7 / 10)
    shifted = [BOX[0] + 10, *BOX[1:2], BOX[2] + 10, BOX[3]]  # a third overlaps: 10 of 30 columns
    assert identity_f1(truth, boxed((1, range(10), shifted, 1))).right == 0
    assert identity_f1(truth, boxed((1, range(10), shifted, 1)), overlap=0.33).right == 10


def test_nothing_at_all() -> None:
    none, some = Boxed.joined([]), boxed((1, range(4), BOX, "A"))
    assert identity_f1(none, none).f1 == 1.0
    assert identity_f1(some, none).f1 == identity_f1(none, some).f1 == 0.0


def test_against_every_assignment() -> None:
    """The right boxes of the best of all one-to-one assignments of identities, counted with loops."""
    random = np.random.default_rng(3)
    for _ in range(20):
        places = [[20.0 * p, 0.0, 20.0 * p + 18, 40.0] for p in range(4)]
        truth, found = [], []
        for frame in range(12):
            for place in range(4):
                if random.random() < 0.8:
                    truth.append((frame, place, place))
                if random.random() < 0.8:
                    found.append((frame, place, int((place + (random.random() < 0.3)) % 4)))
        found = list({(f, who): (f, p, who) for f, p, who in found}.values())
        measured = identity_f1(
            *(Boxed.joined([(1, [f], [places[p]], who) for f, p, who in rows]) for rows in (truth, found))
        )
        right = max(
            sum((f, p) in {(g, q) for g, q, other in found if other == own[who]} for f, p, who in truth)
            for own in permutations(range(4))
        )
        assert measured.right == right
        assert measured.f1 == pytest.approx(2 * right / (len(truth) + len(found)))


def test_somebody_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(DataError, match="two boxes in one frame"):
        boxed((1, range(3), BOX, "A"), (1, range(2, 4), FAR, "A"))
