"""``resight watch``: from videos to a gallery, in a shell."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import resight
from resight.datasets.tracklets.mot_table import read_mot, write_mot
from resight.gallery.gallery import Gallery
from resight.images.film import Film
from resight.watch import lanes as watching
from resight.watch.events import delivery
from resight.watch.frames import Frame
from watch.films import Walk, write

Shell = Callable[..., tuple[int, str, str]]
DOOR, YARD = [Walk("red", 0, 30)], [Walk("red", 5, 35)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Random weights, whose card has no threshold."""
    path = tmp_path / "model.safetensors"
    resight.load("osnet_x0_25", height=64, width=32).save(path)
    return path


def test_two_cameras(shell: Shell, tmp_path: Path, model: Path) -> None:
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", YARD)
    common = ("watch", "door.avi", "yard.avi", "--detector", ".", "-m", model, "--threshold", "0.9")
    code, out, err = shell(*common, "--start", "2026-11-21T13:30", "--camera", "A", "--camera", "B", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["tracks"] == {"A": 1, "B": 1} and found["new"] == 2 and len(found["people"]) == 2
    with Gallery.open("seen") as gallery:
        (first,) = gallery.timeline("person 1")
    assert first.time is not None and 1795267800 <= first.time < 1795267804  # 2026-11-21 13:30 UTC
    assert first.camera == "A" and first.source.startswith(f"{tmp_path / 'door.avi'}#frame=")
    code, out, err = shell(*common, "--camera", "A", "--camera", "B", "--overlap", "A,B", "-g", "other")
    assert code == 0 and "1 seen in 2 tracks (2 new records), 80 frames." in out
    assert "person 1" in out and "A, B" in out
    assert "Records of videos without --start have no time." in err and "other.db" in err


def test_once_more_adds_nothing(shell: Shell, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "door", DOOR)
    arguments = ("watch", "door.avi", "--detector", "door.csv", "--threshold", "0.9", "--start", "file")
    assert shell(*arguments, "-m", model)[0] == 0
    code, out, _ = shell(*arguments)
    assert code == 0 and "(0 new records)" in out and out.splitlines()[1].endswith(" known")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = (
        "watch",
        "../door.avi",
        "--detector",
        "../door.csv",
        "--threshold",
        "0.9",
        "--start",
        "file",
        "-g",
        "../seen",
    )
    code, out, err = shell(*again)
    assert code == 0 and "(0 new records)" in out, err


def test_scores_and_tracks(shell: Shell, tmp_path: Path, model: Path) -> None:
    write(tmp_path, "door", DOOR)
    true = [
        (frame + 1, 1, np.array([left, top, left + wide, top + tall], float))
        for frame in range(31)
        for left, top, wide, tall in [DOOR[0].box(frame)]
    ]
    write_mot(tmp_path / "gt.txt", true)
    common = ("watch", "door.avi", "--detector", "door.csv", "-m", model, "--threshold", "2")
    code, out, err = shell(*common, "--measure", "gt.txt", "--save-tracks", "saved", "--json")
    assert code == 0, err
    scores = json.loads(out)["scores"]
    assert scores["tracks"]["door"]["HOTA"] == pytest.approx(1) and scores["together"]["true"] == 1
    assert read_mot(tmp_path / "saved" / "door.txt").frames.tolist() == list(range(1, 32))
    code, out, err = shell(*common, "--measure", "gt.txt", "-g", "other")
    assert code == 0 and "door   tracks     100.0 100.0 100.0 100.0 100.0 100.0        0     1    1" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--camera", "A", "--camera", "B"], "There are 2 cameras for 1 videos"),
        (["--start", "1", "--start", "2"], "There are 2 starts for 1 videos"),
        (["--start", "soon"], "--start is 'soon'"),
        (["--overlap", "door,cellar"], "no pair of door"),
        (["--detector", "none.onnx"], "none.onnx does not exist"),
        ([], "no calibrated threshold"),
        (["--measure", "a", "--measure", "b"], "There are 2 files to measure against for 1 videos"),
        (["--name"], "leave out the videos, or leave out --name"),
    ],
)
def test_one_sentence(shell: Shell, tmp_path: Path, model: Path, options: list[str], message: str) -> None:
    write(tmp_path, "door", DOOR)
    given = options if "--detector" in options else [*options, "--detector", "door.csv"]
    code, _, err = shell("watch", "door.avi", "-m", model, *given)
    assert code == 2 and message in " ".join(err.split()) and "Traceback" not in err


def test_a_video_that_is_not_there(shell: Shell, model: Path) -> None:
    code, _, err = shell("watch", "none.avi", "-m", model, "--detector", ".", "--threshold", "1")
    assert code == 2 and "none.avi does not exist: check the path of the video." in err


def test_ctrl_c_ends_a_camera_that_never_stops(
    shell: Shell, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C the track that was going on is there, with a name, and the handlers are what they were."""
    films = watching.film_frames

    def endless(film: Film, every: int) -> Iterator[Frame]:
        frames = list(films(film, every))
        yield from frames[:24]
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            yield frames[23]

    write(tmp_path, "door", [Walk("red", 0, 35)])
    monkeypatch.setattr(watching, "film_frames", endless)
    before = signal.getsignal(signal.SIGINT)
    code, out, err = shell("watch", "door.avi", "--detector", "door.csv", "-m", model, "--threshold", "0.9", "--json")
    found = json.loads(out)
    assert code == 0 and found["stopped"] and found["people"] == ["person 1"] and found["new"] == 1
    assert "stopping; tracks are finished and named." in err and signal.getsignal(signal.SIGINT) is before
    with Gallery.open("seen") as gallery:
        assert len(gallery.timeline("person 1")) == 1


def test_a_film_that_ends_early_is_exit_code_1(shell: Shell, tmp_path: Path, model: Path) -> None:
    path = write(tmp_path, "door", [Walk("red", 0, 8)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, out, err = shell("watch", "door.avi", "--detector", ".", "-m", model, "--threshold", "0.9")
    assert code == 1 and "1 seen in 1 track (1 new record)" in out
    assert "of 40 frames were read (damaged: " in err


def test_clocks_that_differ_are_a_reason(shell: Shell, tmp_path: Path, model: Path) -> None:
    """The same person before two cameras at once: their clocks, or one place, before the threshold."""
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", DOOR)
    common = ("watch", "door.avi", "yard.avi", "--detector", ".", "-m", model, "--threshold", "0.9")
    code, out, err = shell(*common, "--start", "2026-11-21T13:30")
    assert code == 0 and out.splitlines()[-1].startswith("2 seen in 2 tracks")
    assert (
        "1 are within the threshold (1 of them seen by two cameras): check that the clocks of the cameras agree" in err
    )


def test_travel_times_are_read_and_written(shell: Shell, tmp_path: Path, model: Path) -> None:
    write(tmp_path, "door", [Walk("red", 0, 14)]), write(tmp_path, "yard", [Walk("red", 25, 39)])
    common = ("watch", "door.avi", "yard.avi", "--detector", ".", "-m", model, "--threshold", "0.9")
    table = "from,to,after,until,links\ndoor,hall,4,6,3\n"
    Path("times.csv").write_text(table)
    for _ in range(2):  # the second time nothing is new, and nothing is counted again
        code, _, err = shell(*common, "--start", "2026-11-21T13:30", "--travel-times", "times.csv")
        assert code == 0, err
        assert Path("times.csv").read_text() == table + "door,yard,1,1.5,1\n"
    Path("times.csv").write_text("nothing")
    code, _, err = shell(*common, "--travel-times", "times.csv")
    assert code == 2 and "times.csv is no table of travel times" in " ".join(err.split())


def test_what_has_no_name_is_named_later(shell: Shell, tmp_path: Path, model: Path) -> None:
    write(tmp_path, "door", DOOR)
    assert shell("watch", "door.avi", "--detector", ".", "-m", model, "--threshold", "0.9")[0] == 0
    with Gallery.open("seen") as gallery:
        gallery.split("person 1", [record.id for record in gallery.records()])
    code, out, _ = shell("watch", "--name", "--threshold", "0.9")
    assert code == 0 and out.strip() == "1 track named: 1 identity."
    code, out, _ = shell("watch", "--name", "--threshold", "0.9", "--json")
    assert code == 0 and json.loads(out)["tracks"] == 0
    code, _, err = shell("watch", "--gallery", "seen")
    assert code == 2 and "Nothing to watch" in err


def test_a_detector_has_to_be_given(shell: Shell, tmp_path: Path, model: Path) -> None:
    write(tmp_path, "door", DOOR)
    code, _, err = shell("watch", "door.avi", "-m", model, "--threshold", "0.9")
    assert code == 2 and "No detector is given: pass --detector FILE" in err and "(.xml), a YOLOX (.onnx)" in err


def test_events(shell: Shell, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard output nothing but messages; a table on standard error; what cannot be sent is announced."""
    write(tmp_path, "door", DOOR)
    common = ("watch", "door.avi", "--detector", ".", "-m", model, "--threshold", "0.9", "--start", "2026-11-21T13:30")
    dead = "http://bea:secret@127.0.0.1:9/hook"
    code, out, err = shell(*common, "--events", "-", "--events", "seen.jsonl")
    assert code == 0, err
    (line,) = out.splitlines()
    assert json.loads(line)["text"] == "person 1 at door, 2026-11-21 13:30:00Z, seen for the first time"
    assert Path("seen.jsonl").read_text() == out and "1 seen in 1 track" in err
    code, _, err = shell(*common, "--events", "-", "--json")
    assert code == 2 and "both write to standard output" in err
    with Gallery.open("seen") as gallery:
        gallery.erase(identity="person 1")
    code, _, err = shell(*common)
    assert code == 0 and "1 track not added again: erased from this gallery before" in err
    monkeypatch.setattr(delivery, "GRACE", 0.0)
    code, out, err = shell(*common, "--add-erased", "--events", dead, "--outbox", "waiting.db")
    assert code == 0 and re.search(r"1 event for http://127\.0\.0\.1:9 \([0-9a-f]{8}\) left in waiting\.db", err)
    assert "secret" not in err and "/hook" not in err
