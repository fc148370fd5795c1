"""Elastic loss of CBDB-Net (Tan et al., TCSVT 2021): the batch-hard triplet loss weighs itself."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Loss, State, Target, mean_over
from resight.training.losses.triplet import hardest, mean_where, squared_distances


def elastic_weight(excess: Tensor) -> Tensor:
    """The weight in [1/2, 1) of a triplet that is ``excess`` >= 0 too close: 1 / (1 + exp(-excess)) (Fig. 5)."""
    return excess.sigmoid()


def elastic(
    features: Tensor, labels: Tensor, margin: float = 0.3, *, squared: bool = True, detach: bool = False
) -> Tensor:
    """Mean over anchors of ``w(l) l`` with ``l = [margin + d(a, hardest positive) - d(a, hardest negative)]_+``.

    In the paper a sigmoid weights the batch-hard triplet loss in [1/2, 1). It does not give the sigmoid's argument, the
    distance and the margin: we use the hinge l itself and the squared Euclidean distance, and let the gradient go
    through the weight.

    Args:
        features: (B, D); labels: (B,) int64.
        margin: in units of d.
        squared: squared or plain distance.
        detach: take the weight as a constant.
    """
    d = squared_distances(features, features)
    positive, negative, valid = hardest(d if squared else d.sqrt(), labels)
    excess = F.relu(margin + positive - negative)
    weight = elastic_weight(excess.detach() if detach else excess)
    return mean_where(weight * excess, valid)


class Elastic(Loss):
    """Elastic loss, averaged over the (incomplete) descriptors of the output.

    ``normalise`` puts every descriptor on the unit sphere first, where squared distances are at most 4; without it
    (the default) they are those of the descriptors as they are.
    """

    name: Literal["elastic"] = "elastic"
    gathers: ClassVar[bool] = True
    compares: ClassVar[bool] = True
    margin: float = 0.3
    squared: bool = True
    detach: bool = False
    normalise: bool = False

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        labels = gather(target.labels)

        def one(x: Tensor) -> Tensor:
            x = F.normalize(x.float()) if self.normalise else x.float()
            return elastic(gather(x), labels, self.margin, squared=self.squared, detach=self.detach)

        return mean_over(output.features, one)
