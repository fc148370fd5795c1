"""Live cameras for as long as you like: frames, budget, reconnections and memory.

    python benchmarks/live.py --minutes 60                  # three cameras, one of which is lost and freezes
    python benchmarks/live.py --minutes 4 --budget 6

Synthetic people walk before RTSP cameras on this computer (GStreamer's RTSP server; Debian's packages python3-gi,
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good), which loop 40 seconds of 10 frames a second, as fast as the
server sends them. The server of the last camera is killed after a third of the time and comes back after 20 s, and is
stopped (frozen) for 20 s after two thirds. ``resight watch`` runs with the person detector and the bundled person model
in this process, so that its memory is that of this process. Prints what came from each camera, what was left out, and
the memory.
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
from pathlib import Path

import cv2
import psutil
from deadline import add_deadline, limit

import resight
from resight.datasets.synthetic.scene import write_scene
from resight.watch.detectors import open_detector
from resight.watch.link import Rules
from resight.watch.watch import View, watch

SHARED = Path(__file__).parents[2] / "shared"
PEOPLE = SHARED / "weights" / "openvino" / "person-detection-retail-0013.FP32.xml"
AWAY = 20.0  # seconds that the last camera is away, and frozen
SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
caps = f"image/jpeg,framerate=10/1,width={sys.argv[3]},height={sys.argv[4]}"
films = f'multifilesrc location="{sys.argv[2]}/%05d.jpg" loop=true caps="{caps}"'
factory.set_launch(f"( {films} ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/live", factory); server.attach(None)
GLib.MainLoop().run()
"""


class RtspCamera:
    """A camera in a process of its own."""

    def __init__(self, pictures: Path, size: tuple[int, int]) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.pictures, self.size = pictures, size
        self.start()

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def start(self) -> None:
        height, width = self.size
        command = ["/usr/bin/python3", "-c", SERVER, *map(str, (self.port, self.pictures, width, height))]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
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
    parser.add_argument("--budget", type=float, default=6.0, help="frames a second of all cameras together")
    parser.add_argument("--size", type=int, nargs=2, default=(240, 424), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--scene", type=Path, help="a folder of an earlier run; made there if it does not exist")
    add_deadline(parser, 600)
    options = parser.parse_args()
    limit(60 * options.minutes + options.deadline)
    with tempfile.TemporaryDirectory() as temporary:
        place = options.scene or Path(temporary) / "scene"
        if not place.exists():
            write_scene(place, people=6, cameras=options.cameras, seconds=40.0, size=tuple(options.size), first=1001)
        films = [place / f"camera{number}.avi" for number in range(1, options.cameras + 1)]
        size = tuple(options.size)
        cameras = [RtspCamera(pictures(film, Path(temporary) / film.stem), size) for film in films]
        try:
            run(Path(temporary), cameras, options)
        finally:
            for camera in cameras:
                camera.stop()


def run(folder: Path, cameras: list[RtspCamera], options: argparse.Namespace) -> None:
    seconds, own = 60 * options.minutes, psutil.Process()
    memory: list[tuple[float, float]] = []
    began = time.monotonic()

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

    def stop() -> bool:
        now = time.monotonic() - began
        if not memory or now - memory[-1][0] > 5:
            memory.append((now, own.memory_info().rss / 2**20))
        return now > seconds

    threading.Thread(target=trouble, daemon=True).start()
    model = resight.load("person")
    detector = open_detector(str(PEOPLE))
    processor = own.cpu_times()
    with resight.Gallery.open(folder / "seen", model) as gallery:
        found = watch(
            [View(one.address, f"{number}") for number, one in enumerate(cameras, 1)],
            gallery,
            detector,
            rules=Rules(travel=2.0),
            budget=options.budget,
            on_message=lambda message: print(message, file=sys.stderr),
            stop=stop,
        )
        unnamed = gallery.stats().unknown
    used = own.cpu_times()
    settled = [value for at, value in memory if at > min(60.0, seconds / 4)]
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - began),
                "cores": round((used.user + used.system - processor.user - processor.system) / seconds, 2),
                "frames": found.frames,
                "frames_per_second": round(found.frames / seconds, 2),
                "budget": options.budget,
                "cameras": {name: vars(facts) for name, facts in found.live.items()},
                "tracks": sum(found.tracks.values()),
                "unnamed": unnamed,
                "identities": len(found.people),
                "memory_mib": {
                    "first": round(settled[0]),
                    "most": round(max(settled)),
                    "last": round(settled[-1]),
                },
                "problems": found.problems,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
