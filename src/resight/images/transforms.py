"""Batched transforms on whole uint8 batches, on the device the batch is on.

What is random comes from a table of numbers: :mod:`resight.images.augmentation`.
Letters: B batch, H, W, C, K other images; pixels are RGB.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resight.images import cameras
from resight.images.augmentation import Augmentation, camera_part, plain_part
from resight.models.card import Preprocessing

_FEW = 2**20  # values that one thread prepares sooner than torch wakes several, which then wait in the engine's way


def augment(
    pixels: Tensor, table: Tensor, how: Augmentation, to: Preprocessing, others: Tensor | None = None
) -> Tensor:
    """(B, H, W, 3) uint8 and its (B, COLUMNS) table to the network's input (B, 3, H, W) float, channels last.

    ``others``: (B, K, H, W, 3) uint8, the ``how.others`` images that each image is mixed with.
    """
    device = pixels.device
    if how.changes_camera:
        mixed = None if others is None else others.cpu().numpy()
        changed = cameras.change(pixels.cpu().numpy(), mixed, camera_part(table).cpu().double().numpy(), how)
        pixels = torch.from_numpy(changed).to(device)
    table = plain_part(table).to(device)
    x = flip_and_crop(pixels, table[:, :3], how) if how.flip or how.pad_crop else pixels
    x = x.permute(0, 3, 1, 2).float()  # (B, 3, H, W), channels last in memory
    if how.brightness or how.contrast or how.saturation:
        x = jitter(x, table[:, 3:6], how)
    x = normalise(x, to)
    return erase(x, table[:, 6:11], how) if how.erase else x


def flip_and_crop(pixels: Tensor, u: Tensor, how: Augmentation) -> Tensor:
    """Flip, pad and crop as a single gather; (B, H, W, 3) uint8 in and out."""
    B, H, W, _ = pixels.shape
    pad = how.pad_crop
    rows = torch.arange(H, device=pixels.device).expand(B, H)
    columns = torch.arange(W, device=pixels.device).expand(B, W)
    if how.flip:
        columns = torch.where((u[:, 0] < how.flip)[:, None], W - 1 - columns, columns)
    if pad:
        rows = rows + ((u[:, 1] * (2 * pad + 1)).long() - pad)[:, None]
        columns = columns + ((u[:, 2] * (2 * pad + 1)).long() - pad)[:, None]
    at = torch.arange(B, device=pixels.device)[:, None, None]
    out = pixels[at, rows.clamp(0, H - 1)[:, :, None], columns.clamp(0, W - 1)[:, None, :]]
    if pad:
        outside = ((rows < 0) | (rows >= H))[:, :, None] | ((columns < 0) | (columns >= W))[:, None, :]
        out.masked_fill_(outside[..., None], 0)
    return out


def jitter(x: Tensor, u: Tensor, how: Augmentation) -> Tensor:
    """Brightness, contrast (about the image's mean grey) and saturation (about each pixel's grey); 0..255 floats."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype, device=x.device)[:, None, None]

    def factor(column: int, strength: float) -> Tensor:
        return (1 + strength * (2 * u[:, column] - 1))[:, None, None, None]

    if how.brightness:
        x = (x * factor(0, how.brightness)).clamp(0, 255)
    if how.contrast:
        mean = (x * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        x = torch.lerp(mean, x, factor(1, how.contrast)).clamp(0, 255)
    if how.saturation:
        grey = (x * weights).sum(1, keepdim=True)
        x = torch.lerp(grey, x, factor(2, how.saturation)).clamp(0, 255)
    return x


def erase(x: Tensor, u: Tensor, how: Augmentation) -> Tensor:
    """Random erasing on normalised images, where the mean colour is zero."""
    _, _, H, W = x.shape
    area = (how.erase_area[0] + u[:, 1] * (how.erase_area[1] - how.erase_area[0])) * (H * W)
    low, high = map(math.log, how.erase_ratio)
    ratio = (low + u[:, 2] * (high - low)).exp()
    height = (area * ratio).sqrt().round().clamp(1, H)
    width = (area / ratio).sqrt().round().clamp(1, W)
    top = (u[:, 3] * (H - height + 1)).floor()
    left = (u[:, 4] * (W - width + 1)).floor()
    rows, columns = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
    inside_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])  # (B, H)
    inside_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])  # (B, W)
    box = inside_rows[:, :, None] & inside_columns[:, None, :] & (u[:, 0] < how.erase)[:, None, None]
    return torch.where(box[:, None], 0.0, x)  # unlike masked_fill, keeps channels last


def normalise(x: Tensor, to: Preprocessing) -> Tensor:
    """(B, 3, H, W) RGB in 0..255 to the network's input: colour order, scale, mean and deviation of its card.

    It is done in place: what is passed is not what it was.
    """
    if to.colour == "BGR":
        x = x.flip(1)
    mean = torch.tensor(to.mean, dtype=x.dtype, device=x.device)[:, None, None] * to.scale
    factor = 1 / (torch.tensor(to.std, dtype=x.dtype, device=x.device)[:, None, None] * to.scale)
    return x.sub_(mean).mul_(factor)


def restore(x: Tensor, to: Preprocessing) -> Tensor:
    """The network's input (B, 3, H, W) back to RGB floats in 0..255, in a new tensor: :func:`normalise` reversed."""
    mean = torch.tensor(to.mean, dtype=x.dtype, device=x.device)[:, None, None] * to.scale
    factor = torch.tensor(to.std, dtype=x.dtype, device=x.device)[:, None, None] * to.scale
    x = x * factor + mean
    return x.flip(1) if to.colour == "BGR" else x


def prepare(pixels: Tensor, to: Preprocessing, *, planes: bool = False) -> Tensor:
    """(B, H, W, 3) uint8 RGB to the network's input (B, 3, H, W), without any random change.

    It is channels last in memory; with ``planes`` a few images on the CPU are channel after channel, the same numbers,
    which spares a model file another copy.
    """
    if pixels.device.type == "cpu" and pixels.numel() <= _FEW:
        mean, std = (np.array(values, np.float32) * np.float32(to.scale) for values in (to.mean, to.std))
        ordered = pixels.numpy()[..., :: -1 if to.colour == "BGR" else 1]
        if planes:
            x = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2)).astype(np.float32)
            x -= mean[:, None, None]
            x *= (1 / std)[:, None, None]
            return torch.from_numpy(x)
        x = ordered.astype(np.float32, order="C")
        rows = x.reshape(-1, 3 * x.shape[2])  # whole rows of pixels at a time: three values are too few for a loop
        rows -= np.tile(mean, x.shape[2])
        rows *= np.tile(1 / std, x.shape[2])
        return torch.from_numpy(x).permute(0, 3, 1, 2)
    return normalise(pixels.permute(0, 3, 1, 2).float(), to)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """(B, 3, H, W) floats to (B, 3, height, width), bilinear with anti-aliasing, kept channels last."""
    if x.shape[2:] == (height, width):
        return x
    out = F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return out.contiguous(memory_format=torch.channels_last)


def letterbox(x: Tensor, height: int, width: int, *, anchor: Literal["corner", "centre"] = "centre") -> Tensor:
    """(B, 3, H, W) floats to (B, 3, height, width) in its proportions, the rest zero.

    ``centre``: padded alike on both sides (one pixel more at the bottom and right where odd); ``corner``: the image is
    at the top left.
    """
    H, W = x.shape[2:]
    factor = min(height / H, width / W)
    inner = resize(x, min(height, max(1, round(H * factor))), min(width, max(1, round(W * factor))))
    down, right = height - inner.shape[2], width - inner.shape[3]
    top, left = (down // 2, right // 2) if anchor == "centre" else (0, 0)
    return F.pad(inner, (left, right - left, top, down - top))
