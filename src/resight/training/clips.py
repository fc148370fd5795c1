"""Clips in training: the output of a network for T frames each, as one for each clip.

Shape letters: ``B`` clips, ``T`` frames of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from resight.errors import RecipeError
from resight.models.output import Output
from resight.training.losses import Target


def pool_output(output: Output, frames: int, *, by_length: bool = False) -> Output:
    """(B T) frames, those of a clip next to each other, to B clips: embedding, features and logits are means over T.

    A mean of logits is the logits of the mean feature, since classifiers are linear.

    Args:
        frames: T.
        by_length: weigh frames by the length of their embeddings, as a network ``frame_attention`` wants.

    Raises:
        RecipeError: a network that draws its input again, of which there is no mean.
    """
    if output.reconstruction is not None:
        raise RecipeError(
            "The network draws its input again, and no clip can be drawn: choose another network, or another "
            "sampler.kind than 'tracklets'."
        )
    shape = (-1, frames)
    lengths = output.embedding.float().norm(dim=1) if by_length else torch.ones_like(output.embedding[:, 0]).float()
    weights = lengths.view(shape) / lengths.view(shape).sum(1, keepdim=True)  # (B, T)

    def mean(one: Tensor) -> Tensor:
        return (one.view(*shape, one.shape[1]) * weights[..., None].to(one.dtype)).sum(1)

    return Output(
        mean(output.embedding),
        tuple(map(mean, output.features)),
        tuple(map(mean, output.logits)),
        None if output.attributes is None else mean(output.attributes),
    )


def pool_target(target: Target, frames: int) -> Target:
    """The ground truth of clips, which is that of their first frames; ``images`` stay all frames."""
    attributes = None if target.attributes is None else target.attributes[::frames]
    return target._replace(labels=target.labels[::frames], attributes=attributes)
