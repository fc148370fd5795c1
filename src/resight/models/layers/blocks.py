"""The block that transformer networks repeat: attention and a feed-forward layer, each added to its input.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929. Shape letters: ``T`` tokens,
``D`` width, ``N`` heads.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FeedForward = Literal["mlp", "swiglu"]


class Attention(nn.Module):
    """Self-attention over all tokens: softmax(Q K^T * scale) V.

    Args:
        scale: 1 / sqrt(D / N) if None.
    """

    def __init__(self, dim: int, heads: int, *, qkv_bias: bool = True, scale: float | None = None) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)  # (B, N, T, D / N)
        found = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        out: Tensor = self.proj(found.transpose(1, 2).reshape(B, T, D))
        return out


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SwiGlu(nn.Module):
    """silu(first half) * second half of one linear layer, then another (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        out: Tensor = self.w3(F.silu(gate) * value)
        return out


class LayerScale(nn.Module):
    """A learnt factor for each channel of a branch (Touvron et al. 2021, arXiv 2103.17239)."""

    def __init__(self, dim: int, start: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class DropPath(nn.Module):
    """Stochastic depth: in training, a branch of an image is zero with probability ``rate`` (arXiv 1603.09382)."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty((len(x),) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)


class Block(nn.Module):
    """x + attention(norm1(x)), then x + feed-forward(norm2(x)).

    Args:
        dim: width of the tokens; ``heads``: of the attention.
        hidden: width of the feed-forward layer.
        eps: of both layer norms.
        layer_scale: multiply both branches by learnt factors.
        drop_path: probability with which a branch is dropped in training.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        *,
        qkv_bias: bool = True,
        scale: float | None = None,
        eps: float = 1e-6,
        feed_forward: FeedForward = "mlp",
        layer_scale: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads, qkv_bias=qkv_bias, scale=scale)
        self.ls1 = LayerScale(dim) if layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = SwiGlu(dim, hidden) if feed_forward == "swiglu" else Mlp(dim, hidden)
        self.ls2 = LayerScale(dim) if layer_scale else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        x = x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))
        return x


def initialise(network: nn.Module) -> None:
    """Linear layers from a normal distribution cut at two standard deviations of 0.02, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
