"""DINOv2: Oquab et al. 2023, arXiv 2304.07193; with registers: Darcet et al. 2023, arXiv 2309.16588.

A start for training, not a re-ID model: as it is, it separates individuals badly. Keys are the published ones.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.layers import heads as ends
from resight.models.layers.blocks import Block, FeedForward, initialise
from resight.models.layers.patches import PatchEmbed, resize_positions
from resight.models.output import Output
from resight.models.registry import register

PATCH = 14


class DinoV2(nn.Module):
    """Class token, registers and patches of 14x14; any size whose sides are multiples of 14.

    Positions are learnt for a square grid and resized in every forward pass: without registers by scale factor, with
    registers by size and with antialiasing, as published.

    Args:
        dim, depth, heads: width, blocks, heads of attention (dim / 64 if None).
        registers: extra tokens; 0 or 4 in the published weights.
        feed_forward, hidden: ``"swiglu"`` for the giant one.
        positions: side of the square grid that positions are for.
        feature: ``"class"`` or ``"class_patches"``: the class token, or it and the mean of the patches (2 * dim).
    """

    def __init__(
        self,
        num_identities: int = 0,
        *,
        head: ends.Head | None = "plain",
        dim: int = 384,
        depth: int = 12,
        heads: int | None = None,
        registers: int = 0,
        feed_forward: FeedForward = "mlp",
        hidden: int | None = None,
        positions: int = 37,
        feature: Literal["class", "class_patches"] = "class",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if feature not in ("class", "class_patches"):
            raise ModelError(f"feature {feature!r} does not exist: choose class or class_patches.")
        self.channels, self.positions, self.registers, self.feature = dim, positions, registers, feature
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + positions**2, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, dim)) if registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, dim), requires_grad=False)  # of the pretraining; never used here
        self.patch_embed = PatchEmbed(dim, PATCH, PATCH)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                heads or dim // 64,
                hidden or 4 * dim,
                feed_forward=feed_forward,
                layer_scale=True,
                drop_path=rate,
            )
            for rate in np.linspace(0, drop_path, depth).tolist()
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        initialise(self)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if head is not None:
            length = dim if feature == "class" else 2 * dim
            self.bottleneck, self.classifier = ends.build(head, length, num_identities)

    def tokens(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, T, D) tokens after the last norm: class token, registers, patches."""
        H, W = int(x.shape[2]), int(x.shape[3])  # constants of an exported file
        if H % PATCH or W % PATCH:
            raise ModelError(f"DINOv2 takes sides that are multiples of 14, not {H}x{W}: 252x126 is near 256x128.")
        square = (self.positions, self.positions)
        offset = None if self.registers else 0.1
        table = resize_positions(
            self.pos_embed[0, 1:], square, (H // PATCH, W // PATCH), "bicubic", antialias=offset is None, offset=offset
        )
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            # an exported file is for one size, and has no words for all of the resizing
            table = torch.from_numpy(table.detach().cpu().numpy().copy()).to(table)
        first = self.cls_token + self.pos_embed[:, :1]
        tokens = torch.cat([first.expand(x.shape[0], -1, -1), self.patch_embed(x) + table], 1)
        if self.register_tokens is not None:
            extra = self.register_tokens.expand(x.shape[0], -1, -1)
            tokens = torch.cat([tokens[:, :1], extra, tokens[:, 1:]], 1)
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens)
        return found

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to a map (B, D, H / 14, W / 14) of the patches."""
        patches = self.tokens(x)[:, 1 + self.registers :]
        out: Tensor = patches.transpose(1, 2).unflatten(2, (x.shape[2] // PATCH, x.shape[3] // PATCH))
        return out

    def forward(self, x: Tensor) -> Output:
        tokens = self.tokens(x)
        vector = tokens[:, 0]
        if self.feature == "class_patches":
            vector = torch.cat([vector, tokens[:, 1 + self.registers :].mean(1)], 1)
        return ends.output(vector, self.bottleneck, self.classifier)


@register(height=252, width=126)
def dinov2_small(num_identities: int = 0, **arguments: Any) -> DinoV2:
    """DINOv2 ViT-S/14, 384-d; a start for training, not a re-ID model."""
    return DinoV2(num_identities, **arguments)


@register(height=252, width=126)
def dinov2_base(num_identities: int = 0, **arguments: Any) -> DinoV2:
    """DINOv2 ViT-B/14, 768-d; a start for training, not a re-ID model."""
    return DinoV2(num_identities, **{"dim": 768} | arguments)


@register(height=252, width=126)
def dinov2_large(num_identities: int = 0, **arguments: Any) -> DinoV2:
    """DINOv2 ViT-L/14, 1024-d; a start for training, not a re-ID model."""
    return DinoV2(num_identities, **{"dim": 1024, "depth": 24} | arguments)


@register(height=252, width=126)
def dinov2_giant(num_identities: int = 0, **arguments: Any) -> DinoV2:
    """DINOv2 ViT-g/14, 1536-d, SwiGLU; a start for training, not a re-ID model."""
    giant: dict[str, Any] = {"dim": 1536, "depth": 40, "feed_forward": "swiglu", "hidden": 4096}
    return DinoV2(num_identities, **giant | arguments)
