"""A service on a real gallery in a temporary folder, whose model embeds a picture as its pixels."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import resight
from flat import flat_model
from resight.models.model import Model

pytest.importorskip("fastapi", reason="the service needs FastAPI: pip install 'resight[serve]'")
pytest.importorskip("faiss", reason="the gallery needs FAISS: pip install 'resight[gallery]'")

from starlette.testclient import TestClient

from resight.gallery.gallery import Gallery
from resight.server.app import make_app
from resight.server.keys import new_key, read_keys
from resight.server.settings import Settings

HEIGHT, WIDTH = 8, 4
Serve = Callable[..., TestClient]
Result = TypeVar("Result")


def noise(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(seed: int = 0, height: int = HEIGHT, width: int = WIDTH, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise(seed, height, width)).save(out, form, **options)
    return out.getvalue()


def vector(seed: int = 0) -> NDArray[np.float32]:
    """What the model makes of ``png(seed)``: its planes."""
    return noise(seed).transpose(2, 0, 1).reshape(-1).astype(np.float32)


@lru_cache
def calibrated() -> Model:
    """The model, which knows what its distances mean: pictures of one identity are close to one another."""
    random = np.random.default_rng(0)
    people = random.integers(0, 256, (30, 3 * HEIGHT * WIDTH))
    who = np.repeat(np.arange(30), 6)
    vectors = (people[who] + random.normal(0, 60, (180, people.shape[1]))).astype(np.float32)
    some = resight.Embeddings(vectors, who + 1, np.tile([1, 2, 3], 60), fingerprint="flat")
    query, gallery = some.take(np.arange(180) % 6 == 0), some.take(np.arange(180) % 6 > 0)
    decision = resight.calibrate((query, gallery), false_match_rate=1e-2, coverage=0.9)
    model = flat_model(HEIGHT, WIDTH)
    card = model.card.model_copy(update={"decision": decision.plain(), "threshold": decision.threshold})
    return replace(model, card=card)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "seen", resight.Embedder(flat_model(HEIGHT, WIDTH), "torch"), actor="tests") as made:
        yield made


@pytest.fixture
def serve(gallery: Gallery) -> Iterator[Serve]:
    """A factory of clients: ``serve(rate=1)`` is one of the gallery's service with these settings."""
    clients: list[TestClient] = []

    def start(of: Gallery | None = None, **settings: object) -> TestClient:
        served = gallery if of is None else of
        app = make_app(served, served.embedder, Settings(**settings))
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve(rate=0)


@pytest.fixture
def keyed(serve: Serve, tmp_path: Path) -> tuple[TestClient, dict[str, str]]:
    """A client of a service with keys, and a key for each scope, and one for all."""
    file = tmp_path / "keys.json"
    secrets = {name: new_key(file, name, [name]) for name in ("read", "write", "erase")}
    secrets["all"] = new_key(file, "all", ["read", "write", "erase"])
    return serve(keys=read_keys(file), rate=0), secrets


def apart(task: Coroutine[object, object, Result]) -> Result:
    """What an asynchronous function gives, run in a thread: the main one may have a browser's loop running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, task).result()


def put(client: TestClient, seed: int = 0, **fields: object) -> str:
    """Add a picture, and give its id."""
    answer = client.post("/api/records", files={"image": ("a.png", png(seed))}, data=fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])
