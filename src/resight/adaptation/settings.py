"""The recipe of an adaptation, chosen from the model's card and the number of crops.

From Cluster Contrast (Dai et al. 2022, ``cluster_contrast_train_usl.py``): temperature, momentum, Adam, learning rate,
weight decay, augmentation. Batches are smaller, so that two processor cores suffice, and an epoch shows each clustered
image about once.
"""

from __future__ import annotations

import math
from pathlib import Path

from resight.adaptation.clusters import Facts
from resight.errors import RecipeError, TrainingError
from resight.models.card import Card
from resight.secrets import without_secrets
from resight.training import recipe as recipes
from resight.training.losses.cluster_memory import ClusterMemory
from resight.training.parts import AugmentationSpec, Averaging, Data, ImageSpec, ModelSpec, Phase, Sampler
from resight.training.recipe import Recipe

EPOCHS = 20
LOWERED = 0.65  # the share of the epochs after which the learning rate is a tenth
_IDENTITIES, _IMAGES = 16, 8  # clusters in a batch, and images of each
_STAY = 0.4  # the share of the clusters that every epoch has (judge.collapsed ensures it)
_FEWEST_STEPS, _MOST_STEPS = 25, 400


def refuse_numbers(*, lr: float, seed: int, epochs: int = 1, steps: int = 0, travel: float = 0.0) -> None:
    """Refuse numbers that no training takes.

    Raises:
        RecipeError: one of them, by its name.
    """
    if not (lr > 0 and math.isfinite(lr)):
        raise RecipeError(f"lr is {lr}: the learning rate must be above 0, such as 0.00035.")
    if not (travel >= 0 and math.isfinite(travel)):
        raise RecipeError(f"travel is {travel}: pass seconds, 0 to rule nothing out.")
    for name, number in (("epochs", epochs), ("steps", steps), ("seed", seed)):
        if not isinstance(number, int) or number < 0:
            raise RecipeError(f"{name} is {number}: pass a whole number, 0 or more.")


def refuse_other(written: Path, source: str, model: str, epochs: int, lr: float, seed: int, precision: str) -> None:
    """Refuse what differs from the recipe of a finished adaptation.

    Raises:
        TrainingError: it was another run, whose first difference is named.
    """
    done = recipes.read(written)
    root = without_secrets(source)
    for name, before, now in (
        ("source", done.data.root if isinstance(done.data, Data) else None, root),
        ("model", done.model.weights, model),
        ("epochs", done.epochs, epochs),
        ("lr", done.phases[0].lr, lr),
        ("seed", done.seed, seed),
        ("precision", done.precision, precision),
    ):
        if before != now:
            raise TrainingError(
                f"{written.parent} holds a finished adaptation with {name} {before!r}, now it is {now!r}: use another "
                "--output. Its learning rates depend on the number of epochs, so that it cannot go on for more."
            )


def settings(
    card: Card,
    *,
    source: str,
    model: str,
    found: Facts,
    images: int,
    epochs: int,
    lr: float = 3.5e-4,
    seed: int = 1,
    precision: str = "no",
    steps: int = 0,
) -> Recipe:
    """The recipe for so many images in these clusters.

    Args:
        card: of the model to adapt.
        source, model: what the user called them.
        found: the clusters before training; images: how many crops there are.
        epochs, lr, seed, precision: of the training; steps: batches in an epoch, 0 for about one view of each image.
    """
    to = card.preprocessing
    identities = max(2, min(_IDENTITIES, int(found.clusters * _STAY)))
    batch = identities * _IMAGES
    whole = round(images * found.clustered) // batch
    steps = steps or min(max(whole, _FEWEST_STEPS), _MOST_STEPS)
    return Recipe(
        name="adapt",
        about="A model adapted to crops without labels, written by resight adapt.",
        source="arXiv 2103.11568",
        data=Data(name="unlabelled", root=without_secrets(source)),
        model=ModelSpec(name=card.architecture, arguments=_arguments(card), weights=model),
        images=ImageSpec(height=to.height, width=to.width, resize=to.resize),
        augmentation=AugmentationSpec(flip=0.5, pad_crop=round(to.height * 10 / 256), erase=0.5),
        sampler=Sampler(kind="cameras", batch_size=batch, images_per_identity=_IMAGES, steps=steps),
        losses=(ClusterMemory(temperature=0.05, momentum=0.1),),
        phases=(
            Phase(
                epochs=epochs,
                optimizer="adam",
                lr=lr,
                weight_decay=5e-4,
                schedule="multi_step",
                milestones=(max(1, round(epochs * LOWERED)),),
                warmup=1.0 if epochs > 2 else 0.0,
            ),
        ),
        averaging=Averaging(decay=0.99),
        precision=precision,
        seed=seed,
    )


def _arguments(card: Card) -> dict[str, object]:
    """The arguments of the network without the classifier, which memory replaces."""
    return {key: value for key, value in card.arguments.items() if key != "num_identities"}
