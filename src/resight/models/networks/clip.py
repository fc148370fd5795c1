"""The image encoders of CLIP-ReID: Li et al., AAAI 2023, arXiv 2211.13977; CLIP: Radford et al. 2021, arXiv 2103.00020.

The text encoder is not needed to embed, export or fine-tune. Keys are the published ones. Shape letters: ``T`` tokens,
``D`` width, ``N`` heads.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.card import HALF
from resight.models.layers import heads as ends
from resight.models.layers.patches import grid
from resight.models.networks.transformer import Neck, check_cameras, check_size
from resight.models.output import Output
from resight.models.registry import register


class InProjAttention(nn.Module):
    """Self-attention with the keys of ``nn.MultiheadAttention``: (B, T, D) to (B, T, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.reshape(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        out: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, T, D))
        return out


class QuickGelu(nn.Module):
    """x * sigmoid(1.702 x), which CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ResidualBlock(nn.Module):
    """A block of CLIP's transformer; layer norms have eps 1e-5."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attn = InProjAttention(dim, heads)
        self.ln_1 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(dim, 4 * dim), gelu=QuickGelu(), c_proj=nn.Linear(4 * dim, dim))
        )
        self.ln_2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class ClipVit(nn.Module):
    """CLIP's vision transformer: (B, 3, H, W) to tokens (B, T, D) and projected tokens (B, T, D')."""

    def __init__(self, height: int, width: int, stride: int, dim: int, depth: int, heads: int, joint: int) -> None:
        super().__init__()
        self.grid, self.size = grid(height, width, 16, stride), (height, width)
        self.conv1 = nn.Conv2d(3, dim, 16, stride, bias=False)
        self.class_embedding = nn.Parameter(dim**-0.5 * torch.randn(dim))
        self.positional_embedding = nn.Parameter(dim**-0.5 * torch.randn(1 + self.grid[0] * self.grid[1], dim))
        self.ln_pre = nn.LayerNorm(dim)
        blocks = nn.Sequential(*(ResidualBlock(dim, heads) for _ in range(depth)))
        self.transformer = nn.Sequential(OrderedDict(resblocks=blocks))
        self.ln_post = nn.LayerNorm(dim)
        self.proj = nn.Parameter(dim**-0.5 * torch.randn(dim, joint))

    def forward(self, x: Tensor, side: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_size(x, self.size)
        token = self.class_embedding.expand(x.shape[0], 1, -1)
        if side is not None:
            token = token + side
        tokens = torch.cat([token, self.conv1(x).flatten(2).transpose(1, 2)], 1) + self.positional_embedding
        found = self.ln_post(self.transformer(self.ln_pre(tokens)))
        return found, found @ self.proj


class ClipBottleneck(nn.Module):
    """A bottleneck of CLIP's ResNet: its stride is an average pool after the 3x3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != 4 * width:
            pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            layers = (
                ("-1", pool),
                ("0", nn.Conv2d(inputs, 4 * width, 1, bias=False)),
                ("1", nn.BatchNorm2d(4 * width)),
            )
            self.downsample = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.pool(F.relu(self.bn2(self.conv2(y))))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class AttentionPool(nn.Module):
    """One vector of a map by attention, whose query is the map's mean: (B, C, R, W) to (B, D')."""

    def __init__(self, places: int, channels: int, heads: int, joint: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(channels**-0.5 * torch.randn(places + 1, channels))
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, joint)

    def forward(self, maps: Tensor) -> Tensor:
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + self.positional_embedding
        B, _, C = tokens.shape
        q, k, v = (
            linear(part).reshape(B, -1, self.heads, C // self.heads).transpose(1, 2)
            for linear, part in ((self.q_proj, tokens[:, :1]), (self.k_proj, tokens), (self.v_proj, tokens))
        )
        out: Tensor = self.c_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, C))
        return out


class ClipResNet(nn.Module):
    """CLIP's ResNet with layer 4 at stride 1: (B, 3, H, W) to its last map and the attention-pooled vector."""

    def __init__(self, height: int, width: int, layers: tuple[int, int, int, int], base: int, heads: int, joint: int):
        super().__init__()
        self.size = (height, width)
        self.conv1 = nn.Conv2d(3, base // 2, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(base // 2)
        self.conv2 = nn.Conv2d(base // 2, base // 2, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(base // 2)
        self.conv3 = nn.Conv2d(base // 2, base, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(base)
        inputs = base
        for stage, count in enumerate(layers):
            blocks = nn.Sequential()
            for at in range(count):
                stride = (1, 2, 2, 1)[stage] if at == 0 else 1
                blocks.append(ClipBottleneck(inputs, base * 2**stage, stride))
                inputs = 4 * base * 2**stage
            self.add_module(f"layer{stage + 1}", blocks)
        self.channels = inputs
        self.attnpool = AttentionPool((height // 16) * (width // 16), inputs, heads, joint)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the last map (B, C, H / 16, W / 16)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        for stage in (1, 2, 3, 4):
            x = getattr(self, f"layer{stage}")(x)
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_size(x, self.size)
        maps = self.maps(x)
        return maps, self.attnpool(maps)


class ClipReid(nn.Module):
    """CLIP-ReID: the pooled feature and its projection to CLIP's space, each with a BNNeck; both are the embedding.

    Args:
        encoder: :class:`ClipVit` or :class:`ClipResNet`; ``dim`` and ``joint`` are the lengths of its two vectors.
        neck: which side of the BNNecks is compared: ``"before"`` as published.
        cameras: rows of the camera table; 0 for none.
        sie_coefficient: its factor: 1.0 in the published commands.
    """

    def __init__(
        self,
        encoder: ClipVit | ClipResNet,
        dim: int,
        joint: int,
        num_identities: int,
        *,
        neck: Neck = "before",
        cameras: int = 0,
        sie_coefficient: float = 1.0,
    ) -> None:
        super().__init__()
        if cameras and isinstance(encoder, ClipResNet):
            raise ModelError("CLIP-ReID's ResNet-50 has no camera table: leave cameras out.")
        self.image_encoder = encoder
        self.channels = dim
        self.neck, self.sie_coefficient = neck, sie_coefficient
        self.cv_embed = nn.Parameter(0.02 * torch.randn(cameras, dim)) if cameras else None
        self.bottleneck, self.classifier = ends.build("bnneck", dim, num_identities)
        self.bottleneck_proj, self.classifier_proj = ends.build("bnneck", joint, num_identities)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to the last map (B, D, rows, columns)."""
        if isinstance(self.image_encoder, ClipResNet):
            return self.image_encoder.maps(x)
        out: Tensor = self.image_encoder(x)[0][:, 1:].transpose(1, 2).unflatten(2, self.image_encoder.grid)
        return out

    def forward(self, x: Tensor, cameras: Tensor | None = None) -> Output:
        if isinstance(self.image_encoder, ClipResNet):
            maps, projected = self.image_encoder(x)
            feature = maps.mean((2, 3))
        else:
            tokens, joint = self.image_encoder(x, self._side(cameras))
            feature, projected = tokens[:, 0], joint[:, 0]
        after = (self.bottleneck(feature), self.bottleneck_proj(projected))
        logits = tuple(
            classify(vector)
            for classify, vector in zip((self.classifier, self.classifier_proj), after, strict=True)
            if classify is not None
        )
        compared = (feature, projected) if self.neck == "before" else after
        return Output(torch.cat(compared, 1), (feature, projected), logits)

    def _side(self, cameras: Tensor | None) -> Tensor | None:
        if self.cv_embed is None or cameras is None:  # the published code leaves the term out as well
            return None
        return self.sie_coefficient * self.cv_embed[check_cameras(cameras, len(self.cv_embed))][:, None]


@register(sized=True, height=256, width=128, mean=HALF, std=HALF)
def clipreid_vit_b16(
    num_identities: int = 0,
    *,
    height: int = 256,
    width: int = 128,
    stride: int = 16,
    dim: int = 768,
    depth: int = 12,
    heads: int | None = None,
    joint: int = 512,
    **arguments: Any,
) -> ClipReid:
    """CLIP-ReID's image encoder, ViT-B/16, 1280-d."""
    encoder = ClipVit(height, width, stride, dim, depth, heads or dim // 64, joint)
    return ClipReid(encoder, dim, joint, num_identities, **arguments)


@register(sized=True, height=256, width=128)
def clipreid_rn50(
    num_identities: int = 0,
    *,
    height: int = 256,
    width: int = 128,
    layers: tuple[int, int, int, int] = (3, 4, 6, 3),
    base: int = 64,
    heads: int | None = None,
    joint: int = 1024,
    **arguments: Any,
) -> ClipReid:
    """CLIP-ReID's image encoder, ResNet-50, 3072-d."""
    encoder = ClipResNet(height, width, layers, base, heads or base // 2, joint)
    return ClipReid(encoder, 32 * base, joint, num_identities, **arguments)
