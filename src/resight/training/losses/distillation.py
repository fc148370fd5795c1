"""Distillation of relations: similarities within a batch are learnt from a teacher (Park et al., CVPR 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.errors import RecipeError
from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Facts, Loss, State, Target, mean_over

NEEDED = "the loss 'distillation' needs teachers: name their files as teachers in the recipe."


def neighbour_divergence(student: Tensor, teacher: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over images i of ``KL(p_i || q_i)``, the teacher's similarities to the other images against the student's.

    ``p_ij`` is the softmax over the other images ``j != i`` of the batch of ``cos(t_i, t_j) / temperature``, and
    ``q_ij`` that of the student's ``cos(s_i, s_j) / temperature``. Relations are matched, not vectors, as in RKD (Park
    et al. 2019, arXiv 1904.05068) and similarity-preserving distillation (Tung and Mori 2019, arXiv 1907.09682), so
    that the two may differ in length and direction; the softmax, as in SEED (Fang et al. 2021, arXiv 2101.04731),
    lets the nearest count most.

    Args:
        student: (B, D) and teacher: (B, T), at least two rows, of any length; computed in float32.
        temperature: above 0; the lower, the fewer neighbours count.
    """
    s, t = F.normalize(student.float()), F.normalize(teacher.float())
    others = ~torch.eye(len(s), dtype=torch.bool, device=s.device)
    q, p = (
        ((x @ x.T)[others].view(len(s), -1) / temperature).log_softmax(1)  # (B, B - 1)
        for x in (s, t)
    )
    return F.kl_div(q, p, reduction="batchmean", log_target=True)


class Distillation(Loss):
    """Each image gets the neighbours within the batch that the recipe's ``teachers`` give it."""

    name: Literal["distillation"] = "distillation"
    gathers: ClassVar[bool] = True
    temperature: float = Field(0.1, gt=0)
    needs_labels: ClassVar[bool] = False

    def state(self, facts: Facts) -> State:
        if not facts.teachers:
            raise RecipeError(NEEDED)
        return {}

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        if target.teacher is None:
            raise RecipeError(NEEDED)
        teacher = gather(target.teacher)
        return mean_over(output.features, lambda x: neighbour_divergence(gather(x.float()), teacher, self.temperature))
