"""Any number of pictures as batches: each read rightly or named with its reason, in order, and never many at a time."""

import io
import weakref
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from resight.errors import DataError
from resight.images.batches import prefetch
from resight.images.decode import LARGEST, fit
from resight.images.quality import quality
from resight.images.stream import Item, read
from resight.models.card import Preprocessing

TO = Preprocessing(height=32, width=16)
KINDS = ("cut", "flipped bits", "zeroed", "header", "wrong type", "empty", "glued", "huge", "odd mode", "whole")


def noise(height: int = 32, width: int = 16, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drawn(seed: int) -> Image.Image:
    """A smooth picture with an edge in it, which compresses like a photograph."""
    rows, columns = np.mgrid[:32, :16]
    planes = [(rows * (seed % 7 + 1 + c) + columns * (3 * c + 1)) % 256 for c in range(3)]
    pixels = np.stack(planes, axis=2).astype(np.uint8)
    pixels[10:20, 4:12] = (seed * 37 % 256, seed * 91 % 256, 200)
    return Image.fromarray(pixels)


def corrupted(seed: int) -> bytes:
    """A picture file to which something was done; the same seed gives the same bytes."""
    random = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    form = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")[seed // len(KINDS) % 7]
    image = drawn(seed)
    if kind == "odd mode":
        image = image.convert(("L", "P", "1", "CMYK", "RGBA", "LA", "I;16", "I", "F")[seed // 70 % 9])
        form = "TIFF" if image.mode in ("CMYK", "I", "F") else "PNG"
    exif = Image.Exif()
    exif[0x0112] = int(random.integers(0, 10))
    out = io.BytesIO()
    image.save(out, form, **({} if form in ("BMP", "GIF", "PPM") else {"exif": exif.tobytes()}))
    data = bytearray(out.getvalue())
    if kind == "cut":
        del data[random.integers(1, len(data)) :]
    elif kind == "flipped bits":
        for at in random.integers(0, len(data), 4):
            data[at] ^= 1 << random.integers(0, 8)
    elif kind == "zeroed":
        start = int(random.integers(0, len(data)))
        data[start : start + 64] = bytes(len(data[start : start + 64]))
    elif kind == "header":
        data[: random.integers(2, 24)] = random.bytes(8)
    elif kind == "wrong type":
        data[:] = (b"<html>404</html>", b"PK\3\4" + bytes(40), b"%PDF-1.7\n", b"\0" * 64, b"\x7fELF")[seed % 5]
    elif kind == "empty":
        data.clear()
    elif kind == "glued":
        data += data[: len(data) // 2]
    elif kind == "huge":
        data = bytearray(b"P6 60000 60000 255\n" if seed % 20 > 9 else b"BM" + data[2:])
    return bytes(data)


def by_pillow(data: bytes) -> NDArray[np.uint8] | None:
    """The picture as Pillow alone decodes it; None where it refuses."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > LARGEST:
                return None
            try:
                turned = ImageOps.exif_transpose(image)
            except SyntaxError:  # an EXIF that cannot be read says nothing
                turned = image
            if turned.mode.startswith("I;16"):
                grey = np.asarray(turned)
                deepest = next(bits for bits in (8, 10, 12, 14, 16) if grey.max() < 2**bits)
                turned = Image.fromarray((grey >> (deepest - 8)).astype(np.uint8))
            return np.asarray(turned.convert("RGBA" if turned.mode == "P" else "RGB").convert("RGB"))
    except Exception:
        return None


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_a_thousand_damaged_images_are_read_rightly_or_named() -> None:
    files = [corrupted(seed) for seed in range(1000)]
    items = (Item(at, f"file {at}", data) for at, data in enumerate(files))
    good: dict[int, NDArray[np.uint8]] = {}
    bad: dict[int, str] = {}
    for batch in read(items, TO, batch_size=37):
        good |= dict(zip(batch.positions.tolist(), batch.pixels, strict=True))
        bad |= {one.position: one.reason for one in batch.bad}
        assert all(f"{one.name} " in one.reason and one.reason.endswith(".") for one in batch.bad)
    assert sorted([*good, *bad]) == list(range(1000))
    assert len(good) > 300 and len(bad) > 300
    for at, pixels in good.items():
        expected = by_pillow(files[at])
        if expected is None and not files[at].endswith(b"\xff\xd9"):
            expected = by_pillow(files[at] + b"\xff\xd9")  # the end marker alone is missing
        assert expected is not None, f"file {at} is read, but Pillow refuses it"
        np.testing.assert_array_equal(pixels, fit(expected, 32, 16), err_msg=f"file {at}")
    kinds = Counter(KINDS[at % len(KINDS)] for at in bad)
    assert kinds["whole"] == 0 and kinds["empty"] == kinds["wrong type"] == 100
    assert sum("claims to have more than" in reason for reason in bad.values()) >= 50
    stricter = [reason for at, reason in bad.items() if by_pillow(files[at]) is not None]
    unknown = [reason for reason in stricter if "black and white points are unknown" in reason]
    assert {reason.split("mode ")[1][0] for reason in unknown} == {"I", "F"}
    assert all("JPEG" in reason for reason in set(stricter) - set(unknown))  # where Pillow fills up with grey
    assert len(stricter) - len(unknown) < 5


def test_batches_are_full_and_in_order_with_the_bad_left_out() -> None:
    pictures: list[object] = [noise(seed=seed) for seed in range(10)]
    pictures[3], pictures[4], pictures[8], pictures[9] = b"", 7, DataError("said before."), b"no"
    found = list(read((Item(at, f"p{at}", one) for at, one in enumerate(pictures)), TO, batch_size=4))
    assert [batch.positions.tolist() for batch in found] == [[0, 1, 2], [5, 6, 7], []]
    assert [[one.position for one in batch.bad] for batch in found] == [[3], [4], [8, 9]]
    assert found[1].names == ("p5", "p6", "p7") and found[2].pixels.shape == (0, 32, 16, 3)
    np.testing.assert_array_equal(found[1].pixels, np.stack([noise(seed=seed) for seed in (5, 6, 7)]))
    assert found[2].bad[0].reason == "said before."
    assert list(read(iter(()), TO, batch_size=4)) == []


def test_however_many_pictures_there_are_few_are_held() -> None:
    made, held, most = 0, 0, 0

    def gone() -> None:
        nonlocal held
        held -= 1

    def endless() -> Iterator[Item]:
        nonlocal made, held, most
        for at in range(400):
            picture = np.zeros((8, 8, 3), np.uint8)
            weakref.finalize(picture, gone)
            made, held = made + 1, held + 1
            most = max(most, held)
            yield Item(at, "", picture)
            del picture

    for batch in prefetch(read(endless(), TO, batch_size=5)):
        assert len(batch.pixels) == 5
        assert made <= batch.positions[-1] + 1 + 5 * 5  # in the queue, about to be put there, being read
    assert made == 400 and most <= 2 * 5


def test_quality_is_sharpness_times_size() -> None:
    pixels = noise(20, 12)
    grey = np.round(pixels @ [0.299, 0.587, 0.114]) / 255
    around = np.pad(grey, 1, mode="reflect")
    laplacian = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:] - 4 * grey
    assert quality(pixels) == pytest.approx(np.abs(laplacian).mean() * (20 * 12) ** 0.5, rel=0.01)
    assert quality(np.full((20, 12, 3), 90, np.uint8)) == 0
    blurred = np.asarray(Image.fromarray(pixels).resize((6, 10)).resize((12, 20)))
    assert quality(blurred) < quality(pixels) < quality(np.tile(pixels, (2, 2, 1)))
    (batch,) = read([Item(0, "", pixels), Item(1, "", b""), Item(2, "", blurred)], TO, batch_size=4, judge=True)
    assert batch.quality is not None
    assert batch.quality.tolist() == pytest.approx([quality(pixels), quality(blurred)])
