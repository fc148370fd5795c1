"""What is minimised: the recipe's losses, each with its weight, on the parts of the output they apply to.

Of clips the outputs for T frames are first made one. Shape letters: ``B`` images or clips, ``T`` frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from resight.errors import RecipeError
from resight.models.output import Output
from resight.training.losses import Loss, State, Target
from resight.training.losses.gather import processes, summed


def objective(
    output: Output, target: Target, losses: Sequence[Loss], states: Sequence[State]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of the losses, and each one by name (unweighted, detached).

    Every loss averages over the heads, features or outputs of the model it applies to; metric losses mine the whole
    batch, across processes. A loss that counts only some images (:func:`counted`) and finds none in the whole batch is
    not among the parts.
    """
    device = output.embedding.device
    total = torch.zeros((), dtype=torch.float32, device=device)
    parts: dict[str, Tensor] = {}
    rows = [counted(loss, target) for loss in losses]
    own = torch.stack([some.sum() for some in rows])
    everywhere = summed(own).tolist()
    batch = len(target.labels) * processes()
    for at, (loss, name, state) in enumerate(zip(losses, names(losses), states, strict=True)):
        if everywhere[at] == batch:
            value = loss(output, target, state)
        elif everywhere[at] == 0 or not (loss.gathers or own[at]):
            value = _nothing(output)
        else:
            value = loss(_take(output, rows[at]), _take(target, rows[at]), state)
            if not loss.gathers:  # a mean over images of this process, of which others may count more or fewer
                value = value * (own[at] * processes() / everywhere[at])
        if everywhere[at]:
            parts[name] = value.detach()
        total = total + loss.weight * value
    return total, parts


def counted(loss: Loss, target: Target) -> Tensor:
    """Which images of the batch (B,) a loss counts."""
    rows = torch.ones_like(target.labels, dtype=torch.bool)
    if loss.needs_labels:
        rows &= target.labels >= 0
    if loss.plain_views and target.plain is not None:
        rows &= target.plain
    return rows


def _nothing(output: Output) -> Tensor:
    """Zero, as a function of everything that the model gives."""
    tensors = (output.embedding, *output.features, *output.logits)
    return 0 * torch.stack([one.float().sum() for one in tensors]).sum()


def names(losses: Sequence[Loss]) -> list[str]:
    """A name for each loss; the second triplet loss is called ``triplet_2``."""
    plain = [loss.name for loss in losses]
    counts = [plain[: at + 1].count(name) for at, name in enumerate(plain)]
    return [name if count == 1 else f"{name}_{count}" for name, count in zip(plain, counts, strict=True)]


def _take(part: Any, rows: Tensor) -> Any:
    """The rows of a tensor, or of every tensor in a tuple of tensors and tuples."""
    if isinstance(part, Tensor):
        return part[rows]
    if isinstance(part, tuple):
        taken = (_take(one, rows) for one in part)
        return type(part)(*taken) if hasattr(part, "_fields") else tuple(taken)
    return part


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
