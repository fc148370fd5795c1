"""Draws the pictures of the service's page: python docs/page_figures.py [RUN]. Everybody on them is drawn.

RUN is the run folder that ``resight demo`` leaves behind, ``demo/run`` by default; the demo is run where there is none.
It needs playwright and Debian's chromium.
"""

import io
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import resight
from resight import demo
from resight.datasets import synthetic
from resight.embedding.embedder import Embedder
from resight.gallery.gallery import Gallery
from resight.server.app import make_app
from resight.server.settings import Settings

FOLDER = Path(__file__).parent / "figures"
CAMERAS = ("north gate", "hall", "platform 2", "car park")
NAMES = ("Ada", "Grace", "Alan", "Emmy", "Mary", "Srinivasa", "Rosalind", "Kurt")
FIRST, PEOPLE = 1001, 24  # people whom the demo's model never saw; the first of them have the names
CALIBRATED = range(2001, 2061)  # and others, on whom it is calibrated
BEGIN = 1_794_988_800.0  # a morning in November 2026


def picture(person: int, camera: int, which: int) -> bytes:
    """One drawn picture as JPEG; cameras from 1."""
    drawn = synthetic.draw("person", person, camera, which, size=(256, 128))
    return bytes(cv2.imencode(".jpg", drawn[..., ::-1])[1].tobytes())


def embedder(run: Path) -> Embedder:
    """The demo's model, calibrated on people whom it never saw."""
    if not (run / "model.safetensors").is_file():
        demo.run(run.parent)
    model = resight.load(run / "model.safetensors")
    shots = [(person, camera, which) for person in CALIBRATED for camera in (1, 2, 3, 4) for which in (0, 1)]
    found = resight.Embedder(model)([picture(*shot) for shot in shots])
    people, cameras, _ = np.array(shots).T
    known = resight.Embeddings(found.vectors, people, cameras, fingerprint=found.fingerprint)
    decision = resight.calibrate((known, known), false_match_rate=1e-2, coverage=0.9, metric="cosine")
    kept = {"decision": decision.plain(), "threshold": decision.threshold, "metric": "cosine"}
    return Embedder(replace(model, card=model.card.model_copy(update=kept)))


def fill(gallery: Gallery) -> None:
    """Two days under four cameras."""
    random = np.random.default_rng(4)
    shots = [(person, camera, which) for person in range(PEOPLE) for which in (0, 1) for camera in (1, 2, 3, 4)]
    walks = random.permuted(np.tile(np.arange(8), (PEOPLE, 1)), axis=1)  # the order in which each came by
    times = [
        BEGIN + 86_400 * (walks[person, at] // 4) + 9000 * (walks[person, at] % 4) + random.uniform(0, 6000)
        for person in range(PEOPLE)
        for at in range(8)
    ]
    gallery.add(
        [picture(FIRST + person, camera, which) for person, camera, which in shots],
        cameras=[CAMERAS[camera - 1] for _, camera, _ in shots],
        times=times,
        identities=[NAMES[person] if person < len(NAMES) else None for person, _, _ in shots],
        sources=[f"{CAMERAS[camera - 1]}.mp4, frame {100 * person + which}" for person, camera, which in shots],
        basis="drawn, nobody's picture",
    )


@contextmanager
def served(gallery: Gallery) -> Iterator[str]:
    """The address of a service of the gallery."""
    app = make_app(gallery, gallery.embedder, Settings(rate=0))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def save(page: Page, name: str) -> None:
    """What the page shows, as a PNG of 256 colours."""
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    few = shot.quantize(palette=shot.quantize(256, kmeans=2))  # with dithering, which needs a palette
    few.save(FOLDER / f"page-{name}.png", optimize=True)


def ask(page: Page, url: str) -> None:
    """A picture of Ada, under the third camera, that is not in the gallery."""
    page.goto(url)
    asked = {"name": "visitor.jpg", "mimeType": "image/jpeg", "buffer": picture(FIRST, 3, 4)}
    page.locator("#query-file").set_input_files(asked)
    page.locator("#results .card img[src]").first.wait_for()


def main(run: Path) -> None:
    """A search, a record and a timeline; light, dark and on a phone."""
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "seen.db", embedder(run)) as gallery:
        fill(gallery)
        with served(gallery) as url, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(timezone_id="Europe/Berlin", viewport={"width": 1280, "height": 860})
            ask(page, url)
            save(page, "search")
            page.locator("#results .card > button").nth(1).click()
            save(page, "details")
            page.emulate_media(color_scheme="dark")
            page.goto(f"{url}#/people/Ada")
            save(page, "timeline")
            page.emulate_media(color_scheme="light")
            page.set_viewport_size({"width": 360, "height": 760})
            ask(page, url)
            save(page, "phone")
            page.locator("#found-title").scroll_into_view_if_needed()
            page.evaluate("document.getElementById('ruler').scrollIntoView()")
            save(page, "phone-results")
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo/run"))
