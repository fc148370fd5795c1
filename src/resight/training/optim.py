"""Optimisers and learning rates of a phase."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from resight.errors import RecipeError
from resight.training.parts import Phase


def trained(network: nn.Module, phase: Phase, trainable: frozenset[str]) -> list[nn.Parameter]:
    """The parameters that a phase trains, out of those that its architecture trains at all.

    Raises:
        RecipeError: ``only`` names no parameter.
    """
    chosen = [
        p
        for name, p in network.named_parameters()
        if name in trainable and (not phase.only or name.startswith(phase.only))
    ]
    if not chosen:
        names = sorted({name.split(".")[0] for name, _ in network.named_parameters()})
        raise RecipeError(f"phase.only {list(phase.only)} matches no parameter: the network has {', '.join(names)}.")
    return chosen


def optimizer(network: nn.Module, phase: Phase, trainable: frozenset[str]) -> torch.optim.Optimizer:
    """The phase's optimiser over the parameters it trains; the others are frozen (``requires_grad``)."""
    chosen = trained(network, phase, trainable)
    for p in network.parameters():
        p.requires_grad_(False)
    for p in chosen:
        p.requires_grad_(True)
    groups = by_rate(network, phase, chosen)
    lr, decay = phase.lr, phase.weight_decay
    if phase.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, phase.momentum, weight_decay=decay, nesterov=phase.momentum > 0)
    if phase.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr, weight_decay=decay, fused=True)
    return torch.optim.Adam(groups, lr, weight_decay=decay, amsgrad=phase.optimizer == "amsgrad", fused=True)


def by_rate(network: nn.Module, phase: Phase, chosen: list[nn.Parameter]) -> list[dict[str, Any]]:
    """The chosen parameters in groups by the factor of their learning rate.

    Raises:
        RecipeError: ``rates`` names no parameter.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    groups: dict[float, list[nn.Parameter]] = {}
    for p in chosen:
        prefix = max((prefix for prefix in phase.rates if names[id(p)].startswith(prefix)), key=len, default=None)
        groups.setdefault(1.0 if prefix is None else phase.rates[prefix], []).append(p)
    for prefix in phase.rates:
        if not any(name.startswith(prefix) for name in names.values()):
            raise RecipeError(f"phase.rates names {prefix!r}, which no parameter begins with.")
    return [{"params": params, "factor": factor} for factor, params in groups.items()]


def learning_rate(phase: Phase, epoch: float) -> float:
    """The learning rate at ``epoch`` of the phase (from 0; the steps of an epoch are fractions)."""
    if epoch < phase.warmup:
        done = epoch / phase.warmup
        return phase.lr * (phase.warmup_factor * (1 - done) + done)
    if phase.schedule == "multi_step":
        return phase.lr * phase.gamma ** sum(epoch >= milestone for milestone in phase.milestones)
    if phase.schedule == "cosine":
        done = min(1.0, (epoch - phase.warmup) / max(1e-9, phase.epochs - phase.warmup))
        return phase.lr * (phase.final_factor + (1 - phase.final_factor) * (1 + math.cos(math.pi * done)) / 2)
    return phase.lr
