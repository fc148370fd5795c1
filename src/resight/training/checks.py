"""What cannot be learnt is refused before the first epoch."""

from __future__ import annotations

from collections.abc import Sequence

from resight.errors import DataError, RecipeError
from resight.training.examples import Examples
from resight.training.losses import Loss
from resight.training.parts import Phase, Sampler
from resight.training.recipe import Recipe


def refuse_hopeless(recipe: Recipe, examples: Examples) -> None:
    """Refuse a recipe that has nothing to learn from these training images.

    Raises:
        DataError: no identity, or one alone, for losses that tell identities apart.
        RecipeError: batches of one image, batches in which metric losses find no pair, or a phase that trains nothing.
    """
    for number, phase in enumerate(recipe.phases):
        losses, sampler = recipe.losses_of(phase), recipe.sampler_of(phase)
        if sampler.batch_size < 2:
            raise RecipeError(f"sampler.batch_size is {sampler.batch_size}: a batch needs two images or more.")
        _check_identities(losses, examples)
        if all(loss.compares for loss in losses):
            _check_pairs(losses, sampler)
        _check_classifier(number, phase, losses)


def _check_identities(losses: Sequence[Loss], examples: Examples) -> None:
    if examples.identities > 1 or not all(loss.needs_labels for loss in losses):
        return
    names = ", ".join(dict.fromkeys(loss.name for loss in losses))
    found = "one identity" if examples.identities else "no identity"
    raise DataError(
        f"The training images have {found} that is known, so that {names} cannot learn anything: "
        "add images of two identities or more."
    )


def _check_pairs(losses: Sequence[Loss], sampler: Sampler) -> None:
    name, K = losses[0].name, sampler.images_per_identity
    if sampler.kind not in ("identities", "tracklets"):
        return
    if K < 2:
        raise RecipeError(
            f"the loss {name!r} compares images of one identity, but sampler.images_per_identity is {K}: use 2 or more."
        )
    if sampler.batch_size // sampler.unit < 2:
        raise RecipeError(
            f"the loss {name!r} compares identities, but a batch of {sampler.batch_size} holds one identity "
            f"({sampler.unit} images each): use a sampler.batch_size of {2 * sampler.unit} or more."
        )


def _check_classifier(number: int, phase: Phase, losses: Sequence[Loss]) -> None:
    alone = bool(phase.only) and all(name.startswith("classifier") for name in phase.only)
    if alone and not any(loss.classifies for loss in losses):
        raise RecipeError(
            f"phases.{number} trains the classifier alone, which none of its losses uses: add the loss "
            "'cross_entropy', or train other parameters."
        )
