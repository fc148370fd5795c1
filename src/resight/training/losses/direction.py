"""Distillation of embeddings: each one points where the teacher's does."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from resight.errors import RecipeError
from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Facts, Loss, State, Target

NEEDED = "the loss 'direction' needs teachers: name their files as teachers in the recipe."


def direction(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over images of ``1 - cos(s_i, t_i)`` for rows (B, D) of any length, in float32."""
    return (1 - F.cosine_similarity(student.float(), teacher.float())).mean()


class Direction(Loss):
    """The embedding of each image points where the teachers' embeddings of it do: 1 - cosine, averaged over teachers.

    One teacher whose embeddings have the student's length is compared directly. Otherwise the student's embedding goes
    through a linear map for each teacher, which is trained with the network and kept in checkpoints alone.
    """

    name: Literal["direction"] = "direction"
    gathers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False

    def state(self, facts: Facts) -> State:
        if not facts.teachers:
            raise RecipeError(NEEDED)
        if facts.teachers == (facts.embedding,):
            return {}
        maps = (torch.empty(length, facts.embedding, dtype=torch.float32) for length in facts.teachers)
        return {f"map{at}": torch.nn.init.orthogonal_(one).requires_grad_() for at, one in enumerate(maps)}

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        if target.teacher is None:
            raise RecipeError(NEEDED)
        student, teacher = gather(output.embedding.float()), gather(target.teacher)
        if not state:
            return direction(student, teacher)
        maps = [state[f"map{at}"] for at in range(len(state))]
        parts = teacher.split([len(one) for one in maps], dim=1)
        pairs = zip(maps, parts, strict=True)
        return torch.stack([direction(student @ one.T, part) for one, part in pairs]).mean()
