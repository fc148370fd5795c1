"""Live cameras for as long as you like: frames, budget, reconnections, names and memory.

    python benchmarks/live.py --minutes 60                  # three cameras, one of which is lost and freezes
    python benchmarks/live.py --minutes 4 --budget 6

Synthetic people walk before RTSP cameras on this computer (GStreamer's RTSP server; Debian's packages python3-gi,
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good), which loop 40 seconds of ``--rate`` frames a second, a little
slower than real cameras (a pause of 0.1 s after each frame of 10 a second). The server of the last camera is killed
after a third of the time and comes back after 20 s, and is stopped (frozen) for 20 s after two thirds. ``resight
watch`` runs with the person detector and the bundled person model in this process, so that its memory is that of this
process.

Prints what came from each camera, what was left out, the memory, and whether what must hold did (exit code 1 if not):

- others: the cameras without trouble lost no connection and no frame within the budget, and gave the detector at least
  0.9 of their share of it; no pause between two of their frames was longer than 5 s. The detector's frames are counted
  here, not by the cameras;
- trouble: the last camera was lost twice, and gave frames after each time;
- memory: resident and swapped memory of the last quarter at most 1.03 of that of the second quarter (medians);
- named: every track is a record with a name, at the latest a minute after its end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from deadline import add_deadline, limit

import resight
from resight.datasets.synthetic.scene import write_scene
from resight.gallery.record import Filter
from resight.watch.detectors import Detections, Detector, open_detector
from resight.watch.frames import Frame
from resight.watch.link import Rules
from resight.watch.origin import sighted
from resight.watch.review import track_records
from resight.watch.watch import View, watch

SHARED = Path(__file__).parents[2] / "shared"
PEOPLE = SHARED / "weights" / "openvino" / "person-detection-retail-0013.FP32.xml"
AWAY = 20.0  # seconds that the last camera is away, and frozen
FLAT = 1.03  # of the second quarter's memory, what the last may have
NAMED = 60.0  # seconds from the end of a track to its name
SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
caps = f"image/jpeg,framerate={sys.argv[5]}/1,width={sys.argv[3]},height={sys.argv[4]}"
films = f'multifilesrc location="{sys.argv[2]}/%05d.jpg" loop=true caps="{caps}"'
factory.set_launch(f"( {films} ! identity sleep-time={1000000 // int(sys.argv[5])} ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/live", factory); server.attach(None)
GLib.MainLoop().run()
"""


class RtspCamera:
    """A camera in a process of its own."""

    def __init__(self, pictures: Path, size: tuple[int, int], rate: int) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.pictures, self.size, self.rate = pictures, size, rate
        self.start()

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def start(self) -> None:
        height, width = self.size
        command = ["/usr/bin/python3", "-c", SERVER, *map(str, (self.port, self.pictures, width, height, self.rate))]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(600):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        sys.exit("Error: no RTSP server: install python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-good.")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(60)


def pictures(film: Path, folder: Path) -> Path:
    """The frames of a film as JPEG files."""
    folder.mkdir()
    read = cv2.VideoCapture(str(film))
    number = 0
    while True:
        there, image = read.read()
        if not there:
            return folder
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--rate", type=int, default=10, help="frames a second of each camera")
    parser.add_argument("--budget", type=float, default=6.0, help="frames a second of all cameras together")
    parser.add_argument("--size", type=int, nargs=2, default=(240, 424), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--scene", type=Path, help="a folder of an earlier run; made there if it does not exist")
    add_deadline(parser, 600)
    options = parser.parse_args()
    limit(60 * options.minutes + options.deadline)
    with tempfile.TemporaryDirectory() as temporary:
        size = tuple(options.size)
        place = options.scene or Path(temporary) / "scene"
        if not place.exists():
            plan = {"people": options.people, "cameras": options.cameras, "seconds": 40.0, "rate": options.rate}
            write_scene(place, **plan, size=size, first=1001)
        films = [place / f"camera{number}.avi" for number in range(1, options.cameras + 1)]
        cameras = [RtspCamera(pictures(film, Path(temporary) / film.stem), size, options.rate) for film in films]
        try:
            fine = run(Path(temporary), cameras, options)
        finally:
            for camera in cameras:
                camera.stop()
    sys.exit(0 if fine else 1)


class Counted:
    """A detector that remembers when it looked at a frame of each camera."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.times: dict[str, list[float]] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        for frame in frames:
            self.times.setdefault(frame.source, []).append(frame.time)
        return self.detector(frames)


def run(folder: Path, cameras: list[RtspCamera], options: argparse.Namespace) -> bool:
    """Watch, print the figures, and say whether what must hold did."""
    seconds, own = 60 * options.minutes, psutil.Process()
    memory: list[tuple[float, float]] = []
    waits = [0.0]
    over = threading.Event()
    model = resight.load("person")
    detector = Counted(open_detector(str(PEOPLE)))
    began, begin = time.monotonic(), time.time()

    def trouble() -> None:
        last = cameras[-1]
        time.sleep(seconds / 3)
        last.stop()
        time.sleep(AWAY)
        last.start()
        time.sleep(max(0.0, 2 * seconds / 3 - (time.monotonic() - began)))
        os.kill(last.process.pid, signal.SIGSTOP)
        time.sleep(AWAY)
        os.kill(last.process.pid, signal.SIGCONT)

    def weigh() -> None:
        while not over.wait(5.0):
            now = own.memory_full_info()
            memory.append((time.monotonic() - began, (now.rss + now.swap) / 2**20))

    for work in (trouble, weigh):
        threading.Thread(target=work, daemon=True).start()
    processor = own.cpu_times()
    with resight.Gallery.open(folder / "seen", model) as gallery:

        def stop() -> bool:
            if time.monotonic() - began > 5 * len(waits):
                nameless = track_records(gallery, Filter(unknown=True))
                waits.append(max((time.time() - sighted(one).end for one in nameless), default=0.0))
            return time.monotonic() - began > seconds

        found = watch(
            [View(one.address, f"{number}") for number, one in enumerate(cameras, 1)],
            gallery,
            detector,
            rules=Rules(travel=2.0),
            budget=options.budget,
            on_message=lambda message: print(f"{time.monotonic() - began:.0f} s: {message}", file=sys.stderr),
            stop=stop,
        )
        facts = gallery.stats()
    over.set()
    used = own.cpu_times()
    times = [[at - begin for at in detector.times.get(one.address, [])] for one in cameras]
    parts = [[value for at, value in memory if low <= 4 * at / seconds < low + 1] for low in range(4)]
    result = {
        "seconds": round(time.monotonic() - began),
        "cores": round((used.user + used.system - processor.user - processor.system) / seconds, 2),
        "frames": found.frames,
        "budget": options.budget,
        "cameras": {
            name: vars(one) | {"detected": len(at), "longest_pause": round(longest_pause(at, seconds), 1)}
            for (name, one), at in zip(found.live.items(), times, strict=True)
        },
        "tracks": sum(found.tracks.values()),
        "records": facts.records,
        "unnamed": facts.unknown,
        "longest_wait_for_a_name": round(max(waits), 1),
        "identities": len(found.people),
        "memory_mib_by_quarter": [round(float(np.median(part)), 1) for part in parts if part],
        "memory_mib_most": round(max(value for _, value in memory), 1),
        "problems": found.problems,
    }
    holds = judged(result, times, seconds)
    print(json.dumps(result | {"holds": holds}, indent=2))
    return all(holds.values())


def longest_pause(times: Sequence[float], seconds: float) -> float:
    """The longest time without a frame between the first one and the end."""
    return max(b - a for a, b in pairwise([*times, max(seconds, *times)])) if times else seconds


def judged(result: dict[str, Any], times: Sequence[Sequence[float]], seconds: float) -> dict[str, bool]:
    """Which of the things that must hold did.

    Args:
        result: as printed.
        times: for each camera the seconds at which the detector got its frames; ``seconds``: how long it all took.
    """
    *others, last = result["cameras"].values()
    share = result["budget"] / len(times)
    third = seconds / 3
    after = [sum(part + AWAY < at < part + third for at in times[-1]) for part in (third, 2 * third)]
    quarters = result["memory_mib_by_quarter"]
    return {
        "others": all(
            one["losses"] == one["dropped"] == 0
            and 0 <= one["read"] - one["skipped"] - one["detected"] <= 1  # the last one may come too late
            and one["detected"] >= 0.9 * share * seconds
            and one["longest_pause"] <= 5.0
            for one in others
        ),
        "trouble": last["losses"] == 2 and min(after) > 0,
        "memory": len(quarters) == 4 and quarters[3] <= FLAT * quarters[1],
        "named": result["records"] == result["tracks"] > 0 == result["unnamed"]
        and result["longest_wait_for_a_name"] <= NAMED,
    }


if __name__ == "__main__":
    main()
