"""``resight watch``: from videos to a gallery, in a shell."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import resight
from resight.gallery.gallery import Gallery
from resight.images.film import Film
from resight.watch import lanes as watching
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
    assert first.camera == "A" and first.source.startswith("door.avi#frame=")
    code, out, err = shell(*common, "--camera", "A", "--camera", "B", "--overlap", "A,B", "-g", "other")
    assert code == 0 and "1 seen in 2 tracks (2 new records), 80 frames." in out
    assert "person 1" in out and "A, B" in out
    assert "Records of videos without --start have no time." in err and "other.db" in err


def test_once_more_adds_nothing(shell: Shell, tmp_path: Path, model: Path) -> None:
    write(tmp_path, "door", DOOR)
    arguments = ("watch", "door.avi", "--detector", "door.csv", "--threshold", "0.9", "--start", "file")
    assert shell(*arguments, "-m", model)[0] == 0
    code, out, _ = shell(*arguments)
    assert code == 0 and "(0 new records)" in out and out.splitlines()[1].endswith(" known")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--camera", "A", "--camera", "B"], "There are 2 cameras for 1 videos"),
        (["--start", "1", "--start", "2"], "There are 2 starts for 1 videos"),
        (["--start", "soon"], "--start is 'soon'"),
        (["--overlap", "door,cellar"], "no pair of door"),
        (["--detector", "none.onnx"], "none.onnx does not exist"),
        ([], "no calibrated threshold"),
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
