"""What is to be watched: names, times, and what cannot be told apart."""

from __future__ import annotations

import pickle
import time
from dataclasses import replace
from pathlib import Path

import pytest

from resight.errors import DataError, RecipeError
from resight.watch.views import View, sorted_out
from watch.films import write


@pytest.mark.parametrize(
    ("source", "shown", "camera"),
    [
        ("films/door.avi", "films/door.avi", "door"),
        ("file:///films/a%20b.mp4", "/films/a b.mp4", "a b"),
        ("rtsp://admin:secret@10.0.0.5/stream1", "rtsp://10.0.0.5/stream1", "rtsp://10.0.0.5/stream1"),
        ("http://door/cgi?user=a&pwd=secret", "http://door/cgi?user=a&pwd=***", "http://door/cgi"),
        ("0", "0", "0"),
    ],
)
def test_a_view_shows_no_password(source: str, shown: str, camera: str) -> None:
    view = View(source)
    assert (view.source, view.camera) == (shown, camera) and "secret" not in f"{view!r} {view}"
    for same in (replace(view, camera="yard"), pickle.loads(pickle.dumps(view))):
        assert same.address == view.address and (("secret" in source) == ("secret" in same.address))


def test_times_and_names_that_cannot_be() -> None:
    with pytest.raises(RecipeError, match="starts in the future"):
        View("door.avi", start=1_767_225_600_000.0)
    assert View("door.avi", start=time.time()).start and View("door.avi", start=-1e9).start
    with pytest.raises(RecipeError, match="is a live camera, which begins now"):
        View("rtsp://door/1", start=1.0)
    assert View("caf\udce9.avi").camera == "caf\\xe9"
    with pytest.raises(DataError, match="control characters"):
        View("door.avi", "do\nor")


def test_one_video_twice_and_two_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("door", "yard"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, "clip", [], frames=3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.avi").symlink_to("door/clip.avi")
    for other in ("./door/clip.avi", str(tmp_path / "door/clip.avi"), "link.avi", f"file://{tmp_path}/door/clip.avi"):
        with pytest.raises(DataError, match="is there twice"):
            sorted_out([View("door/clip.avi", "A"), View(other, "B")])
    with pytest.raises(DataError, match=r"door/clip\.avi and yard/clip\.avi would both be camera 'clip': name each"):
        sorted_out([View("door/clip.avi"), View("yard/clip.avi")])
    films, live = sorted_out([View("door/clip.avi", "A"), View("yard/clip.avi", "A")])  # two parts of one camera's day
    assert list(films.values()) == [3, 3] and not live
    films, live = sorted_out([View("door/clip.avi"), View("rtsp://nobody.invalid/1")])
    assert [view.camera for view in films] == ["clip"] and [view.source for view in live] == ["rtsp://nobody.invalid/1"]
