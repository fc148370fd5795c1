"""One loss per file; a new one is added to the union below."""

from typing import Annotated, get_args

from pydantic import Field

from resight.training.losses.attributes import Attributes
from resight.training.losses.center import Center
from resight.training.losses.cross_entropy import CrossEntropy
from resight.training.losses.direction import Direction
from resight.training.losses.distillation import Distillation
from resight.training.losses.elastic import Elastic
from resight.training.losses.given_triplets import GivenTriplets
from resight.training.losses.loss import Facts, Loss, State, Target
from resight.training.losses.triplet import Triplet
from resight.training.losses.vae import VAE
from resight.training.losses.weighted_triplet import WeightedTriplet

AnyLoss = Annotated[
    Attributes
    | Center
    | CrossEntropy
    | Direction
    | Distillation
    | Elastic
    | GivenTriplets
    | Triplet
    | VAE
    | WeightedTriplet,
    Field(discriminator="name"),
]

LOSSES: dict[str, type[Loss]] = {loss.model_fields["name"].default: loss for loss in get_args(get_args(AnyLoss)[0])}
"""Every loss by the name that recipes use."""

__all__ = ["LOSSES", "AnyLoss", "CrossEntropy", "Facts", "Loss", "State", "Target", "Triplet"]
