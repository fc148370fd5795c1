"""Swin transformers: Liu et al., ICCV 2021, arXiv 2103.14030; SOLIDER: Chen et al., CVPR 2023, arXiv 2303.17602.

SOLIDER's network differs from Microsoft's and timm's in three ways that raise no error: the order in which patch
merging joins four neighbours, windows that are shifted even where the map fits one window, and a semantic weight after
each stage. All are arguments. Keys are SOLIDER's. Shape letters: ``R`` rows, ``C`` columns, ``D`` channels of a map.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.card import HALF
from resight.models.layers import heads as ends
from resight.models.layers.blocks import DropPath, initialise
from resight.models.networks.transformer import Neck
from resight.models.output import Output
from resight.models.registry import register

Merge = Literal["channel", "quarter"]
OUTSIDE = -100.0  # what is added to the attention between zones that only the roll brought together


class WindowAttention(nn.Module):
    """Attention within windows of ``window`` x ``window`` places, with a learnt bias for each relative position."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        steps = torch.arange(window)
        rows, columns = (part.flatten() for part in torch.meshgrid(steps, steps, indexing="ij"))
        down = rows[:, None] - rows[None] + window - 1
        right = columns[:, None] - columns[None] + window - 1
        self.register_buffer("relative_position_index", down * (2 * window - 1) + right, persistent=False)
        self.relative_position_index: Tensor
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B * W, window^2, D) places of windows, with a mask (W, window^2, window^2) of W windows per image."""
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(T, T, self.heads).permute(2, 0, 1)[None]
        if mask is not None:
            W = len(mask)
            bias = (bias[:, None] + mask[None, :, None]).expand(B // W, W, self.heads, T, T).reshape(B, -1, T, T)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(found.transpose(1, 2).reshape(B, T, D))
        return out


class ShiftedWindows(nn.Module):
    """Window attention over a map (B, R, C, D), padded to whole windows and rolled by ``shift`` places.

    The padding takes part in the attention (its keys and values are the biases), as published.
    """

    def __init__(self, dim: int, heads: int, window: int, shift: int, shift_small: bool) -> None:
        super().__init__()
        self.window, self.shift, self.shift_small = window, shift, shift_small
        self.w_msa = WindowAttention(dim, heads, window)

    def forward(self, x: Tensor) -> Tensor:
        B, R, C, D = x.shape[0], int(x.shape[1]), int(x.shape[2]), x.shape[3]  # an exported file is for one size
        size = self.window
        rows, columns = -(-R // size) * size, -(-C // size) * size
        x = F.pad(x, (0, 0, 0, columns - C, 0, rows - R))
        down, right = (self.shift if self.shift_small or side > size else 0 for side in (rows, columns))
        mask = None
        if down or right:
            x = torch.roll(x, (-down, -right), (1, 2))
            mask = _mask(rows, columns, size, down, right).to(x)
        windows = x.view(B, rows // size, size, columns // size, size, D).transpose(2, 3).reshape(-1, size * size, D)
        found = self.w_msa(windows, mask)
        x = found.view(B, rows // size, columns // size, size, size, D).transpose(2, 3).reshape(B, rows, columns, D)
        if down or right:
            x = torch.roll(x, (down, right), (1, 2))
        return x[:, :R, :C]


def _mask(rows: int, columns: int, size: int, down: int, right: int) -> Tensor:
    """(W, size^2, size^2): 0 within a zone of the rolled map, ``OUTSIDE`` between zones."""

    def zones(side: int, shift: int) -> Tensor:
        zone = torch.zeros(side, dtype=torch.long)
        if shift:
            zone[side - size : side - shift] = 1
            zone[side - shift :] = 2
        return zone

    zone = 3 * zones(rows, down)[:, None] + zones(columns, right)[None]
    windows = zone.view(rows // size, size, columns // size, size).transpose(1, 2).reshape(-1, size * size)
    return torch.where(windows[:, None] == windows[:, :, None], 0.0, OUTSIDE)


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between them, under SOLIDER's keys."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(dim, hidden), nn.GELU()), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class SwinBlock(nn.Module):
    """Window attention and a feed-forward layer, each added to its input."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, shift_small: bool, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = ShiftedWindows(dim, heads, window, shift, shift_small)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.ffn(self.norm2(x)))
        return x


class PatchMerging(nn.Module):
    """Four neighbours become one place with twice the channels: (B, R, C, D) to (B, R / 2, C / 2, 2 D).

    Args:
        merge: ``"channel"``: the four neighbours of each channel stand together, in the order (0,0), (0,1), (1,0),
            (1,1) (SOLIDER); ``"quarter"``: whole quarters in the order (0,0), (1,0), (0,1), (1,1) (Microsoft, timm).
    """

    def __init__(self, dim: int, merge: Merge) -> None:
        super().__init__()
        self.merge = merge
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        B, R, C, D = x.shape
        blocks = x.view(B, R // 2, 2, C // 2, 2, D)  # (B, R/2, down, C/2, right, D)
        if self.merge == "channel":
            x = blocks.permute(0, 1, 3, 5, 2, 4).reshape(B, R // 2, C // 2, 4 * D)
        else:
            x = blocks.permute(0, 1, 3, 4, 2, 5).reshape(B, R // 2, C // 2, 4 * D)
        out: Tensor = self.reduction(self.norm(x))
        return out


class Stage(nn.Module):
    """Blocks of one resolution, with windows shifted in every second one, and the merging after them."""

    def __init__(self, dim: int, heads: int, rates: list[float], window: int, shift_small: bool, merge: Merge | None):
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(dim, heads, window, window // 2 if at % 2 else 0, shift_small, rate)
            for at, rate in enumerate(rates)
        )
        self.downsample = PatchMerging(dim, merge) if merge else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The map of this resolution, and what the next stage gets."""
        for block in self.blocks:
            x = block(x)
        return x, x if self.downsample is None else self.downsample(x)


class _Patches(nn.Module):
    """Patches of 4x4: (B, 3, H, W) to (B, H / 4, W / 4, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, dim, 4, 4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[3] % 4, 0, -x.shape[2] % 4))
        out: Tensor = self.norm(self.projection(x).permute(0, 2, 3, 1))
        return out


class SwinTrunk(nn.Module):
    """Four stages of shifted windows.

    Args:
        dim: channels of the first stage; ``depths``, ``heads``: blocks and heads of each.
        window: side of the windows.
        semantic_weight: SOLIDER's: 0 for appearance, 1 for semantics; 0.2 for re-ID. None for a network without it.
        merge, shift_small: see :class:`PatchMerging`; whether windows are shifted on maps of one window as well
            (SOLIDER) or not (Microsoft, timm).
        drop_path: stochastic depth of the last block; it rises linearly over the blocks.
    """

    def __init__(
        self,
        *,
        dim: int = 96,
        depths: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        window: int = 7,
        semantic_weight: float | None = 0.2,
        merge: Merge = "channel",
        shift_small: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if len(depths) != 4 or len(heads) != 4:
            raise ModelError(f"depths {depths} and heads {heads} must have four entries each.")
        self.patch_embed = _Patches(dim)
        rates = np.linspace(0, drop_path, sum(depths)).tolist()
        self.stages = nn.ModuleList()
        self.channels = 8 * dim
        for at, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            own, rates = rates[:depth], rates[depth:]
            self.stages.append(Stage(dim * 2**at, count, own, window, shift_small, merge if at < 3 else None))
        for at in range(4):
            norm = nn.LayerNorm(dim * 2**at)  # the last one is used; the others are kept for their keys
            self.add_module(f"norm{at}", norm.requires_grad_(at == 3))
        self.norm3: nn.LayerNorm
        self.semantic_weight = semantic_weight
        if semantic_weight is not None:
            lengths = [dim * 2 ** min(at + 1, 3) for at in range(4)]
            self.semantic_embed_w = nn.ModuleList(nn.Linear(2, length) for length in lengths)
            self.semantic_embed_b = nn.ModuleList(nn.Linear(2, length) for length in lengths)
            self.semantic_embed_w[3].requires_grad_(False)  # comes after the output
            self.semantic_embed_b[3].requires_grad_(False)
        initialise(self)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the normed last map (B, 8 D, H / 32, W / 32)."""
        x = self.patch_embed(x)
        for at, stage in enumerate(self.stages):
            found, x = stage(x)
            if self.semantic_weight is not None and at < 3:  # that of the last stage comes after the output
                weights = x.new_tensor([self.semantic_weight, 1 - self.semantic_weight])
                x = x * F.softplus(self.semantic_embed_w[at](weights)) + self.semantic_embed_b[at](weights)
        out: Tensor = self.norm3(found).permute(0, 3, 1, 2)
        return out


class Solider(nn.Module):
    """The mean of a Swin transformer's last map, with BNNeck.

    Args:
        neck: which side of the BNNeck is compared: ``"before"`` as published.
        reduce: length to which a linear layer (``fcneck``) reduces the vector; 0 for no such layer.
        trunk: arguments of :class:`SwinTrunk`.
    """

    def __init__(self, num_identities: int = 0, *, neck: Neck = "before", reduce: int = 0, **trunk: Any) -> None:
        super().__init__()
        self.base = SwinTrunk(**trunk)
        self.neck = neck
        self.channels = self.base.channels
        self.fcneck = nn.Linear(self.channels, reduce, bias=False) if reduce else nn.Identity()
        self.bottleneck, self.classifier = ends.build("bnneck", reduce or self.channels, num_identities)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the normed last map (B, 8 D, H / 32, W / 32)."""
        return self.base.maps(x)

    def forward(self, x: Tensor) -> Output:
        feature = self.fcneck(self.base.maps(x).mean((2, 3)))
        after = self.bottleneck(feature)
        logits = () if self.classifier is None else (self.classifier(after),)
        return Output(feature if self.neck == "before" else after, (feature,), logits)


def _build(num_identities: int = 0, head: str | None = "bnneck", **arguments: Any) -> nn.Module:
    return SwinTrunk(**arguments) if head is None else Solider(num_identities, **arguments)


@register(height=384, width=128, mean=HALF, std=HALF)
def solider_tiny(**arguments: Any) -> nn.Module:
    """SOLIDER's Swin-T, 768-d."""
    return _build(**arguments)


@register(height=384, width=128, mean=HALF, std=HALF)
def solider_small(**arguments: Any) -> nn.Module:
    """SOLIDER's Swin-S, 768-d."""
    return _build(**{"depths": (2, 2, 18, 2)} | arguments)


@register(height=384, width=128, mean=HALF, std=HALF)
def solider_base(**arguments: Any) -> nn.Module:
    """SOLIDER's Swin-B, 1024-d."""
    own: dict[str, Any] = {"dim": 128, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32)}
    return _build(**own | arguments)
