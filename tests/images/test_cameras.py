"""Changes of the camera against plain formulas, one image at a time."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from resight.errors import DataError
from resight.images.augmentation import COLUMNS, Augmentation, camera_part, draw, plain_part
from resight.images.cameras import blur, box, change, halves, light, low_resolution, patch
from resight.images.transforms import augment, normalise
from resight.models.card import Preprocessing

H, W = 64, 32
EVERYTHING = Augmentation(flip=0.5, halves=0.3, box=1, light=0.8, blur=0.3, low_resolution=0.3, patch=0.4)
Pixels = NDArray[np.uint8]


def picture(seed: int) -> Pixels:
    """A smooth picture with colours well inside 0..255."""
    noise = np.random.default_rng(seed).normal(0, 1, (H, W, 3))
    smooth = ndimage.gaussian_filter(noise, (4, 4, 0))
    return np.uint8(128 + 25 * smooth / smooth.std())


def pictures(count: int) -> tuple[Tensor, Tensor]:
    """Images and what each is mixed with."""
    images = np.stack([picture(seed) for seed in range(count)])
    others = np.stack([[picture(1000 + 3 * seed + k) for k in range(3)] for seed in range(count)])
    return torch.from_numpy(images), torch.from_numpy(others)


def test_the_same_numbers_give_the_same_pixels_in_any_batch() -> None:
    images, others = pictures(12)
    table, to = draw(12, (3, 1)), Preprocessing(height=H, width=W)
    whole = augment(images, table, EVERYTHING, to, others)
    assert whole.shape == (12, 3, H, W) and whole.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(whole, augment(images, table, EVERYTHING, to, others))
    for part in (slice(0, 1), slice(4, 9), slice(11, 12)):
        assert torch.equal(augment(images[part], table[part], EVERYTHING, to, others[part]), whole[part])
    plain = normalise(images.permute(0, 3, 1, 2).float(), to)
    assert ((whole - plain).abs().amax((1, 2, 3)) > 0).all()  # each has another box
    assert not torch.equal(whole, augment(images, draw(12, (3, 2)), EVERYTHING, to, others))
    assert torch.equal(images, pictures(12)[0])  # what is passed stays as it is


def test_numbers_of_older_options_are_those_of_before() -> None:
    mixed = (0 * 1_000_003 + 5 + 0x9E3779B9) % (1 << 63)
    assert torch.equal(plain_part(draw(9, (5,))), torch.rand((9, 11), generator=torch.Generator().manual_seed(mixed)))
    assert plain_part(draw(2, (5,))).shape[1] + camera_part(draw(2, (5,))).shape[1] == COLUMNS


@pytest.mark.parametrize("option", ["halves", "box", "light", "blur", "low_resolution", "patch"])
def test_each_option_happens_as_often_as_asked(option: str) -> None:
    how = Augmentation(**{option: 0.3})
    assert how.others == (option in ("halves", "box", "patch"))
    noise = np.random.default_rng(0).integers(0, 256, (2, 128, 64, 3), np.uint8)
    images = np.broadcast_to(noise[0], (1000, *noise[0].shape))
    others = np.broadcast_to(noise[1], (1000, 1, *noise[1].shape))
    out = change(images, others, camera_part(draw(1000, (7,))).double().numpy(), how)
    assert 0.25 < (out != images).any((1, 2, 3)).mean() < 0.35


def test_mixing_needs_others() -> None:
    images, others = pictures(2)
    table, to = draw(2, (1,)), Preprocessing(height=H, width=W)
    assert EVERYTHING.others == 3
    for wrong in (None, others[:, :2]):
        with pytest.raises(DataError, match="mixes each image with 3 others"):
            augment(images, table, EVERYTHING, to, wrong)
    assert augment(images, table, Augmentation(light=1, blur=1, low_resolution=1), to).shape == (2, 3, H, W)


def test_halves_and_patch_are_of_the_other_image() -> None:
    mine, other = np.zeros((H, W, 3), np.uint8), np.full((H, W, 3), 9, np.uint8)
    tops = [int((halves(mine, other, u)[:, 0, 0] == 0).sum()) for u in (0.0, 0.5, 0.999)]
    assert tops == [round(0.3 * H), round(0.55 * H), round(0.8 * H)]
    how = Augmentation(patch=1, erase_area=(0.1, 0.3), erase_ratio=(0.5, 2.0))
    for u in np.random.default_rng(0).random((50, 4)):
        out = mine.copy()
        patch(out, other, u.tolist(), how)
        rows, columns = np.flatnonzero(out.any((1, 2))), np.flatnonzero(out.any((0, 2)))
        height, width = len(rows), len(columns)
        assert (out == 9).sum() == 3 * height * width  # one full rectangle
        area, ratio = (0.1 + 0.2 * u[0]) * H * W, 0.5 * 4 ** u[1]
        assert height == min(H, round((area * ratio) ** 0.5)) and width == min(W, round((area / ratio) ** 0.5))


@pytest.mark.parametrize("scale", [(0.8, 0.8), (1.0, 1.0), (1.25, 1.25)])
def test_box(scale: tuple[float, float]) -> None:
    mine, other = picture(1), picture(2)
    height, width = round(H * scale[0]), round(W * scale[0])
    x = torch.from_numpy(mine).permute(2, 0, 1)[None].float()
    scaled = F.interpolate(x, (height, width), mode="bilinear")[0].permute(1, 2, 0).numpy()
    for down, right in ((0.0, 0.0), (0.5, 0.25), (0.999, 0.999)):
        top, left = int(down * (abs(H - height) + 1)), int(right * (abs(W - width) + 1))
        flat = box(mine, other, [0.5, 0.5, down, right, 0.2, 0.1, 0.5, 0.9], scale)
        blurred = box(mine, other, [0.5, 0.5, down, right, 0.7, 0.1, 0.5, 0.9], scale)
        if scale[0] < 1:
            inside = np.zeros((H, W), bool)
            inside[top : top + height, left : left + width] = True
            for found in (flat, blurred):
                assert np.abs(found[inside].reshape(height, width, 3) - scaled).max() <= 1
            assert (flat[~inside] == [25, 128, 230]).all()
            behind = ndimage.uniform_filter(other.astype(float), (9, 9, 0), mode="mirror")
            assert np.abs(blurred[~inside] - behind[~inside]).max() <= 1
        else:
            assert np.array_equal(flat, blurred)
            assert np.abs(flat - scaled[top : top + H, left : left + W]).max() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_light_step_by_step(seed: int) -> None:
    mine, u = picture(seed), (0.3 + 0.4 * np.random.default_rng(seed).random(8)).tolist()
    grey = np.array([0.299, 0.587, 0.114])
    x = mine.astype(float) * (0.5 + u[0]) * (0.85 + 0.3 * np.array(u[3:6])) + (50 * u[1] - 25)
    mean = (x @ grey).mean()
    x = mean + (x - mean) * (0.6 + 0.8 * u[2])
    x = (x @ grey)[..., None] + (x - (x @ grey)[..., None]) * (0.3 + 1.3 * u[6])
    x = 255 * (x.clip(0, 255) / 255) ** (0.6 + u[7])
    assert np.abs(light(mine, u) - x).max() < 2  # two roundings


def test_neutral_light_changes_nothing() -> None:
    mine = picture(3)
    neutral = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.7 / 1.3, 0.4]
    assert np.abs(light(mine, neutral).astype(int) - mine).max() <= 1


def test_blur_and_low_resolution() -> None:
    mine = np.random.default_rng(0).integers(60, 200, (H, W, 3), np.uint8)
    deviation = 0.02 * W
    expected = ndimage.gaussian_filter(mine.astype(float), (deviation, deviation, 0), mode="mirror", truncate=3)
    assert np.abs(blur(mine, 0.75) - expected).max() < 3
    half = (0.5 - 0.35) / 0.45
    x = torch.from_numpy(mine).permute(2, 0, 1)[None].float()
    expected = F.interpolate(F.avg_pool2d(x, 2), (H, W), mode="bilinear")[0].permute(1, 2, 0).numpy()
    assert np.abs(low_resolution(mine, half) - expected).max() <= 1.5
    assert low_resolution(mine[:1, :1], 0.0).shape == (1, 1, 3)
