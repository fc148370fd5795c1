"""Cluster memory: each image against one vector per cluster, which follows the images (Dai et al., Cluster Contrast).

"Cluster Contrast for Unsupervised Person Re-Identification", ACCV 2022 (arXiv 2103.11568), equations 2 and 4.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from resight.models.output import Output
from resight.training.losses.gather import gather
from resight.training.losses.loss import Facts, Loss, State, Target


class ClusterMemory(Loss):
    """The mean of ``-log softmax(f . M / temperature)`` at the image's own cluster, f being the unit embedding.

    M holds a unit vector for each of C clusters (``clusters``, (C, D)). After the loss of a batch is computed,
    ``M_y <- momentum * M_y + (1 - momentum) * f``, of length one again, for one image after the other. With fixed
    labels M begins with zeros and learns from the first batches; :mod:`resight.adaptation` replaces it every epoch.
    """

    name: Literal["cluster_memory"] = "cluster_memory"
    temperature: float = Field(0.05, gt=0)
    momentum: float = Field(0.1, ge=0, le=1)
    gathers: ClassVar[bool] = True

    def state(self, facts: Facts) -> State:
        identities = int(facts.labels.max(initial=-1)) + 1
        return {"clusters": torch.zeros(identities, facts.embedding, dtype=torch.float32)}

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        f = F.normalize(gather(output.embedding.float()), dim=1)  # (B, D)
        labels = gather(target.labels)
        memory = state["clusters"]
        loss = F.cross_entropy(f @ memory.clone().T / self.temperature, labels)
        follow(memory, f.detach(), labels, self.momentum)
        return loss


def follow(memory: Tensor, vectors: Tensor, labels: Tensor, momentum: float) -> None:
    """Move the rows of ``memory`` (C, D) towards unit ``vectors`` (B, D), in place, one after the other.

    The order counts within a cluster alone, so that the first image of every cluster is done at once, then the second.
    """
    order = torch.argsort(labels, stable=True)
    ordered = labels[order]
    starts = torch.searchsorted(ordered, ordered)  # where each cluster begins
    turn = torch.arange(len(ordered), device=labels.device) - starts
    for at in range(int(turn.max()) + 1 if len(turn) else 0):
        some = order[turn == at]
        rows = labels[some]
        memory[rows] = F.normalize(momentum * memory[rows] + (1 - momentum) * vectors[some], dim=1)
