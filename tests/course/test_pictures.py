"""The course system's data sets against one image at a time, by Pillow and numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

from resight.course.pictures import IDLossDataset, RandomTripletDataset, RetrievalDataset, transform
from resight.errors import DataError

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SHAPES = [(128, 64), (64, 128), (200, 77), (33, 300), (20, 11), (128, 128), (1, 60), (51, 50)]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_hand(pixels: NDArray[np.uint8], anchor: str = "corner") -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The four operations in the hand-out's order on (H, W, 3): (3, 128, 128), and where it is padding."""
    unit = pixels.astype(np.float64) / 255  # 1
    normal = (unit - MEAN) / STD  # 2
    rows, columns = pixels.shape[:2]
    height = 128 if rows >= columns else max(1, round(rows * 128 / columns))
    width = 128 if columns >= rows else max(1, round(columns * 128 / rows))
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
        for channel in normal.transpose(2, 0, 1)
    ]  # 3; Pillow's bilinear filter widens where it shrinks an image, which is what anti-aliasing is
    top, left = ((128 - height) // 2, (128 - width) // 2) if anchor == "centre" else (0, 0)
    out, padding = np.zeros((3, 128, 128)), np.ones((3, 128, 128), bool)
    out[:, top : top + height, left : left + width] = channels  # 4
    padding[:, top : top + height, left : left + width] = False
    return out, padding


def png(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four train images, eleven gallery images, two queries, with their CSV files; each image has its own seed."""
    for at in range(4):
        png(tmp_path / "train" / f"{at}.png", noise(40 + at, 20, at))
    for at in range(11):
        png(tmp_path / "val" / "gallery" / f"{at}.png", noise(30, 15 + at, 100 + at))
    for at in range(2):
        png(tmp_path / "val" / "query" / f"{at}.png", noise(25, 60, 200 + at))
    tables = {
        "train_idloss.csv": ["filepath,id", *(f"train/{at}.png,{at * 7}" for at in range(4))],
        "train_random_triplet.csv": ["anchor,positive,negative", "train/2.png,train/0.png,train/3.png"],
        "val/gt.csv": ["query,gallery", "query/1.png,gallery/10.png", "query/0.png,gallery/2.png"],
        "val/pred.csv": ["query,gallery", "query/1.png,", "query/0.png,"],
    }
    for name, lines in tables.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("anchor", ["corner", "centre"])
def test_the_four_operations_in_their_order(shape: tuple[int, int], anchor: str) -> None:
    pixels = noise(*shape)
    expected, padding = by_hand(pixels, anchor)
    found = transform(pixels, anchor)  # type: ignore[arg-type]
    assert found.shape == (3, 128, 128) and found.dtype == torch.float32 and found.is_contiguous()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert (found.numpy()[padding] == 0).all() and (found.numpy()[~padding] != 0).mean() > 0.99


def test_padding_is_at_the_right_and_the_bottom_unless_asked_otherwise() -> None:
    tall, wide = transform(noise(100, 50)), transform(noise(50, 100))
    assert (tall[:, :, 64:] == 0).all() and tall[:, :, :64].abs().amin(0).gt(0).float().mean() > 0.98
    assert (wide[:, 64:] == 0).all() and wide[:, :64].abs().amin(0).gt(0).float().mean() > 0.98
    centred = transform(noise(100, 50), "centre")
    assert torch.equal(centred[:, :, 32:96], tall[:, :, :64]) and (centred[:, :, :32] == 0).all()


def test_a_square_of_the_right_size_is_only_normalised() -> None:
    pixels = noise(128, 128)
    expected = ((pixels / 255 - MEAN) / STD).transpose(2, 0, 1)
    np.testing.assert_allclose(transform(pixels), expected, atol=1e-5)


def test_id_loss_items_are_images_and_ids(root: Path) -> None:
    data = IDLossDataset(root / "train_idloss.csv", num_identities=22)
    assert len(data) == 4
    images, ids = next(iter(DataLoader(data, batch_size=4, shuffle=False)))
    assert images.shape == (4, 3, 128, 128) and ids.tolist() == [0, 7, 14, 21] and ids.dtype == torch.int64
    for at, image in enumerate(images):
        np.testing.assert_allclose(image, by_hand(noise(40 + at, 20, at))[0], atol=2e-5)
    with pytest.raises(DataError, match="line 5: the id is '21'"):
        IDLossDataset(root / "train_idloss.csv", num_identities=21)


def test_triplet_items_are_three_images(root: Path) -> None:
    data = RandomTripletDataset(root / "train_random_triplet.csv")
    assert len(data) == 1
    for image, at in zip(data[0], (2, 0, 3), strict=True):
        np.testing.assert_allclose(image, by_hand(noise(40 + at, 20, at))[0], atol=2e-5)
    batch = next(iter(DataLoader(data, batch_size=1)))
    assert [part.shape for part in batch] == [(1, 3, 128, 128)] * 3


def test_the_gallery_comes_in_the_order_of_its_numbers(root: Path) -> None:
    gallery = RetrievalDataset(root / "val" / "gt.csv").get_gallery_imgs()
    assert gallery.shape == (11, 3, 128, 128)
    for at, image in enumerate(gallery):  # 10.png is the last, though its name sorts before 2.png
        np.testing.assert_allclose(image, by_hand(noise(30, 15 + at, 100 + at))[0], atol=2e-5)


def test_queries_come_with_the_index_of_their_gallery_image(root: Path) -> None:
    data = RetrievalDataset(root / "val" / "gt.csv")
    assert len(data) == 2
    images, index = next(iter(DataLoader(data, batch_size=64, shuffle=False)))
    assert index.tolist() == [10, 2]
    for image, at in zip(images, (1, 0), strict=True):
        np.testing.assert_allclose(image, by_hand(noise(25, 60, 200 + at))[0], atol=2e-5)


def test_without_answers_the_index_is_minus_one(root: Path) -> None:
    data = RetrievalDataset(root / "val" / "pred.csv")
    assert [data[at][1] for at in range(2)] == [-1, -1]
    assert torch.equal(data[0][0], RetrievalDataset(root / "val" / "gt.csv")[0][0])


def test_the_anchor_reaches_every_image(root: Path) -> None:
    for data in (
        IDLossDataset(root / "train_idloss.csv", anchor="centre"),
        RandomTripletDataset(root / "train_random_triplet.csv", anchor="centre"),
        RetrievalDataset(root / "val" / "gt.csv", anchor="centre"),
    ):
        for image in [part for part in data[0] if isinstance(part, torch.Tensor)]:
            assert (image[:, 0] == 0).all() or (image[:, :, 0] == 0).all()
    gallery = RetrievalDataset(root / "val" / "gt.csv", anchor="centre").get_gallery_imgs()
    assert (gallery[:, :, :, 0] == 0).all()


def test_they_can_be_loaded_by_worker_processes(root: Path) -> None:
    batches = list(DataLoader(IDLossDataset(root / "train_idloss.csv"), batch_size=2, num_workers=1))
    assert [ids.tolist() for _, ids in batches] == [[0, 7], [14, 21]]


def test_a_broken_image_is_named_when_it_is_read(root: Path) -> None:
    (root / "train" / "2.png").write_bytes(b"not a picture")
    data = IDLossDataset(root / "train_idloss.csv")
    assert data[1][1] == 7
    with pytest.raises(DataError, match=r"train/2\.png is not an image"):
        data[2]
