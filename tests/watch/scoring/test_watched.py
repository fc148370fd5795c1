"""What a watch is measured by, on rectangles whose boxes and identities are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flat import flat_model
from resight import Embedder, RecipeError
from resight.datasets.tracklets.mot_table import read_mot, write_mot
from resight.errors import DataError
from resight.gallery.gallery import Gallery
from resight.watch.detectors import open_detector
from resight.watch.scoring.watched import Kept, Measured, Tracks, read_truth
from resight.watch.watch import View, watch
from watch.films import Walk, write

START = 1_760_000_000.0
DOOR = [Walk("red", 0, 14), Walk("blue", 20, 39, left_to_right=False)]
YARD = [Walk("blue", 0, 14), Walk("red", 25, 39)]
WHO = {"red": 1, "blue": 2}


def truth(folder: Path, name: str, walks: list[Walk]) -> Path:
    rows = [
        (frame + 1, WHO[walk.colour], np.array([left, top, left + width, top + height], float))
        for walk in walks
        for frame in range(40)
        if (box := walk.box(frame))
        for left, top, width, height in [box]
    ]
    write_mot(folder / f"{name}.txt", rows)
    return folder / f"{name}.txt"


def measured(folder: Path, every: int = 1, **settings: object) -> tuple[Measured, Tracks, Gallery]:
    write(folder, "door", DOOR), write(folder, "yard", YARD)
    files = [truth(folder, "door", DOOR), truth(folder, "yard", YARD)]
    flat = flat_model()
    model = replace(flat, card=flat.card.model_copy(update={"metric": "cosine"}))
    gallery = Gallery.open(folder / "seen.db", Embedder(model, engine="torch"))
    views = [View(str(folder / f"{name}.avi"), name, START) for name in ("door", "yard")]
    tracks = Tracks()
    right = read_truth(files, views)
    settings = {"threshold": 0.1, "every": every, **settings}
    watch(views, gallery, open_detector(folder), on_track=tracks.add, **settings)  # type: ignore[arg-type]
    return tracks.measure(right, gallery, every), tracks, gallery


@pytest.mark.parametrize("every", [1, 2])
def test_all_right_is_all_ones(tmp_path: Path, every: int) -> None:
    found, tracks, gallery = measured(tmp_path, every)
    with gallery:
        for one in (*found.tracks.values(), *found.identities.values(), found.together):
            assert (one.HOTA, one.IDF1, one.MOTA, one.switches) == pytest.approx((1, 1, 1, 0))
        assert found.together.true == found.together.found == 2
        saved = tracks.save(tmp_path / "saved", ["door", "yard"], gallery)
    assert [file.name for file in saved] == ["door.txt", "yard.txt"]
    for file, true in zip(saved, ("door", "yard"), strict=True):
        ours, theirs = read_mot(file), read_mot(tmp_path / f"{true}.txt")
        seen = theirs.take((theirs.frames - 1) % every == 0)
        assert ours.frames.tolist() == seen.frames.tolist()
        np.testing.assert_allclose(ours.boxes, seen.boxes, atol=0.01)
    numbers = [set(read_mot(file).identities.tolist()) for file in saved]
    assert numbers == [{1, 2}, {1, 2}]  # each is one over both cameras


def test_one_name_for_all_is_told_by_the_identities_alone(tmp_path: Path) -> None:
    _, tracks, gallery = measured(tmp_path)
    with gallery:
        gallery.merge("person 1", ["person 2"])
        found = tracks.measure({name: read_mot(tmp_path / f"{name}.txt") for name in ("door", "yard")}, gallery)
    assert pytest.approx(1) == found.tracks["door"].HOTA
    assert pytest.approx(2 * 20 / (35 + 35)) == found.identities["door"].IDF1  # the longer of the two walks
    assert found.together.found == 1 and found.together.AssA < 0.6


def test_two_tracks_of_one_name_in_one_frame_stay_two() -> None:
    tracks = Tracks()
    frames, boxes = np.arange(1, 4), np.tile([0.0, 0, 10, 10], (3, 1))
    tracks.kept = [Kept("door", "a", frames, boxes), Kept("door", "b", frames, boxes + 50)]

    class Named:
        def get(self, ids: list[str]) -> list[object]:
            return [type("Record", (), {"id": id, "identity": "person 1"})() for id in ids]

    table = tracks.tables(["door"], Named())["door"]  # type: ignore[arg-type]
    assert len(table) == 6 and len(set(table.identities.tolist())) == 2


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR)
    door = View(str(tmp_path / "door.avi"))
    with pytest.raises(RecipeError, match=r"There are 2 files to measure against for 1 videos"):
        read_truth(["a", "b"], [door])
    with pytest.raises(RecipeError, match=r"Two videos are of one camera"):
        read_truth(["a", "b"], [door, door])
    with pytest.raises(DataError, match=r"none\.txt cannot be read"):
        read_truth([tmp_path / "none.txt"], [door])
    for text, message in (("", r"gt\.txt has no boxes"), ("41,1,2,3,4,5", r"from frame 41 on, but .* has 40 frames")):
        (tmp_path / "gt.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            read_truth([tmp_path / "gt.txt"], [door])
