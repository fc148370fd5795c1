"""Small jobs whose results are known, each in a process of its own: one that crashes or hangs harms nothing else.

``python -m resight.doctor.probes NAME`` does one job and prints what it found as JSON.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from resight.doctor.finding import Finding

PATIENCE = 90.0  # seconds; a loaded machine with a cold disk takes 20
Found = dict[str, str]


def engine(name: str) -> Found:
    """Embed noise by an engine and compare it with plain torch."""
    import torch

    from resight.embedding.engines.convert import example
    from resight.embedding.engines.make import build
    from resight.models.loading import load

    model = load()
    images = example(model, 4)
    with torch.inference_mode():
        expected = model.network.eval()(images).embedding
        vectors = build(model, name, torch.device("cpu"))(images).embedding
    error = float((vectors - expected).abs().max() / expected.abs().max())
    if not error < 1e-4:
        raise ValueError(f"its embeddings differ from torch's by {error:.1e} of the largest entry")
    return {"works": f"yes, within {error:.0e} of torch"}


def decoding() -> Found:
    """Decode a picture in three formats."""
    from PIL import Image

    from resight.images.decode import decode_bytes

    ramp = np.linspace(0, 255, 32 * 16).astype(np.uint8).reshape(32, 16)
    pixels = np.stack([ramp, ramp[::-1], np.full_like(ramp, 90)], axis=2)
    for kind, most in (("PNG", 0), ("JPEG", 40), ("WEBP", 60)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        error = int(np.abs(decode_bytes(file.getvalue(), kind).astype(int) - pixels).max())
        if error > most:
            raise ValueError(f"the pixels of a {kind} differ by {error} of 255")
    return {"works": "yes"}


def video() -> Found:
    """Write and read ten frames of a film."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        with av.open(str(film), "w") as out:
            stream = out.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for shade in range(10):
                pixels = np.full((48, 64, 3), 20 * shade, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(stream.encode())
        with av.open(str(film)) as opened:
            frames = [frame.to_ndarray(format="rgb24").mean() for frame in opened.decode(video=0)]
    if len(frames) != 10 or np.abs(np.array(frames) - 20 * np.arange(10)).max() > 12:
        raise ValueError("the frames that were read are not those that were written")
    return {"works": "yes"}


def evaluation() -> Found:
    """Evaluate embeddings whose ranking is perfect."""
    from resight.records import Embeddings
    from resight.retrieval.evaluation.evaluate import evaluate

    vectors = np.repeat(np.random.default_rng(0).normal(size=(20, 16)), 4, axis=0).astype(np.float32)
    known = Embeddings(vectors, identities=np.arange(80) // 4 + 1, cameras=np.arange(80) % 4)
    report = evaluate(known, known)
    if report.mAP < 0.999:
        raise ValueError(f"embeddings that rank perfectly have mAP {report.mAP:.1%}")
    return {"works": "yes"}


def gallery() -> Found:
    """Add to a gallery, index it, search it and erase from it."""
    from resight.gallery.gallery import Gallery
    from resight.models.card import Card
    from resight.records import Embeddings

    vectors = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    card = Card(architecture="probe", dim=16, metric="cosine", fingerprint="probe")
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "probe", card) as opened:
        ids = opened.add(Embeddings(vectors)).ids
        if opened.search(vectors[7], k=1)[0].record.id != ids[7]:
            raise ValueError("a search did not find the record itself")
        if opened.erase(ids=[ids[7]]) != 1 or len(opened) != 63:
            raise ValueError("a record was not erased")
    return {"works": "yes"}


def gpu() -> Found:
    """Multiply two matrices on the GPU that torch uses, if there is one."""
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if not there:
        apple = getattr(torch.backends, "mps", None)
        if apple is not None and apple.is_available():
            return {"gpu": "Apple (mps)"}
        built = torch.version.cuda or torch.version.hip or ""
        reason = str(said[0].message).splitlines()[0] if said else ""
        return {"gpu": "", "built for": built, "reason": reason}
    about = torch.cuda.get_device_properties(0)
    a = torch.randn((64, 64), generator=torch.Generator().manual_seed(0))
    error = float(((a.cuda() @ a.cuda()).cpu() - a @ a).abs().max())
    if not error < 0.5:
        raise ValueError(f"a product of matrices on {about.name} differs by {error:.1e} from the processor's")
    return {"gpu": f"{about.name}, {about.total_memory / 1e9:.0f} GB", "built for": torch.version.cuda or ""}


PROBES: Mapping[str, Callable[[], Found]] = {
    "decoding": decoding,
    "video": video,
    "evaluation": evaluation,
    "gallery": gallery,
    "gpu": gpu,
    "engine torch": lambda: engine("torch"),
    "engine onnx": lambda: engine("onnx"),
    "engine openvino": lambda: engine("openvino"),
}
CURES = {
    "decoding": "pip install --force-reinstall pillow simplejpeg opencv-python-headless",
    "video": "pip install --force-reinstall av",
    "evaluation": "pip install --force-reinstall numpy scipy, and numba where it is installed",
    "gallery": "check that the folder for temporary files can be written, then pip install --force-reinstall faiss-cpu",
    "gpu": "update the driver, or install the build of torch for this driver (pytorch.org/get-started)",
    "engine torch": "pip install --force-reinstall torch",
    "engine onnx": "pip install --force-reinstall onnx onnxruntime; until then the engine 'torch' works",
    "engine openvino": "pip install --force-reinstall onnx openvino; until then the engine 'torch' works",
}


def probe(name: str, patience: float = PATIENCE) -> Found | Finding:
    """What one job found in a process of its own, or how it failed."""
    with tempfile.TemporaryDirectory() as cache:  # a check leaves nothing behind
        environment = os.environ | {"RESIGHT_CACHE": cache}
        command = [sys.executable, "-m", "resight.doctor.probes", name]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            again = "run resight doctor again when the machine has less to do; if it still does not"
            sentence = f"{name[:1].upper()}{name[1:]} did not end within {patience:g} s: {again}, {CURES[name]}."
            return Finding("broken", sentence)
        except OSError as error:
            return _failed(name, f"could not be started ({error.strerror})")
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        found: Found = json.loads(lines[-1])
        return found
    if done.returncode < 0:
        return _failed(name, f"was ended by {signal.Signals(-done.returncode).name}")
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return _failed(name, said[-1][:300].rstrip("."))


def _failed(name: str, how: str) -> Finding:
    return Finding("broken", f"{name[:1].upper()}{name[1:]} does not work ({how}): {CURES[name]}.")


def probe_all(
    names: list[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Found | Finding]:
    """Every job by its name, as many at a time as there are processors."""
    found: dict[str, Found | Finding] = {}
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        for name, one in zip(names, pool.map(probe, names), strict=True):
            found[name] = one
            progress(len(found), len(names))
    return found


if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]]()))
