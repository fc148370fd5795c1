"""A real Milvus server for tests, from the PyPI package ``milvus``, and collections that are made ahead of time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

# The server's clocks tick for production. Here they are to tick faster, so that tests wait less; what it does stays.
FASTER = {
    "COMMON_GRACEFULTIME": "10",
    "DATACOORD_COMPACTION_CHECK_INTERVAL": "1",
    "DATACOORD_SEGMENT_ASSIGNMENTEXPIRATION": "100",
    "PROXY_TIMETICKINTERVAL": "20",
    "QUERYCOORD_CHECKINTERVAL": "50",
    "QUERYCOORD_CHECKCHANNELINTERVAL": "50",
    "QUERYCOORD_CHECKSEGMENTINTERVAL": "50",
    "QUERYCOORD_DISTPULLINTERVAL": "50",
    "QUERYCOORD_UPDATENEXTTARGETINTERVAL": "1",
    "ROOTCOORD_DMLCHANNELNUM": "4",
}


# Old files go at once, in the place of hours later. A 2.3 server can stumble over that when it compacts much.
FORGETFUL = {
    "DATACOORD_GC_DROPTOLERANCE": "1",
    "DATACOORD_GC_INTERVAL": "1",
    "DATACOORD_GC_MISSINGTOLERANCE": "60",
}


@contextmanager
def milvus_server(folder: Path, programs: Path, settings: dict[str, str] | None = None) -> Iterator[str]:
    """Run a server with its data in ``folder``; gives its address. ``programs`` keeps what the package unpacks.

    It is the child of a process that ends with this one, so that nothing is left behind when tests are killed.

    Raises:
        RuntimeError: it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "bin").exists():
        (folder / "bin").symlink_to(programs.resolve(), target_is_directory=True)
    command = [sys.executable, __file__, str(folder)]
    known = {**os.environ, **FASTER, **(settings or {})}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=known) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"no answer from {' '.join(command)}")
            yield address
        finally:
            process.stdin.close()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


class Collections:
    """Empty collections for galleries of 8 dimensions with cosine distance, made by threads while tests run.

    A gallery of other dimensions takes such a collection too, and makes it anew.
    """

    AHEAD = 6

    def __init__(self, address: str) -> None:
        from resight.gallery.milvus.table import Place, connect

        self._address = address
        self._client = connect(Place(address, "none", "none", False))
        self._pool, self._numbers = ThreadPoolExecutor(3), count(1)
        self._made: list[Future[str]] = [self._pool.submit(self._make) for _ in range(self.AHEAD)]

    def uri(self, objects: Path | str) -> str:
        """The URI of a gallery that is not there yet, with its objects in a folder or at a URI."""
        self._made.append(self._pool.submit(self._make))
        return f"milvus://{self._address}/{self._made.pop(0).result()}?objects={objects}"

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _make(self) -> str:
        from resight.gallery.milvus.table import EXACT, Table

        table = Table(self._client, self._address, f"gallery{next(self._numbers)}", 8, "cosine")
        table.make(EXACT)
        return table.name


def _serve(folder: Path) -> None:
    """Run a server until standard input ends."""
    from milvus import MilvusServer, MilvusServerConfig

    for number in (signal.SIGTERM, signal.SIGINT):  # meant for the tests, whose end ends standard input
        signal.signal(number, lambda *_: None)
    client, peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
    etcd = folder / "etcd.yaml"
    lines = {
        "name": "default",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
    }
    etcd.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()), encoding="utf-8")
    os.environ["ETCD_CONFIG_PATH"] = str(etcd)
    server = MilvusServer(MilvusServerConfig(data_dir=str(folder)), wait_for_started=False)
    try:
        server.start()
        server.wait_started(60_000)
        print(f"{server.server_address}:{server.listen_port}", flush=True)
        sys.stdin.read()
    finally:
        server.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
