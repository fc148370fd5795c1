"""How many starts hang: a process whose first work on a library is done by two threads at the same moment.

    python benchmarks/starts.py --starts 200

``serve`` is ``resight serve`` itself with engines that were never measured: it has to become ready, to answer two
searches by picture at the same moment and to end on SIGTERM. ``engines`` is the same without a service; the others are
the first use of one library each. A start that is not over within ``--deadline`` seconds is ended and counts as hung.
It prints a table.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deadline import Hung, add_deadline, killed_after, run
from PIL import Image

TOGETHER = """
import faulthandler, sys, threading
import numpy as np
import resight

def together(*work):
    start, failed = threading.Barrier(len(work)), []
    def run(one):
        start.wait()
        try:
            one()
        except BaseException as error:
            failed.append(error)
    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]

rng = np.random.default_rng(0)
images = list(rng.integers(0, 256, (70, 64, 32, 3), dtype=np.uint8))
def model():
    return resight.load("osnet_x0_25", height=64, width=32)
def vectors(seed):
    made = np.random.default_rng(seed).normal(size=(60, 16)).astype(np.float32)
    return resight.Embeddings(made, np.arange(60) % 10 + 1, np.arange(60) % 3)
"""

STARTS = {
    "engines": """
embedder = resight.Embedder(model(), "auto", batch_size=32)
together(lambda: embedder(images), lambda: embedder(images[::-1]))
""",
    "openvino": """
first, second = (resight.Embedder(model(), "openvino", batch_size=32) for _ in range(2))
together(lambda: first(images), lambda: second(images))
""",
    "numba": """
from resight.retrieval.ranking.counting import kernel
def count():
    products, squares = np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)
    offsets, low, high = np.array([0, 1, 2]), np.float32([1, 4]), np.float32([1, 4])
    room = np.zeros(8, np.int64)
    return kernel()(products, squares, offsets, low, high, np.zeros(2, np.int64), room, room.copy())
together(count, count)
""",
    "evaluate": """
one, two = vectors(0), vectors(1)
together(lambda: resight.evaluate(one, one), lambda: resight.evaluate(two, two))
""",
    "faiss": """
import tempfile
from resight.gallery.vectors.scan import faiss
found = []
together(*[lambda: found.append(faiss().IndexFlatL2(16).ntotal)] * 2)
""",
    "scikit-learn": """
from resight.decisions.probability import logistic
knots = np.linspace(0, 1, 9), np.arange(9)[::-1].copy(), np.arange(9)
together(*[lambda: logistic(*knots)] * 2)
""",
    "decoders": """
import io
from PIL import Image
from resight.images.decode import decode_bytes
def written(kind):
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, kind)
    return file.getvalue()
kinds = [written(kind) for kind in ("PNG", "JPEG", "AVIF", "JPEG2000")]
together(*[lambda kind=kind: decode_bytes(kind, "image") for kind in kinds * 2])
""",
}


GALLERY = """
model().save("model.safetensors")
with resight.Gallery.open("seen", "model.safetensors") as gallery:
    gallery.add(resight.Embeddings(np.ones((1, gallery.card.dim), np.float32)))
"""


def settings(cache: str) -> dict[str, str]:
    """The environment of a start that finds nothing in its cache."""
    return os.environ | {"RESIGHT_CACHE": cache, "NUMBA_CACHE_DIR": cache, "OMP_NUM_THREADS": "2"}


def start(script: str, seconds: float) -> str:
    """``ready``, ``hung``, or the last line of what went wrong, of one start with a cache of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        command = [sys.executable, "-c", TOGETHER + script]
        try:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            done = run(command, seconds, env=settings(cache), text=True, cwd=cache, **pipes)
        except Hung:
            return "hung"
    return "ready" if not done.returncode else (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]


def serve(gallery: Path, seconds: float) -> str:
    """As :func:`start`, of ``resight serve`` with a copy of ``gallery``."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        shutil.copytree(gallery, cache, dirs_exist_ok=True)
        command = [sys.executable, "-m", "resight", "serve", "seen", "-m", "model.safetensors", "--port", "0"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started = subprocess.Popen(command, env=settings(cache), cwd=cache, **pipes)
        with started as service, killed_after(service, seconds):
            wrong = first_answers(service)
            service.send_signal(signal.SIGTERM)
            _, log = service.communicate()
        if service.returncode == -signal.SIGKILL:
            return "hung"
        if service.returncode != -signal.SIGTERM:  # uvicorn ends with the signal that it was sent
            return f"exit {service.returncode}: {log.strip()[-200:]}"
        return wrong or ("ready" if (Path(cache) / "engines" / "measured.json").exists() else "nothing was measured")


def first_answers(service: subprocess.Popen[str]) -> str:
    """Ask a service two things at once as soon as it listens: what went wrong, or nothing."""
    assert service.stdout
    url = (service.stdout.readline().split() or [""])[-1]
    picture = io.BytesIO()
    Image.effect_noise((32, 64), 80).save(picture, "PNG")
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="one.png"\r\n\r\n'
    form = head + picture.getvalue() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    def ask(request: str | urllib.request.Request) -> bytes:
        with urllib.request.urlopen(request) as answer:
            found: bytes = answer.read()
        return found

    try:
        ask(url + "/readyz")
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(ask, [urllib.request.Request(url + "/api/search", form, kind) for _ in range(2)]))
    except (OSError, ValueError) as error:
        return repr(error)
    return ""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--starts", type=int, default=200)
    add_deadline(options, 90)
    choices = ["serve", *STARTS]
    options.add_argument("--only", nargs="+", choices=choices, default=choices)
    given = options.parse_args()
    print("| first use | starts | hung | failed |\n|---|---:|---:|---:|")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        if "serve" in given.only:
            made = [sys.executable, "-c", TOGETHER + GALLERY]
            run(made, given.deadline, check=True, cwd=folder, env=settings(folder))
        for name in given.only:
            ended = []
            for at in range(given.starts):
                one = serve(Path(folder), given.deadline) if name == "serve" else start(STARTS[name], given.deadline)
                ended.append(one)
                print(f"{name} {at + 1}: {one}", file=sys.stderr)
            failed = [how for how in ended if how not in ("ready", "hung")]
            print(f"| {name} | {given.starts} | {ended.count('hung')} | {len(failed)} |", flush=True)
            bad += given.starts - ended.count("ready")
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
