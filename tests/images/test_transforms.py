"""Batched transforms against one image at a time, in plain numpy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.images import transforms
from resight.images.augmentation import COLUMNS, Augmentation, draw
from resight.images.transforms import (
    augment,
    erase,
    flip_and_crop,
    jitter,
    letterbox,
    normalise,
    prepare,
    resize,
    restore,
)
from resight.models.card import Preprocessing

TO = Preprocessing(height=16, width=8)
EVERYTHING = Augmentation(
    flip=0.5, pad_crop=3, brightness=0.2, contrast=0.15, saturation=0.3, erase=0.5, erase_area=(0.05, 0.4)
)


def batch(size: int = 64, height: int = 16, width: int = 8) -> Tensor:
    return torch.randint(
        0, 256, (size, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)
    )


def by_hand(pixels: NDArray[np.uint8], u: NDArray[np.float32], how: Augmentation) -> NDArray[np.float64]:
    """One image (H, W, 3) and its row of the table to the network's input (3, H, W), step by step."""
    H, W, _ = pixels.shape
    if u[0] < how.flip:
        pixels = pixels[:, ::-1]
    p = how.pad_crop
    padded = np.zeros((H + 2 * p, W + 2 * p, 3), np.uint8)
    padded[p : p + H, p : p + W] = pixels
    down, right = int(u[1] * (2 * p + 1)), int(u[2] * (2 * p + 1))
    if u[0] < how.flip:
        right = 2 * p - right  # the shift is drawn in the unflipped image: as likely either way
    x = padded[down : down + H, right : right + W].astype(np.float64)
    grey = np.array([0.299, 0.587, 0.114])
    factor = 1 + np.array([how.brightness, how.contrast, how.saturation]) * (2 * u[3:6].astype(np.float64) - 1)
    x = np.clip(x * factor[0], 0, 255)
    mean = (x @ grey).mean()
    x = np.clip(mean + (x - mean) * factor[1], 0, 255)
    own = (x @ grey)[..., None]
    x = np.clip(own + (x - own) * factor[2], 0, 255)
    x = (x / 255 - np.array(TO.mean)) / np.array(TO.std)
    if u[6] < how.erase:
        area = (how.erase_area[0] + u[7] * (how.erase_area[1] - how.erase_area[0])) * H * W
        ratio = how.erase_ratio[0] * (how.erase_ratio[1] / how.erase_ratio[0]) ** float(u[8])
        height = int(np.clip(np.round(np.sqrt(area * ratio)), 1, H))
        width = int(np.clip(np.round(np.sqrt(area / ratio)), 1, W))
        top, left = int(u[9] * (H - height + 1)), int(u[10] * (W - width + 1))
        x[top : top + height, left : left + width] = 0
    return x.transpose(2, 0, 1)


def test_a_batch_equals_its_images_one_by_one() -> None:
    pixels, table = batch(), draw(64, (1, 2, 3))
    found = augment(pixels, table, EVERYTHING, TO)
    assert found.shape == (64, 3, 16, 8) and found.is_contiguous(memory_format=torch.channels_last)
    for image, row, out in zip(pixels, table, found, strict=True):
        np.testing.assert_allclose(out, by_hand(image.numpy(), row.numpy(), EVERYTHING), atol=2e-4)


def test_a_row_of_the_table_decides_alone() -> None:
    """However a batch is divided among processes, each image is changed in the same way."""
    pixels, table = batch(), draw(64, (9,))
    whole = augment(pixels, table, EVERYTHING, TO)
    for part in (slice(0, 1), slice(16, 48), slice(63, 64)):
        assert torch.equal(augment(pixels[part], table[part], EVERYTHING, TO), whole[part])


def test_the_table_is_uniform_and_stands_for_its_seed() -> None:
    table = draw(4096, (7, 3, 1))
    assert table.shape == (4096, COLUMNS) and table.min() >= 0 and table.max() < 1
    assert torch.equal(table, draw(4096, (7, 3, 1)))
    assert (table.mean(0) - 0.5).abs().max() < 0.03 and (table.std(0) - 12**-0.5).abs().max() < 0.02
    correlation = torch.corrcoef(table.T) - torch.eye(COLUMNS)
    assert correlation.abs().max() < 0.08
    others = [
        draw(1, seed) for seed in ((7, 1, 3), (3, 7, 1), (7, 3, 2), (7, 4, 1), (8, 3, 1), (7, 3), (2**32 - 1, 3, 1))
    ]
    assert not any(torch.equal(table[:1], other) for other in others)


def test_without_augmentation_it_is_preparation() -> None:
    pixels = batch(4)
    assert torch.equal(augment(pixels, draw(4, (1,)), Augmentation(), TO), prepare(pixels, TO))
    assert pixels.dtype == torch.uint8


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("scale", [255.0, 1.0])
def test_normalisation_follows_the_card(colour: str, scale: float) -> None:
    card = Preprocessing(colour=colour, scale=scale, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))  # type: ignore[arg-type]
    pixels = batch(2)
    ordered = pixels.numpy().astype(np.float64)[..., :: (1 if colour == "RGB" else -1)]
    expected = (ordered / scale - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    found = prepare(pixels, card)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-5)
    assert torch.equal(found, normalise(pixels.permute(0, 3, 1, 2).float(), card))
    torch.testing.assert_close(restore(found, card), pixels.permute(0, 3, 1, 2).float(), rtol=0, atol=1e-3)


def test_flip_happens_as_often_as_asked() -> None:
    pixels = batch(1).expand(2000, -1, -1, -1)
    out = flip_and_crop(pixels, draw(2000, (1,))[:, :3], Augmentation(flip=0.25))
    flipped = (out == pixels.flip(2)).flatten(1).all(1)
    assert torch.equal(flipped, ~(out == pixels).flatten(1).all(1))
    assert 0.2 < flipped.float().mean() < 0.3
    always = flip_and_crop(pixels, draw(2000, (1,))[:, :3], Augmentation(flip=1.0))
    assert torch.equal(always, pixels.flip(2))


def test_crops_reach_every_place() -> None:
    pixels = batch(1).clamp_min(1).expand(3000, -1, -1, -1)  # no black of its own
    out = flip_and_crop(pixels, draw(3000, (1,))[:, :3], Augmentation(pad_crop=2))
    black_above = (out[:, :2] == 0).flatten(2).all(2).sum(1)
    black_left = (out[:, :, :2] == 0).transpose(1, 2).flatten(2).all(2).sum(1)
    counts = torch.bincount(black_above, minlength=3), torch.bincount(black_left, minlength=3)
    for count in counts:  # shifts -2..2: three of five leave no black on this side
        np.testing.assert_allclose(count / 3000, [0.6, 0.2, 0.2], atol=0.03)


def test_jitter_at_zero_strength_or_middling_draw_is_the_identity() -> None:
    x = batch().permute(0, 3, 1, 2).float()
    middle = torch.full((64, 3), 0.5)
    assert torch.equal(jitter(x, draw(64, (1,))[:, 3:6], Augmentation()), x)
    torch.testing.assert_close(jitter(x, middle, Augmentation(brightness=0.4, contrast=0.4, saturation=0.4)), x)


def test_jitter_changes_one_thing_at_a_time() -> None:
    x = 64 + batch().permute(0, 3, 1, 2).float() / 4  # 64..128: nothing is clipped
    grey = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    strong = torch.ones((64, 3))
    torch.testing.assert_close(jitter(x, strong, Augmentation(brightness=0.5)), x * 1.5)
    mean = (x * grey).sum(1).mean((1, 2))
    found = jitter(x, strong, Augmentation(contrast=0.5))
    torch.testing.assert_close((found * grey).sum(1).mean((1, 2)), mean)
    torch.testing.assert_close(found.std((1, 2, 3)) / x.std((1, 2, 3)), torch.full((64,), 1.5), rtol=0.02, atol=0)
    colourless = jitter(x, torch.zeros((64, 3)), Augmentation(saturation=1.0))
    torch.testing.assert_close(colourless, (x * grey).sum(1, keepdim=True).expand_as(x))


def test_erased_rectangles_have_the_area_ratio_place_and_colour_asked_for() -> None:
    H, W, how = 128, 64, Augmentation(erase=0.5, erase_area=(0.02, 0.3), erase_ratio=(0.5, 2.0))
    x = torch.ones((2000, 3, H, W))
    out = erase(x, draw(2000, (4,))[:, 6:11], how)
    assert torch.equal(x, torch.ones_like(x))
    gone = (out == 0).all(1)  # (B, H, W)
    assert torch.equal(out == 1, ~gone[:, None].expand_as(out))
    hit = gone.flatten(1).any(1)
    assert 0.45 < hit.float().mean() < 0.55
    areas, ratios, tops = [], [], []
    for image in gone[hit]:
        rows, columns = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
        height, width = len(rows), len(columns)
        assert (
            image.sum() == height * width and rows[-1] - rows[0] + 1 == height and columns[-1] - columns[0] + 1 == width
        )
        areas.append(height * width / (H * W))
        ratios.append(height / width)
        tops.append(float(rows[0]) / max(1, H - height))
    assert 0.018 < min(areas) < 0.03 and 0.27 < max(areas) < 0.31
    assert abs(np.mean(areas) - 0.16) < 0.01
    assert 0.45 < min(ratios) < 0.55 and 1.85 < max(ratios) < 2.2
    assert abs(np.median(ratios) - 1) < 0.08  # log-uniform: as often tall as wide
    assert min(tops) < 0.05 and max(tops) > 0.95 and abs(np.mean(tops) - 0.5) < 0.04


def test_a_rectangle_too_long_is_cut_to_the_image() -> None:
    how = Augmentation(erase=1.0, erase_area=(1.0, 1.0), erase_ratio=(4.0, 4.0))
    out = erase(torch.ones((1, 3, 16, 16)), torch.full((1, 5), 0.999), how)
    assert (out == 0).all((0, 1)).sum() == 16 * 8  # 32 rows asked for, 16 there are


def test_erasing_fills_with_the_mean_colour() -> None:
    how = Augmentation(erase=1.0, erase_area=(1.0, 1.0), erase_ratio=(2.0, 2.0))
    out = augment(batch(2), draw(2, (1,)), how, TO)
    undone = out * torch.tensor(TO.std)[:, None, None] + torch.tensor(TO.mean)[:, None, None]
    torch.testing.assert_close(undone, torch.tensor(TO.mean)[:, None, None].expand_as(undone))


def test_resize() -> None:
    x = torch.rand(2, 3, 16, 8)
    assert resize(x, 16, 8) is x
    halved = resize(torch.full((1, 3, 16, 8), 7.0), 8, 4)
    torch.testing.assert_close(halved, torch.full((1, 3, 8, 4), 7.0))
    ramp = torch.arange(16.0)[None, None, :, None].expand(1, 3, 16, 8)
    assert (resize(ramp, 8, 4).diff(dim=2) > 0).all()


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (40, 9), (3, 50), (20, 20)])
def test_letterbox_keeps_proportions_at_the_centre_or_in_the_corner(shape: tuple[int, int]) -> None:
    for anchor in ("centre", "corner"):
        boxed = letterbox(torch.ones(2, 3, *shape), 20, 24, anchor=anchor)
        factor = min(20 / shape[0], 24 / shape[1])
        height, width = (max(1, round(side * factor)) for side in shape)
        top, left = ((20 - height) // 2, (24 - width) // 2) if anchor == "centre" else (0, 0)
        expected = torch.zeros(2, 3, 20, 24)
        expected[:, :, top : top + height, left : left + width] = 1
        torch.testing.assert_close(boxed, expected)
        assert torch.equal(boxed == 0, expected == 0)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_few_images_are_prepared_to_the_same_bits_as_many(colour, monkeypatch):
    pixels = torch.randint(0, 256, (3, 9, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    card = TO.model_copy(update={"colour": colour, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)})
    few, planes = prepare(pixels, card), prepare(pixels, card, planes=True)
    monkeypatch.setattr(transforms, "_FEW", 0)
    many = prepare(pixels, card)
    assert torch.equal(few, many) and few.stride() == many.stride()
    assert torch.equal(planes, many) and planes.is_contiguous()
