"""The page in a real Chromium, on a real service with a gallery of synthetic people."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import resight
from flat import flat_model
from resight.datasets import synthetic
from resight.gallery.gallery import Gallery
from resight.models.model import Model
from resight.server.settings import Settings

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HEIGHT, WIDTH = 16, 8
NAMES = {1: "Ada", 2: "Grace", 3: "Alan", 4: "Mary"}  # 5 and 6 are unknown
CAMERAS = ("gate", "hall", "platform")
BEGIN = 1_795_000_000.0
PATIENCE = 20_000  # milliseconds, for busy machines


@cache
def sighting(person: int, which: int) -> bytes:
    """A picture of a drawn person, noisier from one to the next."""
    picture = synthetic.draw("person", person, 1, 0, seed=3, size=(64, 32)).astype(float)
    noise = np.random.default_rng((person, which)).normal(0, 60 + 60 * which, picture.shape)
    coded = cv2.imencode(".png", np.clip(picture + noise, 0, 255).astype(np.uint8)[..., ::-1])[1]
    return bytes(coded.tobytes())


@pytest.fixture(scope="session")
def seeing() -> Model:
    """A model that sees pixels, and knows from 40 other people what its distances mean."""
    model = flat_model(HEIGHT, WIDTH)
    who = np.repeat(np.arange(101, 141), 4)
    pictures = [sighting(int(person), which) for person, which in zip(who, np.tile(range(4), 40), strict=True)]
    vectors = resight.Embedder(model, "torch")(pictures)
    known = resight.Embeddings(vectors.vectors, who, np.tile([1, 2, 3, 4], 40), fingerprint=vectors.fingerprint)
    decision = resight.calibrate((known, known), false_match_rate=1e-2, coverage=0.9, metric=model.card.metric)
    card = model.card.model_copy(update={"decision": decision.plain(), "threshold": decision.threshold})
    return replace(model, card=card)


@pytest.fixture(scope="session")
def tab() -> Iterator[Any]:
    """A tab of Chromium, one for all tests: each service has an address, and so a storage, of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    pytest.importorskip("fastapi", reason="the service needs FastAPI: pip install 'resight[serve]'")
    pytest.importorskip("faiss", reason="the gallery needs FAISS: pip install 'resight[gallery]'")
    if CHROMIUM is None:
        pytest.skip("the page's tests need Chromium: apt install chromium")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_context(timezone_id="UTC").new_page()
        browser.close()


@dataclass(frozen=True)
class Site:
    """A running service, and what it serves."""

    url: str
    gallery: Gallery

    def named(self) -> dict[str, int]:
        """How many records each name has."""
        return {person.name: person.records for person in self.gallery.identities()}


@contextmanager
def running(app: Any) -> Iterator[str]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)


def add_sightings(gallery: Gallery) -> None:
    """Six sightings of each person."""
    shots = [(person, which) for person in range(1, 7) for which in range(6)]
    gallery.add(
        [sighting(*shot) for shot in shots],
        cameras=[CAMERAS[which % 3] for _, which in shots],
        times=[BEGIN + 5000 * which + 400 * person for person, which in shots],
        identities=[NAMES.get(person) for person, _ in shots],
        sources=[f"camera {which % 3}, frame {person}" for person, which in shots],
        basis="drawn",
    )


@pytest.fixture(scope="session")
def filled(seeing: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a gallery with all sightings, to be copied."""
    path = tmp_path_factory.mktemp("filled") / "seen.db"
    with Gallery.open(path, resight.Embedder(seeing, "torch"), actor="tests") as gallery:
        add_sightings(gallery)
    return path


@pytest.fixture
def serve(tab: Any, tmp_path: Path, seeing: Model, filled: Path) -> Iterator[Callable[..., Site]]:
    """A factory of running services: ``serve(model, keys=...)``; ``fill=False`` leaves the gallery empty."""
    from resight.server.app import make_app

    with ExitStack() as stack:

        def start(model: Model = seeing, *, fill: bool = True, **settings: Any) -> Site:
            embedder = resight.Embedder(model, "torch")
            if fill and model is seeing:
                shutil.copy(filled, tmp_path / "seen.db")
            gallery = stack.enter_context(Gallery.open(tmp_path / "seen.db", embedder, actor="tests"))
            if fill and model is not seeing:
                add_sightings(gallery)
            url = stack.enter_context(running(make_app(gallery, embedder, Settings(**{"rate": 0, **settings}))))
            return Site(url, gallery)

        yield start


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    return serve()


@pytest.fixture
def visit(tab: Any) -> Iterator[Callable[..., Any]]:
    """Go somewhere: ``visit(url, width=360)``. No page may have an error in its console, nor break its policy."""
    said: list[str] = []
    listeners = {
        "console": lambda message: said.append(message.text) if message.type == "error" else None,
        "pageerror": lambda error: said.append(str(error)),
        "dialog": lambda dialog: (said.append(f"alert: {dialog.message}"), dialog.dismiss()),
    }

    def go(url: str, width: int = 1100, height: int = 700) -> Any:
        tab.set_viewport_size({"width": width, "height": height})
        tab.emulate_media(color_scheme="light", reduced_motion="reduce")
        tab.goto(url)
        tab.locator("nav [aria-current]").wait_for()
        return tab

    tab.set_default_timeout(PATIENCE)
    for name, call in listeners.items():
        tab.on(name, call)
    yield go
    for name, call in listeners.items():
        tab.remove_listener(name, call)
    refused = "Failed to load resource"  # what the browser adds to each 4xx that the page shows as a sentence
    assert [line for line in said if not line.startswith(refused)] == []


@pytest.fixture
def page(site: Site, visit: Callable[..., Any]) -> Any:
    return visit(site.url)


def upload(data: bytes, name: str = "seen.png") -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def ask(page: Any, data: bytes) -> None:
    """Search with a picture, and wait for the results."""
    page.locator("#query-file").set_input_files(upload(data))
    page.locator("#results:not([aria-busy]) .card").first.wait_for()


def expect(target: Any) -> Any:
    from playwright.sync_api import expect

    return expect(target)
