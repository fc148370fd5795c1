"""What a loss is: numbers from a recipe, and a function of the model's output and the ground truth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from resight.models.output import Output

State = dict[str, Tensor]


class Target(NamedTuple):
    """The ground truth of a batch.

    Attributes:
        labels: (B,) int64 identities from 0 on; -1 where unknown.
        images: (B, 3, H, W) the network's input.
        attributes: (B, A) uint8 of 0 and 1, 255 where unknown; None where the data has none.
        teacher: (B, T) what the recipe's teachers see in the images, of unit length; None where it has none.
        plain: (B,) bool, which images are shown without any random change; None where that is not tracked.
    """

    labels: Tensor
    images: Tensor
    attributes: Tensor | None = None
    teacher: Tensor | None = None
    plain: Tensor | None = None


class Facts(NamedTuple):
    """What a loss may know of the training data and the model before the first step.

    Attributes:
        labels: (N,) identities of the training images, from 0 on; -1 where unknown.
        attributes: (N, A) uint8 as in :class:`Target`, or None.
        features: lengths of the model's feature vectors, in order.
        teachers: lengths of the embeddings of the recipe's teachers, in order.
        embedding: length of the model's embedding.
    """

    labels: NDArray[np.int64]
    attributes: NDArray[np.uint8] | None
    features: tuple[int, ...]
    teachers: tuple[int, ...] = ()
    embedding: int = 0


class Loss(BaseModel):
    """One term of the objective, ``weight`` times its value.

    A loss is one file in ``losses/`` with a subclass that has a ``name``, its numbers as fields, and ``__call__``. What
    it must remember between steps it returns from ``state`` and changes in place; it is kept in checkpoints. Tensors of
    ``state`` that require a gradient are trained with the network. ``sampler`` names the only kind of batches it can be
    used with, if any. A loss that ``needs_labels`` is only given the images of known identities. ``plain_views`` leaves
    out augmented views of images, if the recipe has views.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    weight: float = Field(1.0, ge=0)
    plain_views: bool = False
    classifies: ClassVar[bool] = False  # whether the model needs a classifier for it
    needs_labels: ClassVar[bool] = True  # of the identities
    compares: ClassVar[bool] = False  # images of the batch by their identities
    gathers: ClassVar[bool] = False  # the images of all processes, whose numbers may differ
    sampler: ClassVar[str] = ""

    def state(self, facts: Facts) -> State:
        """Tensors to remember, on the CPU; none by default."""
        return {}

    def check(self, output: Output) -> None:
        """Refuse a model whose output is not what this loss needs; nothing is refused by default."""

    @abstractmethod
    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        """The loss of a batch, a scalar in float32."""


def mean_over(features: tuple[Tensor, ...], value: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean of ``value`` over several heads or descriptors."""
    return torch.stack([value(one) for one in features]).mean()
