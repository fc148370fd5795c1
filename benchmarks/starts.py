"""How many starts hang: a process whose first work on a library is done by two threads at the same moment.

    python benchmarks/starts.py --starts 200

``engines`` is what the first start of ``resight serve`` does: engines that were never measured, and the first requests
in two threads. The others are the first use of one library each. A start that is not over within ``--deadline``
seconds is ended and counts as hung. It prints a table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from deadline import Hung, add_deadline, run

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
from resight.gallery.sqlite.scan import faiss
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


def start(script: str, seconds: float) -> str:
    """``ready``, ``hung``, or the last line of what went wrong, of one start with a cache of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        settings = {"RESIGHT_CACHE": cache, "NUMBA_CACHE_DIR": cache, "OMP_NUM_THREADS": "2"}
        command = [sys.executable, "-c", TOGETHER + script]
        try:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            done = run(command, seconds, env=os.environ | settings, text=True, cwd=cache, **pipes)
        except Hung:
            return "hung"
    return "ready" if not done.returncode else (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--starts", type=int, default=200)
    add_deadline(options, 90)
    options.add_argument("--only", nargs="+", choices=STARTS, default=list(STARTS))
    given = options.parse_args()
    print("| first use | starts | hung | failed |\n|---|---:|---:|---:|")
    bad = 0
    for name in given.only:
        ended = [start(STARTS[name], given.deadline) for _ in range(given.starts)]
        failed = [how for how in ended if how not in ("ready", "hung")]
        print(f"| {name} | {given.starts} | {ended.count('hung')} | {len(failed)} |", flush=True)
        for how in sorted(set(failed)):
            print(how, file=sys.stderr)
        bad += given.starts - ended.count("ready")
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
