"""Optimisers and learning rates of a phase."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
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
    """The chosen parameters in groups by the factor of their learning rate, and by whether they decay.

    Raises:
        RecipeError: ``rates`` names no parameter, or ``layer_decay`` is given for a network without numbered blocks.
    """
    names = {id(p): name for name, p in network.named_parameters()}
    layers = layers_of(list(names.values())) if phase.layer_decay < 1 else {}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for p in chosen:
        name = names[id(p)]
        prefix = max((prefix for prefix in phase.rates if name.startswith(prefix)), key=len, default=None)
        factor = 1.0 if prefix is None else phase.rates[prefix]
        if _is_bias(name):
            factor *= phase.bias_rate
        if layers:
            factor *= phase.layer_decay ** (max(layers.values()) - layers[name])
        groups.setdefault((factor, phase.decay_vectors or not _is_vector(name, p)), []).append(p)
    for prefix in phase.rates:
        if not any(name.startswith(prefix) for name in names.values()):
            raise RecipeError(f"phase.rates names {prefix!r}, which no parameter begins with.")
    spared: dict[str, Any] = {"weight_decay": 0.0}
    return [
        {"params": params, "factor": factor} | ({} if decays else spared) for (factor, decays), params in groups.items()
    ]


def layers_of(names: Sequence[str]) -> dict[str, int]:
    """The layer of each parameter, from its name: 0 before the first numbered block, the last one after all blocks.

    Args:
        names: of all parameters, in the network's order.

    Raises:
        RecipeError: no parameter is in a numbered block.
    """
    blocks = [(found := _BLOCK.match(name)) and found[0] for name in names]
    order = {block: at for at, block in enumerate(dict.fromkeys(filter(None, blocks)), start=1)}
    if not order:
        raise RecipeError(
            "phase.layer_decay needs a network with numbered blocks, such as a transformer: use phase.rates for others."
        )
    last = max(at for at, block in enumerate(blocks) if block)
    layers, before = {}, 0
    for at, (name, block) in enumerate(zip(names, blocks, strict=True)):
        before = order[block] if block else before
        after = at > last or name.endswith(".proj")  # CLIP's projection is registered before its blocks
        layers[name] = len(order) + 1 if after else before
    return layers


_BLOCK = re.compile(r"(.*\.)?(blocks|resblocks)\.\d+\.")


def _is_bias(name: str) -> bool:
    return name.endswith("bias")


def _is_vector(name: str, p: nn.Parameter) -> bool:
    """Biases, norms and other vectors, and the tables of tokens and positions."""
    last = name.rpartition(".")[2]
    return p.ndim <= 1 or last.endswith(("_token", "_tokens", "_embed", "_embedding", "_table"))


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
