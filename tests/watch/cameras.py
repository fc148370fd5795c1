"""Cameras on this computer: moving JPEG pictures over HTTP, as network cameras send them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from watch.films import COLOURS, HEIGHT, WIDTH


def picture(number: int, colour: str = "red") -> bytes:
    """A rectangle that walks over grey, ten frames from one side to the other, then is gone for ten."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    step = number % 20
    if step < 10:
        image[40:100, 4 + step * 16 : 28 + step * 16] = COLOURS[colour]
    return bytes(cv2.imencode(".jpg", image[..., ::-1])[1])


class Door(ThreadingHTTPServer):
    """A camera that takes a picture ``rate`` times a second, as often as somebody looks.

    Attributes:
        drop: after so many pictures it ends the connection; ``stall``: after so many it sends nothing more.
        address: where it is; ``connections``: how often it was opened; ``sent``: how many pictures it sent.
    """

    daemon_threads = True

    def __init__(self, rate: float, drop: int | None = None, stall: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rate, self.drop, self.stall = rate, drop, stall
        self.connections = self.sent = 0
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://admin:secret@127.0.0.1:{self.server_port}/door"


class _Handler(BaseHTTPRequestHandler):
    server: Door

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        number = 0
        try:
            while not self.server.over.is_set() and number != self.server.drop:
                if number == self.server.stall:
                    self.server.over.wait()
                    return
                data = picture(number)
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                number += 1
                self.server.sent += 1
                time.sleep(1 / self.server.rate)
        except OSError:  # nobody looks any more
            pass


@contextmanager
def door(rate: float = 40, drop: int | None = None, stall: int | None = None) -> Iterator[Door]:
    """A camera while the block runs."""
    server = Door(rate, drop, stall)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
