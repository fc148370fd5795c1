"""A web server and an MQTT broker on this computer that take messages."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Taker(ThreadingHTTPServer):
    """Answers POSTs: first with the given codes, then with 204.

    Attributes:
        got: (headers, message) of each request.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0, codes: tuple[int, ...] = ()) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.codes = list(codes)
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.sends_on = ""  # where an answer 3xx leads to


class _Handler(BaseHTTPRequestHandler):
    server: Taker

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(({**self.headers}, json.loads(body)))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 204)
        self.send_header("Content-Length", "0")
        if self.server.sends_on:
            self.send_header("Location", self.server.sends_on)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append(({**self.headers}, {"method": "GET"}))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def taker(port: int = 0, codes: tuple[int, ...] = ()) -> Iterator[Taker]:
    server = Taker(port, codes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def broker(folder: Path, port: int, user: str = "", password: str = "") -> Iterator[None]:
    """Mosquitto on a port of this computer."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    lines = [f"listener {port} 127.0.0.1", "persistence false", f"allow_anonymous {'false' if user else 'true'}"]
    if user:
        words = folder / "passwords"
        words.write_text(f"{user}:{password}\n")
        words.chmod(0o600)
        subprocess.run([str(Path(program).parent.parent / "bin" / "mosquitto_passwd"), "-U", str(words)], check=True)
        lines.append(f"password_file {words}")
    (folder / "mosquitto.conf").write_text("\n".join([*lines, "user root", ""]))
    running = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield
    finally:
        running.terminate()
        running.wait()
