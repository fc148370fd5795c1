"""The application in a process: a socket, uvicorn on it, and an end that loses nothing that was accepted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TextIO

import uvicorn

from resight.embedding.embedder import Embedder
from resight.embedding.engines.auto import known, measure
from resight.errors import RecipeError
from resight.gallery.gallery import Gallery
from resight.models.exported import Exported
from resight.server.app import make_app
from resight.server.logs import write_logs
from resight.server.settings import Settings


class _Server(uvicorn.Server):
    """Calls ``ready`` when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(gallery: Gallery, settings: Settings, *, log: TextIO, ready: Callable[[str], None]) -> None:
    """Serve a gallery until the process is stopped (SIGTERM, Ctrl-C), then close it.

    Accepted requests are answered first; no new ones are accepted.

    Args:
        gallery: what is served, with its own model.
        settings: the address, keys and limits.
        log: where lines of JSON go.
        ready: called with the service's URL once it listens.

    Raises:
        RecipeError: the address cannot be listened on.
        ModelError: the gallery's model cannot be loaded.
    """
    with listen(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        embedder = gallery.embedder
        _choose_engine(embedder)
        app = make_app(gallery, embedder, settings)
        write_logs(log)
        config = uvicorn.Config(
            app,
            lifespan="on",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _Server(config, lambda: ready(url)).run([listener])


def _choose_engine(embedder: Embedder) -> None:
    """Find the fastest engine now, where it is not known yet, and not in the midst of requests."""
    model, size, half = embedder.model, embedder.batch_size, embedder.half
    chosen = embedder.engine != "auto" or embedder.device.type != "cpu" or isinstance(model.network, Exported)
    if not chosen and not known(model, size, half):
        measure(model, size, half)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        RecipeError: the address is taken, or not this machine's.
    """
    # With its protocol named, asyncio turns Nagle's algorithm off; else every answer may wait 40 ms for a delayed ACK.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(socket.SOMAXCONN)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(
            f"{host} port {port} cannot be listened on ({reason}): choose another port, or an address of this machine."
        ) from None
    return listener
