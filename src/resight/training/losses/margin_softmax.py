"""Softmax on angles with a margin: ArcFace, CosFace and the class-level circle loss.

An embedding x and the learnt prototype w_c of each identity are compared by the cosine c of their angle. The identity's
own cosine is made smaller by a margin before the softmax, so that the angle to it must be smaller still.

- ``arcface``: cos(θ + m) (Deng et al., CVPR 2019, eq. 3); beyond θ + m = π it goes on as c - m sin m, as in the
  authors' code, so that it falls everywhere;
- ``cosface``: c - m (Wang et al., CVPR 2018, eq. 4);
- ``circle``: (1 + m - c)(c - 1 + m) for the own identity, (c + m)(c - m) for the others, the first factors without a
  gradient and at least 0 (Sun et al., CVPR 2020, eq. 6 and 8).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Facts, Loss, State, Target

Kind = Literal["arcface", "cosface", "circle"]
MARGINS: dict[Kind, float] = {"arcface": 0.5, "cosface": 0.35, "circle": 0.35}
"""As published; that of the circle loss is fast-reid's."""


def margin_logits(cosines: Tensor, labels: Tensor, kind: Kind, margin: float) -> Tensor:
    """(B, C) cosines with the margin of the own identities, before the scale.

    Args:
        cosines: (B, C) float32 in [-1, 1].
        labels: (B,) int64 in [0, C).
        kind, margin: see the module; the margin of ``arcface`` is in radians.
    """
    own = F.one_hot(labels, cosines.shape[1]).bool()
    if kind == "circle":
        still = cosines.detach()
        near = (1 + margin - still).clamp_min(0) * (cosines - (1 - margin))
        far = (still + margin).clamp_min(0) * (cosines - margin)
        return torch.where(own, near, far)
    if kind == "cosface":
        return torch.where(own, cosines - margin, cosines)
    sines = (1 - cosines.square()).clamp_min(1e-12).sqrt()
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    turned = torch.where(cosines > -math.cos(margin), turned, cosines - margin * math.sin(margin))
    return torch.where(own, turned, cosines)


class MarginSoftmax(Loss):
    """Cross entropy of ``scale`` times the cosines between embeddings and prototypes, with a margin.

    ``margin`` is the published one of its ``kind`` where it is not given. The prototypes are trained with the network
    and kept in checkpoints alone. The network needs no classifier for it.
    """

    name: Literal["margin_softmax"] = "margin_softmax"
    kind: Kind = "arcface"
    margin: float | None = Field(None, ge=0)
    scale: float = Field(64.0, gt=0)
    gathers: ClassVar[bool] = True

    def state(self, facts: Facts) -> State:
        shape = int(facts.labels.max()) + 1, facts.embedding
        return {"prototypes": torch.randn(shape, dtype=torch.float32).requires_grad_()}

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels = gather(target.labels)
        cosines = F.normalize(gather(output.embedding.float())) @ F.normalize(state["prototypes"]).T
        margin = MARGINS[self.kind] if self.margin is None else self.margin
        return F.cross_entropy(self.scale * margin_logits(cosines, labels, self.kind, margin), labels)
