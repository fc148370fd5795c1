"""A network for torch whose convolutions and products are computed in 16 bits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resight.models.output import Output


class Half(nn.Module):
    """``network`` under autocast: bfloat16 on the CPU, float16 elsewhere; what is compared comes out in float32.

    float16 keeps 11 bits of a number and bfloat16 8, but few CPUs can multiply in float16. Weights stay as they are.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Output:
        """(B, 3, H, W) float32, prepared as the card says."""
        kind = torch.bfloat16 if x.device.type == "cpu" else torch.float16
        with torch.autocast(x.device.type, kind):
            output: Output = self.network(x)
        attributes = None if output.attributes is None else output.attributes.float()
        return output._replace(embedding=output.embedding.float(), attributes=attributes)
