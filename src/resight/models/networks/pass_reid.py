"""PASS: part tokens beside the class token. Zhu et al., ECCV 2022, arXiv 2203.03931. Keys are the published ones."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.card import HALF
from resight.models.layers import heads as ends
from resight.models.layers.blocks import Block, initialise
from resight.models.layers.patches import PatchEmbed, grid
from resight.models.networks.transformer import Neck, check_size
from resight.models.output import Output
from resight.models.registry import register

Joining = Literal["mean", "cat"]
PARTS = 3


class PassTrunk(nn.Module):
    """A vision transformer with a class token and three part tokens, each with a position of its own."""

    def __init__(
        self,
        *,
        height: int = 256,
        width: int = 128,
        stride: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.grid, self.channels, self.size = grid(height, width, 16, stride), dim, (height, width)
        self.patch_embed = PatchEmbed(dim, 16, stride)
        tables = ["cls_token", "cls_pos"]
        tables += [name for part in range(1, PARTS + 1) for name in (f"part_token{part}", f"part{part}_pos")]
        for name in tables:
            self.register_parameter(name, nn.Parameter(0.02 * torch.randn(1, 1, dim)))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, self.grid[0] * self.grid[1], dim))
        rates = np.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(Block(dim, heads or dim // 64, 4 * dim, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        initialise(self)

    def tokens(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, T, D) tokens after the last norm: class, three parts, patches."""
        check_size(x, self.size)
        names = [("cls_token", "cls_pos")] + [(f"part_token{part}", f"part{part}_pos") for part in range(1, PARTS + 1)]
        first = torch.cat([self.get_parameter(token) + self.get_parameter(place) for token, place in names], 1)
        tokens = torch.cat([first.expand(x.shape[0], -1, -1), self.patch_embed(x) + self.pos_embed], 1)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to a map (B, D, rows, columns) of the patches."""
        patches = self.tokens(x)[:, 1 + PARTS :].transpose(1, 2)
        out: Tensor = patches.unflatten(2, self.grid)
        return out


class PassReid(nn.Module):
    """The class token g and the mean l of the part tokens, with BNNeck.

    Args:
        joining: ``"mean"``: (g + l) / 2, D entries; ``"cat"``: both, 2 D entries.
        neck: which side of the BNNeck is compared: ``"before"`` as published.
        trunk: arguments of :class:`PassTrunk`.
    """

    def __init__(
        self, num_identities: int = 0, *, joining: Joining = "mean", neck: Neck = "before", **trunk: Any
    ) -> None:
        super().__init__()
        if joining not in get_args(Joining):
            raise ModelError(f"joining {joining!r} does not exist: choose mean or cat.")
        self.base = PassTrunk(**trunk)
        self.joining, self.neck = joining, neck
        self.channels = self.base.channels
        length = self.channels if joining == "mean" else 2 * self.channels
        self.bottleneck, self.classifier = ends.build("bnneck", length, num_identities)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to a map (B, D, rows, columns) of the patches."""
        return self.base.maps(x)

    def forward(self, x: Tensor) -> Output:
        tokens = self.base.tokens(x)
        whole, local = tokens[:, 0], tokens[:, 1 : 1 + PARTS].mean(1)
        feature = (whole + local) / 2 if self.joining == "mean" else torch.cat([whole, local], 1)
        after = self.bottleneck(feature)
        logits = () if self.classifier is None else (self.classifier(after),)
        return Output(feature if self.neck == "before" else after, (feature,), logits)


def _build(num_identities: int = 0, head: str | None = "bnneck", **arguments: Any) -> nn.Module:
    return PassTrunk(**arguments) if head is None else PassReid(num_identities, **arguments)


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def pass_small(**arguments: Any) -> nn.Module:
    """PASS, ViT-S/16 with three part tokens, 384-d."""
    return _build(**{"dim": 384} | arguments)


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def pass_base(**arguments: Any) -> nn.Module:
    """PASS, ViT-B/16 with three part tokens, 768-d."""
    return _build(**arguments)
