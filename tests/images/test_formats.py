"""Every kind of image file that resight lists is read; cameras' own ways of writing JPEGs and greys are understood."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from resight.errors import DataError
from resight.files import IMAGE_SUFFIXES
from resight.images.decode import decode_bytes, is_image_file

PIXELS = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 256, (8, 4, 3), dtype=np.uint8), 8, 0), 8, 1)
LOSSY = {"JPEG", "WEBP", "GIF", "AVIF", "HEIF", "JPEG2000", "MPO"}


def written(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    file = io.BytesIO()
    if kind == "HEIF":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(Image.fromarray(pixels)).save(file, quality=95)
    else:
        Image.fromarray(pixels).save(file, "JPEG" if kind == "MPO" else kind)
    return file.getvalue()


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_what_is_listed_as_an_image_is_read(suffix: str) -> None:
    Image.init()
    kind = Image.EXTENSION.get(suffix, "JPEG" if suffix in (".jif",) else "HEIF")
    found = decode_bytes(written(kind), f"a{suffix}")
    assert found.shape == PIXELS.shape and found.dtype == np.uint8
    far = np.abs(found.astype(int) - PIXELS).mean()
    assert far < 30 if kind in LOSSY else far == 0


def test_heic_without_its_reader_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written("HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataError, match=r"a\.heic is a HEIF image, which needs pillow-heif: pip install 'resight"):
        decode_bytes(data, "a.heic")


def test_jpegs_as_webcams_write_them() -> None:
    whole = written("JPEG")
    right, table = decode_bytes(whole, "a"), whole.index(b"\xff\xc4")
    for data in (whole[:-2] + b"\0\0" + whole[-2:], whole[:table] + b"\0\0" + whole[table:], whole[:-2]):
        assert np.abs(decode_bytes(data, "a").astype(int) - right).max() <= 2
    with pytest.raises(DataError, match="is not a complete image"):
        decode_bytes(whole[: len(whole) * 2 // 3], "a")


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("size", [(60, 33), (64, 32), (128, 64)])
def test_a_jpeg_without_its_end_marker_alone_is_whole(size: tuple[int, int], quality: int) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(quality).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=quality)
    whole = file.getvalue()
    for left_out in (1, 2):
        assert np.array_equal(decode_bytes(whole[:-left_out], "a"), decode_bytes(whole, "a"))
    for left_out in (3, 5, 8, 40):
        with pytest.raises(DataError, match="is not a complete image"):
            decode_bytes(whole[:-left_out], "a")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_greys_are_scaled_by_what_they_hold(bits: int, kind: str) -> None:
    grey = np.linspace(0, 2**bits - 1, 2048).astype(np.uint16).reshape(64, 32)
    found = decode_bytes(written(kind, grey), "a")
    np.testing.assert_array_equal(found[..., 0], (grey // 2 ** (bits - 8)).astype(np.uint8))
    assert found.max() == 255 and (found == found[..., :1]).all()


def test_a_file_is_known_by_name_or_by_how_it_begins(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "photo").write_bytes(written("PNG"))
    (folder / "notes").write_text("no image")
    assert is_image_file(folder / "photo") and is_image_file("missing.jpg") and not is_image_file(folder / "notes")


def test_importing_and_decoding_change_nothing_of_the_program() -> None:
    script = """
import io, os, warnings
import cv2, numpy as np, torch, PIL.Image
cv2.setNumThreads(3); torch.backends.cuda.matmul.allow_tf32 = True; os.umask(0o027)
def state():
    os.umask(mask := os.umask(0))
    return (cv2.getNumThreads(), torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, mask,
            torch.get_default_dtype(), PIL.Image.MAX_IMAGE_PIXELS, torch.is_grad_enabled(), list(warnings.filters),
            np.geterr(), torch.initial_seed(), np.random.get_state()[1].tolist(), os.getcwd(),
            {name: value for name, value in os.environ.items() if not name.startswith("KMP_")})  # scikit-learn's
before = state()
import resight
images = [np.zeros((64, 32, 3), np.uint8)] * 2
for engine in ("auto", "torch", "onnx", "openvino"):
    try:
        resight.Embedder(resight.load(), engine)(images)
    except resight.ModelError:
        pass
vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
some = resight.Embeddings(vectors, np.arange(40) % 5 + 1, np.arange(40) % 4)
resight.evaluate(some, some)
after = state()
assert after == before, [pair for pair in zip(before, after) if pair[0] != pair[1]]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
