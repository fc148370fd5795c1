"""The vision transformer of TransReID and its successors.

TransReID: He et al., ICCV 2021, arXiv 2102.04378. TransReID-SSL: Luo et al. 2021, arXiv 2111.12084. PersonViT: Hu et
al. 2024, arXiv 2408.05398. The same trunk; keys are theirs. Shape letters: ``T`` tokens, ``D`` width.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.card import HALF
from resight.models.layers import heads
from resight.models.layers.blocks import Block, initialise
from resight.models.layers.patches import IcsPatchEmbed, PatchEmbed, grid
from resight.models.output import Output
from resight.models.registry import register

Neck = Literal["before", "after"]
Stem = Literal["patch", "ics"]
Pool = Literal["class", "gem", "average", "max", "average_max"]


class VisionTransformer(nn.Module):
    """Class token and patches with positions, through ``depth`` blocks.

    Args:
        height, width: of the images; the table of positions is for this size.
        stride: of the patches, which are 16x16 and overlap where it is smaller.
        dim, depth, heads, hidden: width, blocks, heads of attention, width of the feed-forward layers.
        qkv_bias, scale: of the attention; scale 1 / sqrt(dim / heads) if None.
        stem: ``"ics"`` is the convolution stem of TransReID-SSL.
        cameras: rows of the camera table (side information embedding); 0 for none. Views count as cameras: the row is
            camera * views + view, from 0.
        sie_coefficient: factor of the camera table.
        drop_path: stochastic depth of the last block; it rises linearly over the blocks.
    """

    def __init__(
        self,
        *,
        height: int = 256,
        width: int = 128,
        stride: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int | None = None,
        hidden: int | None = None,
        qkv_bias: bool = True,
        scale: float | None = None,
        stem: Stem = "patch",
        cameras: int = 0,
        sie_coefficient: float = 3.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if stem == "ics" and stride != 16:
            raise ModelError(f"the ICS stem has stride 16, not {stride}: leave the stride out.")
        self.grid, self.channels = grid(height, width, 16, stride), dim
        self.size = (height, width)
        self.sie_coefficient = sie_coefficient
        self.patch_embed = IcsPatchEmbed(dim) if stem == "ics" else PatchEmbed(dim, 16, stride)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], dim))
        self.sie_embed = nn.Parameter(torch.zeros(cameras, 1, dim)) if cameras else None
        rates = np.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(
            Block(dim, heads or dim // 64, hidden or 4 * dim, qkv_bias=qkv_bias, scale=scale, drop_path=rate)
            for rate in rates
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        initialise(self)
        for table in (self.cls_token, self.pos_embed, self.sie_embed):
            if table is not None:
                nn.init.trunc_normal_(table, std=0.02)

    def embed(self, x: Tensor, cameras: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) to (B, T, D) tokens with positions, the class token first.

        Without ``cameras`` the mean of the camera table is added, which needs no knowledge of the camera.
        """
        check_size(x, self.size)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), self.patch_embed(x)], 1) + self.pos_embed
        if self.sie_embed is None:
            return tokens
        side = (
            self.sie_embed.mean(0, keepdim=True)
            if cameras is None
            else self.sie_embed[check_cameras(cameras, len(self.sie_embed))]
        )
        return tokens + self.sie_coefficient * side

    def run(self, tokens: Tensor, blocks: int | None = None) -> Tensor:
        """Tokens through the first ``blocks`` blocks (all of them if None), without the last norm."""
        for block in self.blocks[:blocks]:
            tokens = block(tokens)
        return tokens

    def tokens(self, x: Tensor, cameras: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) to (B, T, D) tokens after the last norm, the class token first."""
        found: Tensor = self.norm(self.run(self.embed(x, cameras)))
        return found

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to a map (B, D, rows, columns) of the patches."""
        out: Tensor = self.tokens(x)[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        return out


def check_size(x: Tensor, size: tuple[int, int]) -> None:
    """Refuse images of another size than the table of positions is for.

    Raises:
        ModelError: another size.
    """
    if tuple(x.shape[2:]) != size:
        raise ModelError(
            f"This network is for images of {size[0]}x{size[1]}, not {x.shape[2]}x{x.shape[3]}: load it with that "
            "height and width."
        )


def check_cameras(cameras: Tensor, known: int) -> Tensor:
    """Rows of a camera table, which must be in it.

    Raises:
        ModelError: a camera outside the table.
    """
    outside = cameras[(cameras < 0) | (cameras >= known)]
    if len(outside):
        raise ModelError(
            f"Camera {int(outside[0]) + 1} is outside the model's table of cameras 1 to {known}: embed without cameras."
        )
    return cameras


class TransReid(nn.Module):
    """One vector of the tokens, with BNNeck.

    Args:
        neck: which side of the BNNeck is compared: all published figures use ``"before"``.
        pool: ``"class"``: the class token; ``"gem"``: the class token plus the generalised mean (p = 3) of the patches;
            ``"average"``, ``"max"``, ``"average_max"`` of the patches alone.
        reduce: length to which a linear layer (``fcneck``) reduces the vector; 0 for no such layer.
        trunk: arguments of :class:`VisionTransformer`.
    """

    def __init__(
        self, num_identities: int = 0, *, neck: Neck = "before", pool: Pool = "class", reduce: int = 0, **trunk: Any
    ) -> None:
        super().__init__()
        if pool not in get_args(Pool):
            raise ModelError(f"pool {pool!r} does not exist: choose one of {', '.join(get_args(Pool))}.")
        self.base = VisionTransformer(**trunk)
        self.neck, self.pool = neck, pool
        self.channels = self.base.channels
        self.fcneck = nn.Linear(self.channels, reduce, bias=False) if reduce else nn.Identity()
        self.bottleneck, self.classifier = heads.build("bnneck", reduce or self.channels, num_identities)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to a map (B, D, rows, columns) of the patches."""
        return self.base.maps(x)

    def forward(self, x: Tensor, cameras: Tensor | None = None) -> Output:
        feature = self.fcneck(pooled(self.base.tokens(x, cameras), self.pool))
        after = self.bottleneck(feature)
        logits = () if self.classifier is None else (self.classifier(after),)
        return Output(feature if self.neck == "before" else after, (feature,), logits)


def pooled(tokens: Tensor, how: Pool) -> Tensor:
    """(B, T, D) tokens, the class token first, to (B, D)."""
    token, patches = tokens[:, 0], tokens[:, 1:]
    if how == "class":
        return token
    if how == "gem":
        return token + patches.clamp(min=1e-6).pow(3).mean(1).pow(1 / 3)
    if how == "average":
        return patches.mean(1)
    return patches.amax(1) if how == "max" else patches.mean(1) + patches.amax(1)


class TransReidJpm(nn.Module):
    """TransReID with the jigsaw patch module: a global branch, and four parts of the shuffled patches.

    The trunk stops before its last block; the two branches have a last block of their own. The embedding is the global
    class token and the four local ones divided by 4.

    Args:
        shift: by how many places the patches are rotated before the shuffle: 5 for people, 8 for vehicles.
        neck, trunk: as for :class:`TransReid`.
    """

    PARTS = 4
    GROUPS = 2

    def __init__(self, num_identities: int = 0, *, neck: Neck = "before", shift: int = 5, **trunk: Any) -> None:
        super().__init__()
        self.base = VisionTransformer(**trunk)
        self.neck, self.shift = neck, shift
        self.channels = dim = self.base.channels
        last = self.base.blocks[-1]
        self.b1 = nn.Sequential(_like(last, dim), nn.LayerNorm(dim, eps=1e-6))
        self.b2 = nn.Sequential(_like(last, dim), nn.LayerNorm(dim, eps=1e-6))
        for suffix in self._suffixes():
            bottleneck, classifier = heads.build("bnneck", dim, num_identities)
            self.add_module(f"bottleneck{suffix}", bottleneck)
            self.add_module(f"classifier{suffix}", classifier)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to a map (B, D, rows, columns) of the patches, from the global branch."""
        tokens: Tensor = self.b1(self.base.run(self.base.embed(x), -1))
        out: Tensor = tokens[:, 1:].transpose(1, 2).unflatten(2, self.base.grid)
        return out

    def forward(self, x: Tensor, cameras: Tensor | None = None) -> Output:
        tokens = self.base.run(self.base.embed(x, cameras), -1)
        token, patches = tokens[:, :1], shuffle(tokens[:, 1:], self.shift, self.GROUPS)
        length = (tokens.shape[1] - 1) // self.PARTS
        parts = [patches[:, at * length : (at + 1) * length] for at in range(self.PARTS)]
        features = (self.b1(tokens)[:, 0], *(self.b2(torch.cat([token, part], 1))[:, 0] for part in parts))
        after = tuple(
            getattr(self, f"bottleneck{suffix}")(feature)
            for suffix, feature in zip(self._suffixes(), features, strict=True)
        )
        classifiers = [getattr(self, f"classifier{suffix}") for suffix in self._suffixes()]
        logits = tuple(
            classify(vector) for classify, vector in zip(classifiers, after, strict=True) if classify is not None
        )
        whole, *local = features if self.neck == "before" else after
        return Output(torch.cat([whole, *(part / self.PARTS for part in local)], 1), features, logits)

    def _suffixes(self) -> tuple[str, ...]:
        return ("", *(f"_{part}" for part in range(1, self.PARTS + 1)))


def shuffle(patches: Tensor, shift: int, groups: int) -> Tensor:
    """The jigsaw patch module's order of (B, N, D) patches: rotated left by ``shift - 1``, then interleaved.

    Where N is not a multiple of ``groups``, the second-last patch is repeated, as in the published code.
    """
    rotated = torch.cat([patches[:, shift - 1 :], patches[:, : shift - 1]], 1)
    if rotated.shape[1] % groups:
        rotated = torch.cat([rotated, rotated[:, -2:-1]], 1)
    B, N, D = rotated.shape
    return rotated.view(B, groups, N // groups, D).transpose(1, 2).reshape(B, N, D)


def _like(block: nn.Module, dim: int) -> Block:
    """A new block of the same shape."""
    assert isinstance(block, Block)
    made = Block(
        dim,
        block.attn.heads,
        block.hidden,
        qkv_bias=block.attn.qkv.bias is not None,
        scale=block.attn.scale,
        drop_path=block.drop_path.rate,
    )
    initialise(made)
    return made


def _build(
    num_identities: int = 0, head: str | None = "bnneck", jpm: bool = False, shift: int = 5, **arguments: Any
) -> nn.Module:
    if head is None:
        arguments.pop("neck", None)
        return VisionTransformer(**arguments)
    return TransReidJpm(num_identities, shift=shift, **arguments) if jpm else TransReid(num_identities, **arguments)


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def transreid_base(**arguments: Any) -> nn.Module:
    """ViT-B/16 of TransReID, TransReID-SSL and PersonViT, 768-d; jpm=True: 3840-d."""
    return _build(**arguments)


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def transreid_small(**arguments: Any) -> nn.Module:
    """ViT-S/16 (DeiT-S, TransReID-SSL, PersonViT), 384-d."""
    return _build(**{"dim": 384} | arguments)


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def transreid_tiny(**arguments: Any) -> nn.Module:
    """ViT-Ti/16 (DeiT-Ti, PersonViT), 192-d."""
    return _build(**{"dim": 192} | arguments)


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def transreid_vit_small(**arguments: Any) -> nn.Module:
    """TransReID's own vit_small: 8 blocks, 8 heads, no bias, attention scale 768^-0.5; 768-d."""
    own: dict[str, Any] = {"depth": 8, "heads": 8, "hidden": 3 * 768, "qkv_bias": False, "scale": 768**-0.5}
    return _build(**own | arguments)
