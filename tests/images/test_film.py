"""Films are read to their end whatever is damaged in them, at the times that are in them, and upright."""

from __future__ import annotations

import os
import shutil
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from resight.errors import DataError
from resight.images.film import Film

RATE, FRAMES, GROUP = 10, 60, 10  # frames a second, frames, frames from one that stands alone to the next
HEIGHT, WIDTH = 48, 80
Pixels = NDArray[np.uint8]


def picture(number: int) -> Pixels:
    """A noisy grey frame whose mean says which it is, with a red corner at the left and a green one at the right."""
    noise = np.random.default_rng(number).integers(-15, 16, (HEIGHT, WIDTH, 1))
    pixels = np.repeat(20 + 3 * number + noise, 3, axis=2).astype(np.uint8)
    pixels[:16, :16], pixels[:16, -16:] = (255, 0, 0), (0, 255, 0)
    return pixels


def write(path: Path, times: Sequence[float] | None = None, turn: int = 0, frames: int = FRAMES) -> Path:
    """An H.264 film with B-frames; its frames at ``times``, or one every tenth of a second."""
    base = Fraction(1, RATE if times is None else 1000)
    with av.open(str(path), "w", options={"cluster_time_limit": "1000"}) as film:
        stream = film.add_stream("libx264", rate=RATE, options={"g": str(GROUP), "bf": "2", "crf": "5"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = base
        if turn:
            stream.set_display_rotation(turn)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round((number / RATE if times is None else times[number]) / base), base
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def read(path: Path | str) -> tuple[Film, list[tuple[int, float, int]]]:
    """The film after it was read, and of each frame number, time, and the number that its brightness says."""
    film = Film(path)
    found = [(one.number, one.time, round((float(one.pixels()[20:, 20:-20].mean()) - 20) / 3)) for one in film]
    film.close()
    return film, found


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi"])
def test_a_sound_film_has_all_frames_at_their_times(tmp_path: Path, ending: str) -> None:
    film, found = read(write(tmp_path / f"film.{ending}"))
    assert [number for number, _, _ in found] == [shown for _, _, shown in found] == list(range(FRAMES))
    assert np.allclose([time for _, time, _ in found], np.arange(FRAMES) / RATE, atol=1e-3)
    assert (film.read, film.lost, film.short, film.trouble()) == (FRAMES, 0, 0, "")
    assert film.count in (0, FRAMES) and film.seconds == pytest.approx(FRAMES / RATE, abs=0.2)


def test_frames_are_those_of_opencv(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4")
    capture = cv2.VideoCapture(str(path))
    for one in Film(path):
        there, frame = capture.read()
        assert there and np.array_equal(one.pixels(), frame[..., ::-1])


def damaged(path: Path, ending: str) -> Path:
    """The film with some bytes of its middle lost."""
    write(path.with_suffix(f".{ending}"))
    data = bytearray(path.with_suffix(f".{ending}").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.with_suffix(f".{ending}").write_bytes(data)
    return path.with_suffix(f".{ending}")


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_a_damaged_spot_ends_nothing_and_moves_nothing(tmp_path: Path, ending: str) -> None:
    """What follows the damage is read, under its own number and time; what is lost is counted."""
    film, found = read(damaged(tmp_path / "film", ending))
    assert found[-1][0] == FRAMES - 1 and 0 < film.lost < FRAMES / 2 and not film.short
    assert film.read + film.lost == FRAMES and film.read == len(found)
    for number, time, shown in found[:GROUP] + found[-GROUP:]:  # between, the decoder may show old frames again
        assert number == shown and time == pytest.approx(number / RATE, abs=1e-3)
    assert f"{film.read} of {FRAMES} frames were read (damaged: {film.lost}" in film.trouble()


def test_matroska_goes_on_after_damage_at_the_right_time(tmp_path: Path) -> None:
    """It leaves out whole seconds, and does not say how many frames these had."""
    _, found = read(damaged(tmp_path / "film", "mkv"))
    assert FRAMES / 2 < len(found) < FRAMES
    for _, time, shown in found[:GROUP] + found[-GROUP // 2 :]:
        assert time == pytest.approx(shown / RATE, abs=1e-3)


def test_a_film_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for number in range(FRAMES):
        writer.write(picture(number))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    film, found = read(path)
    assert 20 < film.read < 40 and film.read + film.lost + film.short == FRAMES and film.short > 15
    assert [number for number, _, _ in found] == list(range(film.read))
    assert f"missing at the end: {film.short}" in film.trouble()


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_hole_of_hours_bends_no_later_time(tmp_path: Path, ending: str) -> None:
    times = [number / RATE + (7200 if number >= 30 else 0) for number in range(FRAMES)]
    film, found = read(write(tmp_path / f"film.{ending}", times))
    assert [number for number, _, _ in found] == list(range(FRAMES)) and not film.trouble()
    assert np.allclose([time for _, time, _ in found], times, atol=2e-3)


def test_frames_of_one_time_follow_each_other(tmp_path: Path) -> None:
    """A film whose frames all have the time 0."""
    path, base = tmp_path / "film.mkv", Fraction(1, 1000)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.time_base = WIDTH, HEIGHT, "yuvj420p", base
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number, base
            for packet in stream.encode(frame):
                packet.pts = packet.dts = 0
                film.mux(packet)
    opened, found = read(path)
    assert len(found) == FRAMES and not opened.trouble()
    np.testing.assert_allclose(np.diff([time for _, time, _ in found]), 1 / opened.rate, rtol=1e-6)


def test_times_that_no_camera_has_are_told_of(tmp_path: Path) -> None:
    """All frames within 59 milliseconds; 250 a second are nothing odd."""
    film, found = read(write(tmp_path / "film.mp4", [number / 1000 for number in range(FRAMES)]))
    assert len(found) == FRAMES and "its 60 frames took 0.059 s, as with no camera" in film.trouble()
    assert not read(write(tmp_path / "fast.mp4", [number / 250 for number in range(FRAMES)]))[0].trouble()


def test_times_that_begin_anew_go_on(tmp_path: Path) -> None:
    """Two films that were joined byte by byte, as transport streams may be."""
    parts = [write(tmp_path / f"{name}.ts", frames=20).read_bytes() for name in ("one", "two")]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    film, found = read(tmp_path / "both.ts")
    assert film.read + film.lost == 40 and film.lost <= 10
    assert [shown for _, _, shown in found[:17] + found[-10:]] == [*range(17), *range(10, 20)]
    numbers, times = np.array([one[0] for one in found]), np.array([one[1] for one in found])
    assert (np.diff(numbers) > 0).all() and (np.diff(times) > 0).all()
    assert numbers[-1] == 39 and np.allclose(np.diff(times[-10:]), 1 / RATE) and 3.0 < times[-1] < 4.1


@pytest.mark.parametrize(("turn", "red", "green"), [(90, "bl", "tl"), (180, "br", "bl"), (-90, "tr", "br")])
def test_films_are_turned_upright(tmp_path: Path, turn: int, red: str, green: str) -> None:
    """Turned anticlockwise by so many degrees; the corners (top or bottom, left or right) show it."""
    path = write(tmp_path / "film.mp4", turn=turn, frames=3)
    pixels = next(iter(Film(path))).pixels()
    assert pixels.shape[:2] == ((WIDTH, HEIGHT) if turn % 180 else (HEIGHT, WIDTH))
    for corner, channel in ((red, 0), (green, 1)):
        spot = pixels[4 if corner[0] == "t" else -4, 4 if corner[1] == "l" else -4].astype(int)
        assert spot[channel] > 200 and np.delete(spot, channel).max() < 60
    assert np.array_equal(pixels, cv2.VideoCapture(str(path)).read()[1][..., ::-1])


@pytest.mark.parametrize("name", [b"t\xfcr.mp4", b"rtsp:x.mp4", b"a%20b %d.mp4", b"concat:x|y.mp4"])
def test_any_name_is_the_name_of_a_file(tmp_path: Path, name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(write(tmp_path / "film.mp4", frames=5), path := tmp_path / os.fsdecode(name))
    monkeypatch.chdir(tmp_path)
    for source in (path, path.name):
        assert Film(source).count == 5


def test_an_address_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "a b.mp4", frames=5)
    assert Film(f"file://{tmp_path}/a%20b.mp4").count == 5


def test_what_is_no_film(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    (tmp_path / "text.mp4").write_text("no video")
    for source, message in {
        tmp_path: "is a folder, not a video",
        tmp_path / "none.mp4": "does not exist: check the path of the video",
        tmp_path / "text.mp4": "is not a video that FFmpeg can read",
        tmp_path / "sound.wav": "has no pictures, only sound",
        "http://u:secret@127.0.0.1:1/a.mp4": r"^http://127\.0\.0\.1:1/a\.mp4 does not answer \(Connection refused",
        "99": "The camera 99 does not answer",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            Film(source)
        assert "secret" not in str(caught.value)
