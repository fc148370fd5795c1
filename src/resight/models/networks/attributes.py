"""Attribute recognition: 32 yes-or-no questions about a person, answered by one linear layer on a backbone."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.layers import heads, pooling
from resight.models.output import Output
from resight.models.registry import carrier, register

CBAM: dict[str, Any] = {"attention": "both"}
SMALL: dict[str, Any] = {"pool": "max", "reduce": 512}  # as in torchreid's attribute recognition with OSNet


class AttributeNet(nn.Module):
    """A backbone, pooling, perhaps a reduction, and one output per attribute (a logit; its sigmoid is the chance).

    The embedding that attribute re-ID compares are these outputs themselves (``embedding="logits"``, as in the
    source), their sigmoids (``"probabilities"``), or the vector before them (``"features"``).

    Args:
        backbone: the registered network that carries it.
        num_identities: with it, an identity classifier on the same vector (Lin et al. 2019 train both).
        attributes: how many.
        reduce: length of a linear layer with batch norm and ReLU before the outputs, 0 for none.
        dropout: before the outputs (DeepMAR: 0.5).
        carrying: arguments of the backbone, such as ``attention="both"``.
    """

    def __init__(
        self,
        backbone: str,
        num_identities: int = 0,
        *,
        attributes: int = 32,
        embedding: Literal["logits", "probabilities", "features"] = "logits",
        pool: pooling.Pooling = "average",
        reduce: int = 0,
        dropout: float = 0.0,
        **carrying: Any,
    ) -> None:
        super().__init__()
        if embedding not in ("logits", "probabilities", "features"):
            raise ModelError(f"embedding {embedding!r} does not exist: choose 'logits', 'probabilities' or 'features'.")
        self.backbone = carrier(backbone, **carrying)
        self.pool = pooling.build(pool)
        dim = reduce or self.backbone.channels
        self.reduction = heads.reduction(self.backbone.channels, reduce) if reduce else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.attributes = heads.classifier(dim, attributes, deviation=0.001)
        self.classifier = heads.classifier(dim, num_identities) if num_identities else None
        self.embedding = embedding

    def forward(self, x: Tensor) -> Output:
        vector = self.dropout(self.reduction(self.pool(self.backbone.maps(x))))
        found = self.attributes(vector)
        embedding = {"logits": found, "probabilities": found.sigmoid(), "features": vector}[self.embedding]
        logits = () if self.classifier is None else (self.classifier(vector),)
        return Output(embedding, (vector,), logits, attributes=found)


@register
def attributes_resnet50(num_identities: int = 0, **arguments: Any) -> AttributeNet:
    """Attribute recognition with ResNet-50: 32 binary outputs."""
    return AttributeNet("resnet50", num_identities, **arguments)


@register
def attributes_resnet50_cbam(num_identities: int = 0, **arguments: Any) -> AttributeNet:
    """Attribute recognition with ResNet-50 and CBAM (channel and spatial attention) in every block."""
    return attributes_resnet50(num_identities, **CBAM | arguments)


@register
def attributes_osnet_x0_25(num_identities: int = 0, **arguments: Any) -> AttributeNet:
    """Attribute recognition with OSNet x0.25, for two cores: maximum pooling and a 512-d layer before the outputs."""
    return AttributeNet("osnet_x0_25", num_identities, **SMALL | arguments)


@register
def attributes_osnet_x0_25_cbam(num_identities: int = 0, **arguments: Any) -> AttributeNet:
    """Attribute recognition with OSNet x0.25 and CBAM in every block, for two cores."""
    return attributes_osnet_x0_25(num_identities, **CBAM | arguments)
