"""The boxes of a video are the pixels that frames decoded by hand have there."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import SHARED
from flat import flat_model, pixels_of
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.images.decode import fit
from resight.images.film import Still
from resight.images.stream import BadImage
from resight.images.video import Video

HEIGHT, WIDTH, FRAMES = 48, 64, 30


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Thirty frames of noise of their own colours."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for seed in range(FRAMES):
        random = np.random.default_rng(seed)
        frame = random.integers(0, 176, 3) + random.integers(0, 80, (HEIGHT, WIDTH, 3))
        writer.write(frame.astype(np.uint8))
    writer.release()
    return path


def by_hand(film: Path) -> NDArray[np.uint8]:
    """(30, H, W, 3) RGB."""
    capture, frames = cv2.VideoCapture(str(film)), []
    while True:
        there, frame = capture.read()
        if not there:
            return np.stack(frames)
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def table(folder: Path, *lines: str, header: str = "frame,x,y,width,height") -> Path:
    path = folder / "boxes.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_crops_are_those_of_frames_decoded_by_hand(film: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    boxes = [
        (int(random.integers(0, FRAMES)), *random.integers(0, 30, 2).tolist(), *random.integers(1, 18, 2).tolist())
        for _ in range(50)
    ]
    video = Video(film, table(tmp_path, *(",".join(map(str, box)) for box in boxes)))
    assert len(video) == 50 and video.tracks is None and video.cameras is None
    frames = by_hand(film)
    assert len(frames) == FRAMES
    in_order = sorted(boxes, key=lambda box: box[0])
    found = Embedder(flat_model(), "torch", batch_size=7, device="cpu")(video, colour="BGR")  # a video knows its order
    crops = [frames[at, y : y + height, x : x + width] for at, x, y, width, height in in_order]
    np.testing.assert_array_equal(pixels_of(found.vectors), [fit(crop, 32, 16) for crop in crops])
    assert found.columns["frames"].tolist() == [box[0] for box in in_order]
    assert found.columns["boxes"].tolist() == [list(box[1:]) for box in in_order]
    assert found.columns["lines"].tolist() == [2 + at for at in np.argsort([box[0] for box in boxes], kind="stable")]
    assert found.identities is None and found.cameras is None and found.paths is not None
    at, *box = in_order[0]
    assert found.paths[0] == f"{film}#frame={at}&xywh={','.join(map(str, box))}"
    for start in (0, 13, 49, 50):  # going on in the middle
        rest = list(video.items(start))
        assert [item.position for item in rest] == list(range(start, 50))
        for item, crop in zip(rest, crops[start:], strict=True):
            np.testing.assert_array_equal(item.picture, crop)


def test_tracks_cameras_decimals_and_what_lies_outside(film: Path, tmp_path: Path) -> None:
    lines = "2,-5.4,-3,20.2,9.6,7,1", "2,50,40,100,100,8,1", "0,9.5,3.5,10,10,7,2"
    video = Video(film, table(tmp_path, *lines, header="frame, x, y, width, height, track, camera"))
    frames = by_hand(film)
    crops = [item.picture for item in video.items()]
    np.testing.assert_array_equal(crops[0], frames[0, 4:14, 10:20])
    np.testing.assert_array_equal(crops[1], frames[2, 0:7, 0:15])
    np.testing.assert_array_equal(crops[2], frames[2, 40:48, 50:64])
    found = Embedder(flat_model(), "torch", device="cpu")(video)
    assert found.columns["tracks"].tolist() == [7, 7, 8]
    assert found.cameras is not None and found.cameras.tolist() == [2, 1, 1]


def test_bad_boxes_are_named_by_their_line(film: Path, tmp_path: Path) -> None:
    lines = "99,0,0,9,9", "0,0,0,9,9", "1,64,0,9,9", "-1,0,0,9,9", "2,5,5,0,9", "3,1,1,9,9", "5,5,5,9,-9"
    boxes = table(tmp_path, *lines)
    bad: list[BadImage] = []
    found = Embedder(flat_model(), "torch", batch_size=2, device="cpu")(Video(film, boxes), on_error=bad.append)
    assert found.columns["lines"].tolist() == [3, 7]
    expected = {
        5: "frame -1 is not in the video",
        4: "the box 64,0,9,9 has no pixel in its frame of 64 x 48",
        6: "the box 5,5,0,9 has no pixel",
        8: "the box 5,5,9,-9 has no pixel",
        2: "frame 99 is not in the video, which has 30, the first being 0",
    }
    assert len(bad) == len(expected)
    for one, (line, reason) in zip(bad, expected.items(), strict=True):
        assert f"{boxes} line {line}: {reason}" in one.reason
    with pytest.raises(DataError, match="line 5: frame -1"):
        Embedder(flat_model(), "torch", device="cpu")(Video(film, boxes))


def test_each_frame_is_converted_once_and_crops_keep_no_frame(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[int] = []
    pixels = Still.pixels

    def counted(self: Still) -> NDArray[np.uint8]:
        converted.append(self.number)
        return pixels(self)

    monkeypatch.setattr(Still, "pixels", counted)
    boxes = [f"{frame},{x},1,8,8" for frame in (20, 3, 3, 11) for x in (1, 9)]
    items = list(Video(film, table(tmp_path, *boxes)).items())
    assert converted == [3, 11, 20] and len(items) == 8
    for item in items:
        picture = item.picture
        assert isinstance(picture, np.ndarray) and picture.base is None and picture.nbytes == 8 * 8 * 3


def test_a_real_film(tmp_path: Path) -> None:
    film = SHARED / "data" / "video" / "one-by-one-person-detection.mp4"
    if not film.is_file():
        pytest.skip(f"needs the film {film}")
    capture, frames = cv2.VideoCapture(str(film)), []
    for _ in range(12):
        there, frame = capture.read()
        assert there
        frames.append(frame[..., ::-1])
    lines = [f"{frame},{10 + frame},20,50,100" for frame in (0, 4, 5, 11)]
    items = list(Video(film, table(tmp_path, *lines)).items())
    for item, frame in zip(items, (0, 4, 5, 11), strict=True):
        np.testing.assert_array_equal(item.picture, frames[frame][20:120, 10 + frame : 60 + frame])


def test_what_is_no_video_or_no_table(film: Path, tmp_path: Path) -> None:
    good = table(tmp_path, "0,0,0,9,9")
    with pytest.raises(DataError, match=r"gone\.avi does not exist"):
        Video(tmp_path / "gone.avi", good)
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        Video(film, tmp_path / "none.csv")
    with pytest.raises(DataError, match="is not a video that FFmpeg can read"):
        list(Video(good, good).items())
    for lines, message in {
        ("0,0,0,9,9", "0,0,x,9,9"): "line 3: y is 'x': it must be a number",
        ("0,0,0,nan,9",): "line 2: width is 'nan': it must be a number",
        ("0.5,0,0,9,9",): "line 2: frame is '0.5': it must be a whole number",
        ("0,0,0,9",): r"line 2: the row has 4 cell\(s\) for 5 columns",
    }.items():
        with pytest.raises(DataError, match=message):
            Video(film, table(tmp_path, *lines))
    with pytest.raises(DataError, match="lacks 'height'"):
        Video(film, table(tmp_path, "0,0,0,9", header="frame,x,y,width"))
    with pytest.raises(DataError, match="has 'score' too many"):
        Video(film, table(tmp_path, "0,0,0,9,9,1", header="frame,x,y,width,height,score"))
