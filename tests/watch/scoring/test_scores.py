"""HOTA, identity F1 and CLEAR against trackeval and motmetrics, whose numbers lie beside, and by hand.

``tests/reference/draw_tracking_scores.py`` wrote the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reference.tracking_cases import CASES, lines
from resight.datasets.tracklets.mot_table import MotTable, read_mot
from resight.watch.measure import Boxed
from resight.watch.scoring.challenge import boxed, score_files
from resight.watch.scoring.scores import score

GOLDEN = json.loads((Path(__file__).parents[2] / "reference" / "tracking_scores.json").read_text())
OURS = {
    **{name: name for name in ("HOTA", "DetA", "AssA", "LocA", "IDF1", "IDP", "IDR", "MOTA", "MOTP")},
    **{"IDSW": "switches", "Frag": "fragments", "CLR_FN": "missed", "CLR_FP": "wrong"},
    **{"MT": "mostly_tracked", "ML": "mostly_lost"},
    **{"idf1": "IDF1", "idp": "IDP", "idr": "IDR", "mota": "MOTA", "num_switches": "switches"},
}


def tables(case: int, folder: Path) -> tuple[MotTable, MotTable]:
    files = [folder / name for name in ("gt.txt", "found.txt")]
    for file, side in zip(files, lines(case), strict=True):
        file.write_text("\n".join(side) + "\n")
    truth, found = map(read_mot, files)
    return truth, found


@pytest.mark.parametrize("case", range(CASES))
def test_equals_trackeval_and_motmetrics(case: int, tmp_path: Path) -> None:
    ours = score_files(*tables(case, tmp_path)).numbers()
    assert 0.1 < ours["HOTA"] < 0.95 and ours["switches"] > 0
    for peer, numbers in GOLDEN[case].items():
        for name, value in numbers.items():
            assert ours[OURS[name]] == pytest.approx(value, abs=1e-6), (peer, name)


def test_several_cameras_are_one_long_sequence_for_identities(tmp_path: Path) -> None:
    """HOTA and IDF1 over cameras are those of their frames one after the other; switches are of a camera."""
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one, other = tables(0, tmp_path / "a"), tables(1, tmp_path / "b")
    both = score(*(boxed({1: a, 2: b}) for a, b in zip(one, other, strict=True)))
    later = [
        MotTable(
            side.frames + 1000,
            *(getattr(side, name) for name in ("identities", "boxes", "confidence", "classes", "visibility")),
        )
        for side in other
    ]
    frames = [
        (
            np.concatenate([a.frames, b.frames]),
            np.concatenate([a.boxes, b.boxes]),
            np.concatenate([a.identities, b.identities]),
        )
        for a, b in zip(one, later, strict=True)
    ]
    joined = score(*(Boxed.joined([(1, *parts)]) for parts in frames))
    for name in ("HOTA", "DetA", "AssA", "LocA", "IDF1"):
        assert getattr(both, name) == pytest.approx(getattr(joined, name), abs=1e-12)
    assert both.switches == score_files(*one).switches + score_files(*other).switches


BOX = np.array([[0.0, 0, 10, 10]])


def still(who: list[int], camera: int = 1) -> Boxed:
    return Boxed.joined([(camera, range(len(who)), np.repeat(BOX, len(who), 0), who)])


def test_by_hand() -> None:
    """Four frames of one person, of whom the tracker makes two: every A(c) is 2 / (4 + 2 - 2)."""
    found = score(still([1] * 4), still([7, 7, 8, 8]))
    assert (found.DetA, found.AssA, found.LocA) == pytest.approx((1, 0.5, 1))
    assert pytest.approx(np.sqrt(0.5)) == found.HOTA and found.IDF1 == 0.5
    assert (found.MOTA, found.switches, found.missed, found.wrong) == (1 - 1 / 4, 1, 0, 0)


def test_nothing_found_or_nothing_true() -> None:
    nothing = Boxed.joined([])
    missed = score(still([1, 1]), nothing)
    assert (missed.HOTA, missed.IDF1, missed.MOTA, missed.missed) == (0, 0, 0, 2)
    wrong = score(nothing, still([1, 1]))
    assert (wrong.HOTA, wrong.IDF1, wrong.wrong) == (0, 0, 2)
    both = score(nothing, nothing)
    assert (both.HOTA, both.switches, both.true) == (0, 0, 0)
