"""Files of the MOTChallenge against each other, by its rules for what counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from resight.datasets.tracklets.mot_table import MotTable
from resight.watch.following.boxes import overlaps
from resight.watch.measure import Boxed
from resight.watch.scoring.clear import SAME
from resight.watch.scoring.moments import EPSILON
from resight.watch.scoring.scores import Scores, score

PEDESTRIAN = 1
DISTRACTORS = (2, 7, 8, 12)  # a person on a vehicle, a static person, a distractor, a reflection (MOT16 and MOT17)


def counted(truth: MotTable, found: MotTable, distractors: Sequence[int] = DISTRACTORS) -> tuple[MotTable, MotTable]:
    """What counts of both.

    Of the truth, rows with confidence 0 and, where it has classes, others than pedestrians do not count. In each frame
    true and found boxes are matched one to one; a found box whose match is a distractor counts nowhere.

    Args:
        truth, found: of one sequence.
        distractors: those of MOT16 and MOT17; MOT20 has class 6 besides.
    """
    keep = (truth.confidence != 0) & np.isin(truth.classes, (PEDESTRIAN, -1))
    drop = np.zeros(len(found), np.bool_)
    classes = np.isin(truth.classes, distractors)
    for frame in np.unique(truth.frames[classes]).tolist():
        rows, others = np.flatnonzero(truth.frames == frame), np.flatnonzero(found.frames == frame)
        overlap = overlaps(truth.boxes[rows], found.boxes[others])
        overlap[overlap < SAME - EPSILON] = 0
        left, right = linear_sum_assignment(-overlap)
        matched = overlap[left, right] > EPSILON
        drop[others[right[matched & classes[rows[left]]]]] = True
    return truth.take(keep), found.take(~drop)


def boxed(tables: Mapping[int, MotTable]) -> Boxed:
    """The boxes of several cameras, by their numbers; equal identities are one."""
    return Boxed.joined([(camera, one.frames, one.boxes, one.identities) for camera, one in tables.items()])


def score_files(truth: MotTable, found: MotTable, distractors: Sequence[int] = DISTRACTORS) -> Scores:
    """The scores of one sequence, as the MOTChallenge counts them."""
    right, own = counted(truth, found, distractors)
    return score(boxed({1: right}), boxed({1: own}))
