"""Live cameras: none waits for another one, the newest frames win, and a camera that is lost is opened again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flat import flat_model
from resight import Embedder
from resight.errors import DataError, RecipeError
from resight.gallery.gallery import Gallery
from resight.images import film as films
from resight.watch import cameras as module
from resight.watch import keeping
from resight.watch.cameras import Camera
from resight.watch.detectors.detector import Detections
from resight.watch.frames import Frame, count_frames, read_frames
from resight.watch.watch import View, Watched, watch
from watch.cameras import Door, door


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    flat = flat_model()
    model = replace(flat, card=flat.card.model_copy(update={"metric": "cosine"}))
    return Gallery.open(tmp_path / "seen.db", Embedder(model, engine="torch"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds without a frame are long, and a pause short."""
    monkeypatch.setattr(films, "SILENCE", 2.0)
    monkeypatch.setattr(module, "SILENCE", 2.0)
    monkeypatch.setattr(module, "PAUSE", 0.1)


def red(frames: Sequence[Frame]) -> list[Detections]:
    """Finds the red rectangle."""
    found = []
    for frame in frames:
        rows, columns = np.where((frame.pixels[..., 0] > 160) & (frame.pixels[..., 2] < 90))
        corners = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) > 200 else []
        boxes = np.array(corners, np.float64).reshape(-1, 4)
        found.append(Detections.within(frame, boxes, np.ones(len(boxes)), np.full(len(boxes), "person")))
    return found


def watched(gallery: Gallery, doors: Sequence[Door], seconds: float, said: list[str]) -> tuple[Watched, list[Frame]]:
    """What is seen in so many seconds from the first frame on, and all frames without their pixels."""
    frames: list[Frame] = []
    began: list[float] = []

    def detector(some: Sequence[Frame]) -> list[Detections]:
        began.append(time.monotonic())
        frames.extend(replace(frame, pixels=frame.pixels[:1, :1]) for frame in some)
        return red(some)

    def stop() -> bool:
        return bool(began) and time.monotonic() - began[0] > seconds

    views = [View(one.address, f"door {at}") for at, one in enumerate(doors, 1)]
    return watch(views, gallery, detector, threshold=0.1, on_message=said.append, stop=stop), frames


def test_a_camera_is_read_while_another_one_is_slow_or_frozen(gallery: Gallery) -> None:
    said: list[str] = []
    with door(20) as sound, door(1) as slow, door(20, stall=5) as frozen:
        _, frames = watched(gallery, [sound, slow, frozen], 2.5, said)
        seen = [frame for frame in frames if f":{sound.server_port}/" in frame.source]
    assert len(seen) > 20
    gaps = np.diff([frame.number for frame in seen])
    assert gaps.min() >= 1 and np.median(gaps) == 1
    assert len(frames) - len(seen) >= 5 + 1


def test_a_lost_camera_is_opened_again(gallery: Gallery, impatient: None) -> None:
    said: list[str] = []
    with door(40, drop=12) as drops, door(40, stall=12) as freezes:
        found, frames = watched(gallery, [drops, freezes], 5.0, said)
        assert drops.connections > 3 and freezes.connections > 1
        numbers = [frame.number for frame in frames if f":{drops.server_port}/" in frame.source]
    assert numbers[-1] > 24 and numbers == sorted(set(numbers)) and found.stopped
    assert "camera door 1: the connection was lost after 12 frames; it is opened again." in said
    assert "camera door 2: no frame for 2 s after 12 frames; it is opened again." in said
    assert "camera door 1: it is back." in said and "camera door 2: it is back." in said
    assert any("door 1: " in one and "the connection was lost" in one for one in found.problems)
    assert found.tracks["door 1"] >= 2 and found.complete


def test_a_camera_whose_sound_goes_on_without_pictures_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one whose pictures cannot be decoded any more: packets come, so the network's own limit is never reached."""
    with door(100) as one:
        camera = Camera(one.address)
        opened = module.Film(one.address)
        demux = opened._container.demux

        class Sounding:
            """The camera's own packets, then sound for ever."""

            def demux(self, *streams: object) -> Iterator[object]:
                yield from islice(demux(*streams), 5)
                while True:
                    time.sleep(0.01)
                    yield SimpleNamespace(stream="sound")

            def __getattr__(self, name: str) -> object:
                return getattr(container, name)

        container, opened._container = opened._container, Sounding()
        monkeypatch.setattr(films, "SILENCE", 0.3)
        monkeypatch.setattr(module, "SILENCE", 0.3)
        reason = camera._read(opened)
    assert reason == "no frame for 0 s" and camera.read == 5


def test_a_camera_that_ends_for_good_is_asked_for_less_and_less_often(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    opened = module.Film

    def film(source: str) -> films.Film:
        tries.append(time.monotonic())
        if len(tries) > 1:
            raise DataError("gone")
        return opened(source)

    monkeypatch.setattr(module, "Film", film)
    with door(100, drop=3) as one:
        camera = Camera(one.address).start()
        camera.check()
        time.sleep(2)
        camera.close()
    pauses = np.diff(tries)[1:]
    assert 2 <= len(pauses) <= 5 and (pauses[1:] > 1.5 * pauses[:-1]).all() and camera.ended


def test_the_newest_frames_win() -> None:
    with door(100) as one:
        camera = Camera(one.address).start()
        camera.check()
        until = time.monotonic() + 60
        while camera.read < 40 and time.monotonic() < until:
            time.sleep(0.01)
        camera.close()
        camera._thread.join(60)
        frames = camera.take()
    assert camera.read >= 40 and camera.dropped == camera.read - module.WAITING
    assert [frame.number for frame in frames] == list(range(camera.read - module.WAITING, camera.read))
    assert "as the detector was slower" in camera.trouble()


def test_every_third_frame_and_until_it_is_stopped() -> None:
    with door(100) as one:
        until = time.monotonic() + 1
        frames = list(read_frames(one.address, every=3, stop=lambda: time.monotonic() > until))
        assert count_frames(one.address) == 0
    assert len(frames) > 3 and all(frame.number % 3 == 0 for frame in frames)
    times = [frame.time for frame in frames]
    assert times == sorted(times) and abs(times[-1] - time.time()) < 60


def test_a_password_is_kept_nowhere(gallery: Gallery, tmp_path: Path) -> None:
    said: list[str] = []
    with door(40, drop=30) as one:
        views = [View(one.address)]
        until = time.monotonic() + 3
        found = watch(views, gallery, red, threshold=0.1, on_message=said.append, stop=lambda: time.monotonic() > until)
    (record, *_) = gallery.records()
    assert record.camera == f"http://127.0.0.1:{one.server_port}/door" == views[0].source
    assert record.source.startswith(f"{record.camera}#frame=")
    assert "secret" not in repr((found, views, said, gallery.stats(), gallery.log()))
    assert said and all(b"secret" not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_names_are_given_while_a_camera_is_watched(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LATER", 0.2)
    names: list[str] = []

    def stop() -> bool:
        names[:] = [one.name for one in gallery.identities()]
        return bool(names) or time.monotonic() > until

    with door(6) as one:  # out of sight for 1.7 s, which ends a track
        until = time.monotonic() + 60
        watch([View(one.address, "door")], gallery, red, threshold=0.1, stop=stop)
    assert names == ["person 1"]


def test_what_a_live_camera_does_not_take(gallery: Gallery) -> None:
    with door(100) as one, pytest.raises(RecipeError, match="is a live camera, which begins now") as caught:
        watch([View(one.address, start=1.0)], gallery, red, threshold=0.1)
    assert "secret" not in str(caught.value)
    with pytest.raises(DataError, match=r"^rtsp://127\.0\.0\.1:1/x does not answer \(Connection refused\)"):
        watch([View("rtsp://admin:secret@127.0.0.1:1/x")], gallery, red, threshold=0.1)


def test_a_budget_is_kept_whatever_a_camera_sends() -> None:
    """At most 5 frames a second on average, of 25 and of 4 a second, and of bursts; none is held back for later."""
    for rate, times, wanted in (
        (5.0, [at / 25 for at in range(250)], 50),
        (5.0, [at / 4 for at in range(40)], 40),
        (0.0, [at / 25 for at in range(250)], 250),
        (2.0, [second + at / 100 for second in range(0, 20, 4) for at in range(20)], 10),
    ):
        camera = module.Camera("0", rate=rate)
        taken = [time for time in times if camera._is_due(1000.0 + time)]
        assert abs(len(taken) - wanted) <= 1, (rate, len(taken))


def test_a_budget_is_shared_and_what_it_leaves_out_is_counted(gallery: Gallery) -> None:
    with door(40) as one, door(40) as other:
        until = time.monotonic() + 3
        found = watch(
            [View(one.address, "door"), View(other.address, "yard")],
            gallery,
            red,
            threshold=0.1,
            budget=8.0,
            stop=lambda: time.monotonic() > until,
        )
    assert set(found.live) == {"door", "yard"}
    for facts in found.live.values():
        assert 0 < facts.read - facts.skipped <= 4.0 * 6 and facts.skipped > facts.read / 2
    assert found.frames <= sum(one.read - one.skipped - one.dropped for one in found.live.values())
    with pytest.raises(RecipeError, match="budget is -1"):
        watch([View("rtsp://door/1")], gallery, red, threshold=0.1, budget=-1)
