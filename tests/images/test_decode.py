"""Decoding gives (H, W, 3) uint8 RGB or names the file that is not whole."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from resight.errors import DataError
from resight.images.decode import decode, decode_bytes, fit, from_pillow


def noise(height: int = 40, width: int = 24, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels: NDArray[np.uint8], form: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(64, 32), (61, 37)])
def test_jpeg_equals_pillow_bit_for_bit(size: tuple[int, int], subsampling: str, mode: str) -> None:
    data = encoded(noise(*size), "JPEG", mode, quality=80, subsampling=subsampling)
    pixels = decode_bytes(data, "a.jpg")
    assert pixels.shape == (*size, 3) and pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_progressive_and_cmyk_jpeg() -> None:
    smooth = cv2.GaussianBlur(noise(64, 32), (0, 0), 4)
    data = encoded(smooth, "JPEG", progressive=True)
    np.testing.assert_array_equal(decode_bytes(data, "a.jpg"), np.asarray(Image.open(io.BytesIO(data))))
    cmyk = decode_bytes(encoded(smooth, "JPEG", "CMYK", quality=95), "a.jpg")
    assert np.abs(cmyk.astype(int) - smooth).mean() < 2  # JPEG itself loses about one


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_come_back_in_rgb_order(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(decode_bytes(encoded(noise(), form, **options), "a"), noise())


def test_grey_palette_and_alpha_become_rgb() -> None:
    grey = decode_bytes(encoded(noise(), mode="L"), "a.png")
    assert grey.shape == (40, 24, 3) and (grey[..., 0] == grey[..., 2]).all()
    with_alpha = np.dstack([noise(), np.full((40, 24), 7, np.uint8)])
    np.testing.assert_array_equal(decode_bytes(encoded(with_alpha, mode="RGBA"), "a.png"), noise())
    flat = np.zeros((8, 8, 3), np.uint8) + np.array([204, 0, 51], np.uint8)  # in the web palette
    np.testing.assert_array_equal(decode_bytes(encoded(flat, mode="P"), "a.png"), flat)
    seen_through = encoded(flat, mode="P", transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode_bytes(seen_through, "a.png"), flat)


def test_sixteen_bits_keep_the_upper_eight_and_unknown_ranges_are_refused() -> None:
    deep = np.arange(40 * 24, dtype=np.uint16).reshape(40, 24) * 68
    for form in ("PNG", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(deep).save(buffer, form)
        pixels = decode_bytes(buffer.getvalue(), "a")
        np.testing.assert_array_equal(pixels, np.repeat(deep[..., None] // 256, 3, axis=2))
    coloured = cv2.imencode(".png", np.dstack([deep, deep // 2, deep // 3])[..., ::-1])[1].tobytes()  # OpenCV takes BGR
    expected = np.dstack([deep, deep // 2, deep // 3]) // 256
    np.testing.assert_array_equal(decode_bytes(coloured, "a.png"), expected)
    for values in (deep.astype(np.float32), deep.astype(np.int32)):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "TIFF")
        with pytest.raises(DataError, match="whose black and white points are unknown"):
            decode_bytes(buffer.getvalue(), "a.tif")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_applied(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(), form, exif=exif.tobytes())
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decode_bytes(data, "a"), expected)
    assert expected.shape[:2] == ((40, 24) if orientation < 5 else (24, 40))
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(from_pillow(image, "a"), expected)


def test_of_several_frames_the_first() -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in (1, 2, 3)]
    for form in ("TIFF", "PNG", "WEBP", "GIF"):
        buffer = io.BytesIO()
        options = {"lossless": True} if form == "WEBP" else {}
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:], **options)
        with Image.open(io.BytesIO(buffer.getvalue())) as image:
            assert image.n_frames == 3
        first = np.asarray(frames[0].quantize().convert("RGB")) if form == "GIF" else noise(seed=1)
        assert np.abs(decode_bytes(buffer.getvalue(), "a").astype(int) - first).mean() < 2, form


def test_only_formats_of_pictures_are_opened() -> None:
    """An EPS file is a program that Pillow would hand to Ghostscript."""
    with pytest.raises(DataError, match="not an image of a known format"):
        decode_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "a.jpg")


def test_very_long_images_are_images() -> None:
    long = noise(3, 70_000)
    np.testing.assert_array_equal(decode_bytes(encoded(long), "a.png"), long)
    assert fit(long, 32, 16).shape == fit(long, 32, 16, how="letterbox").shape == (32, 16, 3)


def test_what_is_not_a_whole_image_is_named(tmp_path: Path) -> None:
    whole = encoded(noise(), "JPEG")
    bad = {
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"this is not a picture\n", "is not an image of a known format"),
        "cut.jpg": (whole[: len(whole) // 2], "is not a complete image"),
        "barely.jpg": (whole[:-12], "is not a complete image"),
        "header.jpg": (whole[:30], "is not"),
        "cut.png": (encoded(noise())[:-200], "is not a complete image"),
        "cut.bmp": (encoded(noise(), "BMP")[:-200], "is not a complete image"),
    }
    for name, (content, what) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as refused:
            decode(tmp_path / name)
        message = str(refused.value)
        assert f"{tmp_path / name} {what}" in message and message.endswith(".") and "\n" not in message
        assert "object at 0x" not in message
    huge = bytearray(whole)
    at = huge.index(b"\xff\xc0") + 5
    for size in (10_000, 65_535):
        huge[at : at + 4] = 2 * size.to_bytes(2, "big")  # height and width
        with pytest.raises(DataError, match=r"huge\.jpg claims to have more than the 89,478,485 pixels"):
            decode_bytes(bytes(huge), "huge.jpg")
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read"):
        decode(tmp_path / "gone.jpg")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_any_damage_gives_pixels_or_a_data_error(form: str) -> None:
    data, random, refused = encoded(noise(), form), np.random.default_rng(0), 0
    for attempt in range(120):
        wrong = bytearray(data[: random.integers(1, len(data))] if attempt % 2 else data)
        for at in random.integers(0, min(len(wrong), 200), 3):
            wrong[at] = random.integers(0, 256)
        try:
            assert decode_bytes(bytes(wrong), "a").shape[2] == 3
        except DataError:
            refused += 1
    assert refused > 30


# ---- fit


def test_fit_leaves_an_image_of_the_right_size_alone() -> None:
    np.testing.assert_array_equal(fit(noise(), 40, 24), noise())


@pytest.mark.parametrize(("height", "width"), [(20, 12), (20, 24), (40, 6), (10, 4)])
def test_shrinking_by_whole_factors_is_the_mean_of_each_block(height: int, width: int) -> None:
    blocks = noise().reshape(height, 40 // height, width, 24 // width, 3).astype(float)
    assert np.abs(fit(noise(), height, width) - blocks.mean((1, 3))).max() <= 0.5 + 1e-6


def test_growing_is_linear() -> None:
    pixels = np.repeat(np.array([[[0], [100]]], np.uint8), 3, axis=2)  # (1, 2, 3)
    assert fit(pixels, 1, 4)[0, :, 0].tolist() == [0, 25, 75, 100]
    assert fit(pixels, 3, 2)[:, 1, 2].tolist() == [100, 100, 100]


@pytest.mark.parametrize("size", [(40, 24), (30, 80), (100, 10), (1, 50), (64, 32)])
def test_letterbox_keeps_proportions_centred_on_black(size: tuple[int, int]) -> None:
    out = fit(np.full((*size, 3), 255, np.uint8), 64, 32, how="letterbox")
    assert out.shape == (64, 32, 3)
    rows, columns = np.flatnonzero(out.any((1, 2))), np.flatnonzero(out.any((0, 2)))
    factor = min(64 / size[0], 32 / size[1])
    assert abs(len(rows) - size[0] * factor) <= 1 and abs(len(columns) - size[1] * factor) <= 1
    assert len(rows) == 64 or len(columns) == 32
    assert abs(rows[0] - (63 - rows[-1])) <= 1 and abs(columns[0] - (31 - columns[-1])) <= 1
    assert (out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 255).all()
