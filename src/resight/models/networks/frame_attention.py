"""Attention over the frames of a clip, on any registered network.

A frame's score a(f) = 2 tanh(w tanh(W f)), of the direction f of its embedding (two linear layers, as in Ilse et al.,
"Attention-based Deep Multiple Instance Learning", ICML 2018), weighs it in its clip by exp(a) / sum of exp(a). The
embedding is f exp(a): its direction is that of the network, so that cosine distances between images are what they were,
and its length the frame's weight, so that the sum over the frames of a clip points where the weighted mean does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resight.models import registry
from resight.models.output import Output

STEEPEST = 2.0  # a frame weighs at most exp(2 * 2) = 55 times as much as another


class FrameAttention(nn.Module):
    """A network with attention over frames; compare its embeddings by cosine.

    Args:
        num_identities: size of the network's classifier; 0 for none.
        network: a registered one.
        hidden: length of the layer between.
        arguments: those of the network.
    """

    def __init__(
        self, num_identities: int = 0, *, network: str = "osnet_x0_25", hidden: int = 64, **arguments: Any
    ) -> None:
        super().__init__()
        self.network = registry.create(network, num_identities, **arguments)
        dim = _embedding_length(self.network, network, arguments)
        last = nn.Linear(hidden, 1)
        nn.init.normal_(last.weight, std=0.01)  # all frames weigh nearly the same at first
        nn.init.zeros_(last.bias)
        self.attention = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), last, nn.Tanh())

    def forward(self, x: Tensor) -> Output:
        output: Output = self.network(x)
        direction = F.normalize(output.embedding, dim=1)  # (B, D)
        score = STEEPEST * self.attention(direction)  # (B, 1)
        return output._replace(embedding=direction * score.exp())


def _embedding_length(network: nn.Module, name: str, arguments: dict[str, Any]) -> int:
    made_for = registry.preprocessing(name)
    height, width = arguments.get("height", made_for.height), arguments.get("width", made_for.width)
    device = next(network.parameters()).device
    with torch.no_grad():
        output: Output = network.eval()(torch.zeros(1, 3, height, width, device=device))
    network.train()
    return output.embedding.shape[1]


@registry.register
def frame_attention(
    num_identities: int = 0, *, network: str = "osnet_x0_25", hidden: int = 64, **arguments: Any
) -> FrameAttention:
    """Attention over the frames of a tracklet, on any registered network (network=...); OSNet x0.25 by default."""
    return FrameAttention(num_identities, network=network, hidden=hidden, **arguments)
