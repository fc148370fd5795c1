"""Detectors: their outputs decoded by hand, and what the real ones find in the real clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import SHARED
from resight.errors import DataError, ModelError
from resight.watch.detectors import open_detector
from resight.watch.detectors.detector import Detections
from resight.watch.detectors.ssd import Ssd
from resight.watch.detectors.tables import Tables
from resight.watch.detectors.yolox import KINDS, Yolox
from resight.watch.frames import Frame, read_frames
from watch.films import Walk, write

WEIGHTS, CLIPS = SHARED / "weights", SHARED / "data" / "video"


def frame(height: int = 100, width: int = 200) -> Frame:
    rows = np.arange(height, dtype=np.uint8)[:, None, None] * np.ones((1, width, 3), np.uint8)
    return Frame("film.mp4", 0, 0.0, np.ascontiguousarray(rows + np.array([0, 50, 100], np.uint8)))


class Fake:
    """A network that remembers what it was shown and says what it is told to say."""

    def __init__(self, shape: tuple[int, int], says: NDArray[np.float32]) -> None:
        self.shape, self.says, self.shown = shape, says, []

    def run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        self.shown.append(image)
        return self.says

    def each(self, frames: Any, detect: Any) -> list[Detections]:
        return [detect(one) for one in frames]


def test_ssd_rows_become_boxes_in_pixels() -> None:
    """The surer first; doubtful ones, and all after the end of the list, are left out; boxes end at the edge."""
    rows = [
        [0, 1, 0.6, 0.1, 0.2, 0.3, 0.9],
        [0, 1, 0.9, 0.5, -0.1, 0.7, 1.2],
        [0, 1, 0.05, 0.0, 0.0, 0.5, 0.5],
        [-1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0.9, 0.0, 0.0, 0.5, 0.5],
    ]
    fake = Fake((40, 60), np.array(rows, np.float32)[None, None])
    (found,) = Ssd(fake)([frame()])  # type: ignore[arg-type]
    assert np.allclose(found.boxes, [[100, 0, 140, 100], [20, 20, 60, 90]], atol=1e-4)
    assert np.allclose(found.scores, [0.9, 0.6]) and found.kinds.tolist() == ["person", "person"]
    shown = fake.shown[0]
    assert shown.shape == (1, 3, 40, 60) and shown.max() > 150  # 0 to 255
    assert np.allclose(shown[0, 0] - shown[0, 2], 100, atol=1)  # blue first


def test_yolox_rows_become_boxes_in_pixels() -> None:
    """A box of 40 x 80 pixels around (100, 60) of the frame, told at the place of the coarsest grid next to it."""
    height, width = 64, 128  # one pixel of the frame is 0.64 of the network's
    places = [(step, x, y) for step in (8, 16, 32) for y in range(height // step) for x in range(width // step)]
    rows = np.zeros((1, len(places), 5 + len(KINDS)), np.float32)
    step, x, y = places[at := places.index((32, 2, 1))]
    rows[0, at, :4] = 100 * 0.64 / step - x, 60 * 0.64 / step - y, np.log(40 * 0.64 / step), np.log(80 * 0.64 / step)
    rows[0, at, 4], rows[0, at, 5 + KINDS.index("person")] = 0.9, 0.8
    rows[0, at + 1] = rows[0, at]  # the same box once more, not quite as sure, and as something else
    rows[0, at + 1, 0] -= 1
    rows[0, at + 1, 4], rows[0, at + 1, 5:], rows[0, at + 1, 5 + KINDS.index("bench")] = 0.7, 0, 0.8
    rows[0, 5, 4], rows[0, 5, 5] = 0.3, 0.3  # doubtful
    fake = Fake((height, width), rows)
    (found,) = Yolox(fake)([frame()])  # type: ignore[arg-type]
    assert np.allclose(found.boxes, [[80, 20, 120, 100]], atol=1e-4)
    assert found.kinds.tolist() == ["person"] and np.allclose(found.scores, 0.72)
    shown = fake.shown[0]
    assert shown.shape == (1, 3, 64, 128)
    assert np.allclose(shown[0, 0] - shown[0, 2], 100, atol=1)  # blue first; the frame fills all but nothing here
    (tall,) = [Yolox(fake)([frame(128, 64)]), fake.shown[-1]][1:]
    assert (tall[0, :, :, 33:] == 114).all()  # grey to the right of what is tall


def test_boxes_of_a_table(tmp_path: Path) -> None:
    film = write(tmp_path, "door", [Walk("red", 2, 9), Walk("blue", 5, 9, top=50)], frames=10)
    frames = list(read_frames(film))
    for place in (tmp_path / "door.csv", tmp_path):
        found = open_detector(place)(frames)
        assert [len(one) for one in found] == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
        assert found[2].boxes.tolist() == [[4, 40, 28, 100]] and found[2].kinds.tolist() == ["person"]
    write(tmp_path, "hall", [], frames=3)
    assert [len(one) for one in open_detector(tmp_path)(list(read_frames(tmp_path / "hall.avi")))] == [0, 0, 0]
    film.rename(tmp_path / "yard.avi")
    with pytest.raises(DataError, match=r"yard\.csv does not exist: put a table"):
        Tables(tmp_path)(list(read_frames(tmp_path / "yard.avi")))
    with pytest.raises(DataError, match="boxes of videos, not of the camera"):
        Tables(tmp_path)([Frame("rtsp://door", 0, 0.0, frames[0].pixels)])


HEADER = "frame,x,y,width,height\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "line 1: the header lacks 'frame'"),
        ("1,1,10,20,24,60,1,-1,-1,-1\n", "line 1: the header lacks 'frame'"),
        (HEADER + "3,1,1,9,9\n5,10,20,-24,60\n", r"line 3: the box is -24 x 60: both must be above 0"),
        (HEADER + "5,nan,20,24,60\n", "line 2: x is 'nan': it must be a number"),
        (HEADER + "500,10,20,24,60\n", r"has boxes from frame 500 on, but door\.avi has 40 frames"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "boxes.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        Tables(tmp_path / "boxes.csv").check({"door.avi": 40})


def test_one_table_for_two_videos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.csv").write_text(HEADER + "5,10,20,24,60\n")
    for place, films in (
        (tmp_path / "clip.csv", {"door.avi": 40, "yard.avi": 40}),
        (tmp_path, {"door/clip.avi": 40, "yard/clip.avi": 40}),
    ):
        with pytest.raises(DataError, match=r"clip\.csv would be the table of both door.* and yard"):
            Tables(place).check(films)
    with pytest.raises(DataError, match="boxes of videos, not of the camera http://door/1"):
        Tables(tmp_path).check({}, ["http://door/1"])


def test_boxes_of_no_use_are_counted(tmp_path: Path) -> None:
    film = write(tmp_path, "door", [], frames=10)
    (tmp_path / "door.csv").write_text(HEADER + "2,10,20,24,60\n3,500,20,24,60\n4,180,100,90,90\n12,10,20,24,60\n")
    tables = Tables(tmp_path)
    found = tables(list(read_frames(film)))
    assert [len(one) for one in found] == [0, 0, 1, 0, 1, 0, 0, 0, 0, 0]
    assert found[4].boxes.tolist() == [[180, 100, 200, 120]]  # clipped to the frame
    assert "of 4 boxes 1 are of frames after its end and 1 are outside the frame" in tables.trouble(str(film), 10)


def test_files_that_are_no_detectors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        open_detector(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="does not exist"):
        open_detector(tmp_path / "none.csv")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelError, match="cannot be read as a model"):
        open_detector(tmp_path / "text.onnx")
    (tmp_path / "lone.xml").write_text("<net/>")
    with pytest.raises(ModelError, match=r"lone\.bin does not exist"):
        open_detector(tmp_path / "lone.xml")
    (tmp_path / "yolov8n.pt").write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"yolov8n\.pt cannot be read as a detector: pass an OpenVINO person detector"):
        open_detector(tmp_path / "yolov8n.pt")
    (tmp_path / "mot.txt").write_text("1,1,10,20,24,60,1,-1,-1,-1\n")
    with pytest.raises(ModelError, match="write its boxes as CSV with the header frame,x,y,width,height"):
        open_detector(tmp_path / "mot.txt")


def test_a_network_for_something_else_is_no_detector() -> None:
    embeds = WEIGHTS / "osnet_x0_25_msmt17.onnx"
    if not embeds.is_file():
        pytest.skip(f"needs {embeds}")
    with pytest.raises(ModelError, match=r"is not a known kind of detector|must take one image"):
        open_detector(embeds)


def frames_of(name: str, *numbers: int) -> list[Frame]:
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"needs the clip {path}")
    frames = []
    for one in read_frames(path):
        if one.number in numbers:
            frames.append(one)
        if one.number >= max(numbers):
            return frames
    raise AssertionError("the clip is too short")


def weights(name: str) -> Path:
    if not (WEIGHTS / name).is_file():
        pytest.skip(f"needs the detector {WEIGHTS / name}")
    return WEIGHTS / name


def test_the_person_detector_on_real_people() -> None:
    """Somebody at a table whom anybody can see, and the empty room before."""
    frames = frames_of("one-by-one-person-detection.mp4", 10, 150)
    empty, found = open_detector(weights("openvino/person-detection-retail-0013.FP32.xml"))(frames)
    assert not len(empty)
    assert len(found) == 1 and found.scores[0] > 0.8
    assert np.allclose(found.boxes, [[390, 15, 513, 408]], atol=25)


def test_yolox_on_real_cars() -> None:
    """Seen from above it takes cars for telephones: boxes are right, kinds are not to be relied on."""
    frames = frames_of("car-detection.mp4", 10, 84, 204)
    empty, one, two = open_detector(weights("yolox_nano.onnx"))(frames)
    assert not len(empty) and len(one) == 1 and len(two) == 2
    assert np.allclose(one.boxes, [[274, 34, 427, 275]], atol=15)
    assert "car" not in one.kinds
