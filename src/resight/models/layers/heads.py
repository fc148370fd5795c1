"""The ends a re-ID network can have: a plain classifier or BNNeck, and the reduction before them.

The published key names are kept: ``classifier``, and ``bottleneck`` for BNNeck, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from resight.errors import ModelError
from resight.models.layers import pooling
from resight.models.output import Output

Head = Literal["plain", "bnneck"]


def reduction(inputs: int, outputs: int = 512) -> nn.Sequential:
    """Linear, batch norm, ReLU: from a pooled map to a shorter vector. Weights from N(0, 0.01)."""
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, 0, 0.01)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


def classifier(dim: int, num_identities: int, *, bias: bool = True, deviation: float = 0.01) -> nn.Linear:
    """A classifier with weights from N(0, ``deviation``)."""
    linear = nn.Linear(dim, num_identities, bias=bias)
    nn.init.normal_(linear.weight, 0, deviation)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


def classifiers(dims: Sequence[int], num_identities: int, *, deviation: float = 0.01) -> nn.ModuleList | None:
    """One :func:`classifier` for each vector of a network that has several; None with ``num_identities=0``."""
    if num_identities == 0:
        return None
    return nn.ModuleList(classifier(dim, num_identities, deviation=deviation) for dim in dims)


def logits(classifiers: nn.ModuleList | None, vectors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What each classifier says of its own vector; nothing without classifiers."""
    if classifiers is None:
        return ()
    return tuple(classify(vector) for classify, vector in zip(classifiers, vectors, strict=True))


def build(kind: Head, dim: int, num_identities: int) -> tuple[nn.Module, nn.Linear | None]:
    """The neck and the classifier of a network whose vector has ``dim`` entries.

    ``plain``: identity neck, classifier with bias (torchreid). ``bnneck``: batch normalisation with its bias frozen
    at zero, classifier without bias drawn from N(0, 0.001) (Luo et al., "Bag of Tricks", 2019). With
    ``num_identities=0`` there is no classifier.
    """
    if kind not in ("plain", "bnneck"):
        raise ModelError(f"head {kind!r} does not exist: choose 'plain' or 'bnneck'.")
    neck: nn.Module = nn.Identity()
    if kind == "bnneck":
        neck = nn.BatchNorm1d(dim)
        neck.bias.requires_grad_(False)
    if num_identities == 0:
        return neck, None
    plain = kind == "plain"
    return neck, classifier(dim, num_identities, bias=plain, deviation=0.01 if plain else 0.001)


def output(vector: Tensor, neck: nn.Module, classifier: nn.Linear | None) -> Output:
    """Embedding after the neck, metric losses before it, identity losses on the classifier (all the same if plain)."""
    embedding = neck(vector)
    logits = () if classifier is None else (classifier(embedding),)
    return Output(embedding, (vector,), logits)


class Pooled(nn.Module):
    """A network that gives one vector: its last map pooled, perhaps reduced, compared with or without BNNeck.

    A network of this kind defines ``maps`` and ``channels``, and calls :meth:`add_end` last.
    """

    channels: int

    def add_end(
        self,
        *,
        num_identities: int = 0,
        head: Head | None = "plain",
        pool: pooling.Pooling = "average",
        reduce: int = 0,
    ) -> None:
        """Add pooling, reduction, neck and classifier; nothing with ``head=None``, for what another system carries.

        ``reduce``: length of the vector after batch norm and one linear layer; 0 keeps the ``channels`` of the map.
        """
        if head is None:
            return
        self.pool = pooling.build(pool)
        self.reduction: nn.Module = nn.Identity()
        if reduce:
            self.reduction = nn.Sequential(nn.BatchNorm1d(self.channels), nn.Linear(self.channels, reduce))
        self.bottleneck, self.classifier = build(head, reduce or self.channels, num_identities)

    def maps(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) images to the last feature map (B, ``channels``, H / stride, W / stride)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Output:
        return output(self.reduction(self.pool(self.maps(x))), self.bottleneck, self.classifier)
