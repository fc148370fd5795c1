"""Weighted binary cross entropy for attributes (DeepMAR; Li et al., ACPR 2015)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.datasets.attribute_names import UNKNOWN
from resight.errors import DataError
from resight.models.output import Output
from resight.training.losses.loss import Facts, Loss, State, Target

NEEDS_DATA = "the loss 'attributes' needs data with attributes: use data.name market1501_attributes."


def positive_ratios(attributes: NDArray[np.uint8], labels: NDArray[np.int64], *, per: str) -> NDArray[np.float64]:
    """The share of positives of each attribute (A,), of images or of identities (an identity's first known image)."""
    known = np.flatnonzero((attributes != UNKNOWN).all(1))
    if per == "identity":
        _, first = np.unique(labels[known], return_index=True)
        known = known[first]
    ratios: NDArray[np.float64] = attributes[known].mean(0, dtype=np.float64)
    return ratios


def weighted_bce(logits: Tensor, truth: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over images and attributes of ``-w [y log p + (1 - y) log(1 - p)]``, p the sigmoid of the logit.

    Args:
        logits: (B, A); truth: (B, A) of 0 and 1, 255 where unknown (it counts nothing).
        positive, negative: (A,) the weight w where y is 1 and where it is 0.
    """
    known = truth != UNKNOWN
    y = truth.float() * known
    each = F.binary_cross_entropy_with_logits(logits.float(), y, reduction="none")
    return (each * torch.where(y > 0, positive, negative) * known).sum() / known.sum().clamp_min(1)


class Attributes(Loss):
    """Weighted binary cross entropy over the attributes.

    With p the positive ratio of an attribute in the training set: ``acpr`` weighs both answers by exp(-p / sigma^2)
    (the paper's form); ``pos_neg`` weighs a yes by exp((1 - p) / sigma^2) and a no by
    exp(p / sigma^2) (the DeepMAR author's released code); ``none`` weighs all alike. ``per: identity`` counts
    people, ``image`` images.
    """

    name: Literal["attributes"] = "attributes"
    mode: Literal["acpr", "pos_neg", "none"] = "acpr"
    sigma: float = Field(1.0, gt=0)
    per: Literal["identity", "image"] = "identity"
    needs_labels: ClassVar[bool] = False  # an attribute may be known where the identity is not

    def state(self, facts: Facts) -> State:
        if facts.attributes is None:
            raise DataError(NEEDS_DATA)
        p = torch.from_numpy(positive_ratios(facts.attributes, facts.labels, per=self.per)).float() / self.sigma**2
        scale = 1 / self.sigma**2
        yes = {"acpr": (-p).exp(), "pos_neg": (scale - p).exp(), "none": torch.ones_like(p)}[self.mode]
        no = {"acpr": (-p).exp(), "pos_neg": p.exp(), "none": torch.ones_like(p)}[self.mode]
        return {"positive": yes, "negative": no}

    def check(self, output: Output) -> None:
        if output.attributes is None:
            raise DataError("the loss 'attributes' needs a model with attributes, such as attributes_resnet50.")

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        self.check(output)
        if target.attributes is None:
            raise DataError(NEEDS_DATA)
        assert output.attributes is not None
        return weighted_bce(output.attributes, target.attributes, state["positive"], state["negative"])
