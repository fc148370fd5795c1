"""``resight serve`` as a process of its own: it says where it is, and loses nothing when it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import resight
from resight.gallery.gallery import Gallery
from resight.server.run import listen

from .conftest import apart, png

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that computes at once, in a file."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    resight.load("osnet_x0_25", height=32, width=16).save(path)
    return path


@pytest.fixture
def start(tmp_path: Path, model: Path) -> Iterator[Start]:
    """Start ``resight serve`` on a new gallery with these options: the process and its address."""
    processes = []

    def run(*options: str) -> tuple[subprocess.Popen[str], str]:
        if not (tmp_path / "seen.db").exists():
            Gallery.open(tmp_path / "seen", resight.load(model)).close()
        process = subprocess.Popen(
            [sys.executable, "-m", "resight", "serve", "seen", "--model", str(model), "--engine", "torch", *options],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RESIGHT_CACHE": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            stderr=(tmp_path / "log").open("w"),
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), (tmp_path / "log").read_text()
        return process, line.split()[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()


def test_no_accepted_write_is_lost_when_it_is_told_to_stop(start: Start, tmp_path: Path) -> None:
    """Six write without pause, a seventh has sent half of its picture; then comes the signal."""
    process, address = start("--port", "0", "--rate", "0")
    accepted: list[str] = []
    odd: list[object] = []
    writing = threading.Event()

    def write(thread: int) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            for number in range(10_000):
                try:
                    files = {"image": ("a.png", png(1000 * thread + number, 40, 24))}
                    answer = client.post("/api/records", files=files)
                except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                    return  # it listens no more
                if answer.status_code == 200:
                    accepted.append(answer.json()["id"])
                    if len(accepted) > 15:
                        writing.set()
                elif answer.status_code != 503:
                    odd.append(answer.text)

    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head + png(7, 40, 24) + b"\r\n--x--\r\n"
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(
            f"POST /api/records HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
        )
        slow.sendall(body[:200])
        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()
        assert writing.wait(60)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=5).close()
        slow.sendall(body[200:])
        answer = b""
        while part := slow.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    accepted.append(json.loads(answer.partition(b"\r\n\r\n")[2])["id"])
    assert process.wait(60) == -signal.SIGTERM
    assert not odd
    with Gallery.open(tmp_path / "seen") as after:
        assert len(after.get(accepted)) == len(accepted) > 16
        assert len(after) >= len(accepted)
        assert after.check().problems == ()
        after.verify_log()
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {one["status"] for one in log if one["event"] == "request"} <= {200, 503}
    assert not [one for one in log if one["level"] == "error"]


def test_answers_do_not_wait_for_the_kernel() -> None:
    """Nagle's algorithm and delayed ACKs together cost 40 ms an answer; asyncio turns it off where it knows TCP."""

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            found.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(meet, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await asyncio.wait_for(found, 10)

    assert apart(accepted()) == 1


def test_what_cannot_be_served_is_one_sentence(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.cli.main import main

    def refused(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["resight", "serve", *words])
        error: list[str] = []
        monkeypatch.setattr("resight.cli.console.complain", error.append)
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2 and len(error) == 1 and error[0].endswith("."), error
        return error[0]

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESIGHT_KEYS", raising=False)
    assert "There is no gallery to serve" in refused()
    assert "without keys they may do everything" in refused("seen", "--host", "0.0.0.0")
    assert "cannot be read" in refused("seen", "--keys", "keys.json")
    assert "add --keys keys.json" in refused("--new-key", "Ada")
    assert "are some of read, write, erase, not all" in refused(
        "--new-key", "Ada", "--keys", "k.json", "--scopes", "all"
    )
    assert "add --model MODEL" in refused("seen", "--engine", "onnx")
    with monkeypatch.context() as missing:
        missing.delitem(sys.modules, "resight.server.run")
        missing.setitem(sys.modules, "uvicorn", None)
        assert "pip install 'resight[serve]'" in refused("seen")
    refused("seen")  # there is none
    assert list(tmp_path.iterdir()) == []
    Gallery.open("seen", resight.load(model)).close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1 port {port} cannot be listened on" in refused("seen", "--port", port)


def test_a_new_key_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from resight.cli.main import main
    from resight.server.keys import read_keys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.argv", ["resight", "serve", "--new-key", "Ada", "--scopes", "read, write", "--keys", "keys.json"]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    out, err = capfd.readouterr()
    caller = read_keys("keys.json").caller(out.strip())
    assert caller is not None and (caller.name, caller.scopes) == ("Ada", ("read", "write"))
    assert out.strip() not in err
