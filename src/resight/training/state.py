"""What changes during a run: the network, its average, its optimiser, its history."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from resight.errors import RecipeError, first_line
from resight.models import registry
from resight.models.loading import fill
from resight.models.output import Output
from resight.models.weights import fit
from resight.training.averaging import moving_average
from resight.training.checkpoint import Checkpoint
from resight.training.examples import Examples
from resight.training.losses import Facts
from resight.training.losses import State as Memory
from resight.training.optim import by_rate, optimizer, trained
from resight.training.parts import Phase
from resight.training.recipe import Recipe
from resight.training.sync import synchronise


class _Trained(nn.Module):
    """The network as training calls it: what mixed precision does to this forward, the bare network is spared."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Output:
        output: Output = self.network(x)
        return output


@dataclass
class State:
    """One run in memory; every process has its own, and all are equal.

    Attributes:
        network: the bare network; ``wrapped`` is the same, prepared for several processes and mixed precision.
        averaged: the moving average of its weights, if the recipe wants one.
        trainable: names of the parameters that the architecture trains.
        memories: what each loss of each phase remembers.
        epoch: epochs that are done; ``phase``: index of the phase whose optimiser this is, -1 before the first.
    """

    network: nn.Module
    wrapped: nn.Module
    averaged: AveragedModel | None
    trainable: frozenset[str]
    loaded: str
    memories: list[list[Memory]] = field(default_factory=list)
    optimizer: torch.optim.Optimizer | None = None
    phase: int = -1
    epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        recipe: Recipe,
        examples: Examples,
        teachers: tuple[int, ...],
        accelerator: Accelerator,
        *,
        filled: bool = True,
        start: Mapping[str, Tensor] | None = None,
    ) -> State:
        """The state before the first step, for these training images and the lengths of the teachers' embeddings.

        What is wrong with any phase is refused now rather than after the epochs before it. The recipe's weights, or
        those of ``start`` in their place, are not read where ``filled`` is off, since a checkpoint follows.
        """
        spec = recipe.model
        network = registry.create(spec.name, examples.identities if recipe.classifies else 0, **recipe.builds_with)
        loaded = ""
        if filled and start is not None:
            called = str(spec.weights) or "the start"
            loaded = f"{called}: {fit(network, start, source=called)}"
        elif filled and spec.weights:
            loaded = fill(network, spec.weights, partial=spec.partial)
        trainable = frozenset(name for name, p in network.named_parameters() if p.requires_grad)
        for phase in recipe.phases:
            by_rate(network, phase, trained(network, phase, trainable))
        if recipe.sync_batchnorm and accelerator.num_processes > 1:
            network = synchronise(network, accelerator.device)
        network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        averaged = None
        if recipe.averaging:
            averaged = AveragedModel(network, multi_avg_fn=moving_average(recipe.averaging.decay), use_buffers=True)
        sizes = dict.fromkeys((*recipe.images.smaller, (recipe.images.height, recipe.images.width)))
        for height, width in sizes:  # the last one is the full size
            output = _sample(network, recipe.model.name, height, width, accelerator.device)
        for phase in recipe.phases:
            for loss in recipe.losses_of(phase):
                loss.check(output)
        features = tuple(x.shape[1] for x in output.features)
        facts = Facts(examples.labels, examples.attributes, features, teachers, output.embedding.shape[1])
        memories = [
            [
                {key: _on(accelerator.device, tensor) for key, tensor in loss.state(facts).items()}
                for loss in recipe.losses_of(phase)
            ]
            for phase in recipe.phases
        ]
        return cls(network, network, averaged, trainable, loaded, memories)

    @property
    def kept(self) -> nn.Module:
        """The network that is evaluated and saved."""
        return self.network if self.averaged is None else self.averaged.module

    def enter(self, phase: Phase, index: int, accelerator: Accelerator, previous: Checkpoint | None) -> None:
        """Begin a phase with a new optimiser, or with that of an interrupted run."""
        fresh = optimizer(self.network, phase, self.trainable)
        learnt = [tensor for memory in self.memories[index] for tensor in memory.values() if tensor.requires_grad]
        if learnt:
            fresh.add_param_group({"params": learnt, "factor": 1.0})
        if previous is not None:
            fresh.load_state_dict(previous.optimizer)
        if self.optimizer is not None:
            accelerator.free_memory()  # the wrapper and the optimiser of the phase before
        self.wrapped, self.optimizer = accelerator.prepare(_Trained(self.network), fresh)
        self.phase = index

    def remember(self, key: str, tensor: Tensor) -> None:
        """Replace what the losses of all phases remember under a name; the shape may be another one."""
        for memory in (one for phase in self.memories for one in phase if key in one):
            memory[key] = tensor.detach().to(memory[key].device)

    def train_mode(self, phase: Phase) -> None:
        """Training mode; modules none of whose parameters this phase trains keep their statistics and drop nothing."""
        self.network.train()
        if phase.only:
            _freeze_statistics(self.network)

    def step(self, learning_rate: float, loss: torch.Tensor, accelerator: Accelerator, clip: float = 0.0) -> None:
        """One update of the weights and of their average; gradients of a larger norm than ``clip``, if any, shrink."""
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"]
        self.optimizer.zero_grad()
        accelerator.backward(loss)
        if clip:
            accelerator.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], clip)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def checkpoint(self, recipe: str, data: str, accelerator: Accelerator) -> Checkpoint:
        """This state as a checkpoint."""
        assert self.optimizer is not None
        averaged = None if self.averaged is None else self.averaged.state_dict()
        return Checkpoint(
            epoch=self.epoch,
            network=self.network.state_dict(),
            averaged=averaged,
            optimizer=self.optimizer.state_dict(),
            memories=self.memories,
            scaler=None if accelerator.scaler is None else accelerator.scaler.state_dict(),
            history=self.history,
            recipe=recipe,
            data=data,
            seconds=self.seconds,
        )

    def restore(self, saved: Checkpoint, accelerator: Accelerator) -> None:
        """Go back to where a checkpoint was made; its optimiser follows when its phase is entered."""
        self.network.load_state_dict(saved.network)
        if self.averaged is not None and saved.averaged is not None:
            self.averaged.load_state_dict(saved.averaged)
        if accelerator.scaler is not None and saved.scaler is not None:
            accelerator.scaler.load_state_dict(saved.scaler)
        with torch.no_grad():
            for own, kept in zip(self.memories, saved.memories, strict=False):  # phases may have been added
                for memory, old in zip(own, kept, strict=True):
                    for key, tensor in old.items():
                        if memory[key].requires_grad:
                            memory[key].copy_(tensor)
                        else:  # its shape may have changed since the run began
                            memory[key] = tensor.to(accelerator.device)
        self.epoch, self.seconds, self.history = saved.epoch, saved.seconds, list(saved.history)


def _sample(network: nn.Module, name: str, height: int, width: int, device: torch.device) -> Output:
    """The network's output for two empty images of this size; its statistics stay unchanged.

    Raises:
        RecipeError: it does not take images of this size.
    """
    with torch.no_grad():
        try:
            images = torch.zeros(2, 3, height, width, dtype=torch.float32, device=device)
            output: Output = copy.deepcopy(network).train()(images)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise RecipeError(
                f"{name} does not take images of {height}x{width} ({first_line(error)}): "
                "change images.height and width."
            ) from None
    return output


def _on(device: torch.device, tensor: Tensor) -> Tensor:
    """A loss's tensor on a device, trained with the network where it was to be."""
    return tensor.detach().to(device).requires_grad_(tensor.requires_grad)


def _freeze_statistics(module: nn.Module) -> None:
    """Put every part whose parameters are all frozen into evaluation mode."""
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        return
    for child in module.children():
        _freeze_statistics(child)


def place(phases: tuple[Phase, ...], epoch: int) -> tuple[int, int]:
    """Which phase ``epoch`` (from 0) belongs to, and which epoch of that phase it is."""
    ends = np.cumsum([phase.epochs for phase in phases])
    index = int(np.searchsorted(ends, epoch, side="right"))
    return index, epoch - int(ends[index] - phases[index].epochs)
