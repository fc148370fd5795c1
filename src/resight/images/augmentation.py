"""How training images are changed at random, and the numbers that decide it.

Every random choice comes from one table of uniform numbers, one row per image, so that the same row changes the same
image in the same way, in whichever batch or process: ``draw`` the table for the whole batch, then slice it like it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# uniform numbers per image: flip 0, crop 1-2, jitter 3-5, erase 6-10; then for the camera: halves 0-1, box 2-10,
# light 11-19, blur 20-21, low resolution 22-23, patch 24-28
_PLAIN, _CAMERA = 11, 29
COLUMNS = _PLAIN + _CAMERA


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; all off by default.

    Those from ``halves`` to ``patch`` change what a camera makes of a person and come first, in this order; halves, box
    and patch mix an image with others.

    Attributes:
        flip: probability of a left-right flip.
        pad_crop: pixels of black added on each side before a crop of the old size at a random place.
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x], applied in this order.
        erase: probability of random erasing (Zhong et al. 2020): a rectangle of ``erase_area`` of the image and of
            ``erase_ratio`` (height / width, drawn log-uniformly), filled with the mean colour. A rectangle that would
            not fit is cut to the image rather than drawn again.
        halves: probability that the image continues with another one below a height drawn from 0.3 to 0.8 of it.
        box: probability of a looser or tighter box: each direction is scaled by a factor from ``box_scale``, cropped
            where it is larger than the image, else put at a random place on another image, blurred, or (half of the
            time) on a flat colour.
        light: probability of other light, all together: gain 0.5 to 1.5, offset -25 to 25, contrast 0.6 to 1.4, each
            channel by 0.85 to 1.15, saturation 0.3 to 1.6, gamma 0.6 to 1.6.
        blur: probability of a Gaussian blur with a deviation of 0.5 to 2.5% of the image's width.
        low_resolution: probability of a reduction to 0.35 to 0.8 of the size, and back.
        patch: probability that a rectangle, drawn as the erased one, shows the same place of another image.
    """

    flip: float = 0.0
    pad_crop: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_ratio: tuple[float, float] = (0.3, 3.33)
    halves: float = 0.0
    box: float = 0.0
    box_scale: tuple[float, float] = (0.8, 1.15)
    light: float = 0.0
    blur: float = 0.0
    low_resolution: float = 0.0
    patch: float = 0.0

    @property
    def others(self) -> int:
        """K: how many other images each image is mixed with."""
        return sum(probability > 0 for probability in (self.halves, self.box, self.patch))

    @property
    def changes_camera(self) -> bool:
        """Whether there is anything to do before flip and crop."""
        return bool(self.halves or self.box or self.light or self.blur or self.low_resolution or self.patch)


def draw(batch: int, seed: tuple[int, ...]) -> Tensor:
    """The table (batch, COLUMNS) of uniform numbers in [0, 1) that ``seed`` stands for."""
    mixed = 0
    for part in seed:
        mixed = (mixed * 1_000_003 + part + 0x9E3779B9) % (1 << 63)
    generator = torch.Generator().manual_seed(mixed)
    parts = [torch.rand((batch, n), generator=generator, dtype=torch.float32) for n in (_PLAIN, _CAMERA)]
    return torch.cat(parts, 1)


def plain_part(table: Tensor) -> Tensor:
    """The columns of flip, crop, jitter and erase."""
    return table[:, :_PLAIN]


def camera_part(table: Tensor) -> Tensor:
    """The columns of what changes the camera."""
    return table[:, _PLAIN:]
