"""What the tests of training do in other processes."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import resight
import tiny
from resight.models.output import Output
from resight.training.losses import LOSSES, Target
from resight.training.objective import objective
from resight.training.state import State


def train(recipe: Path, output: Path) -> None:
    """Train a recipe of the tiny network."""
    tiny.install(pytest.MonkeyPatch())
    resight.train(recipe, output, cpu=True, progress=False)


def train_until_killed(recipe: Path, output: Path, epoch: int) -> None:
    """Train and die by SIGKILL after the first step of an epoch, counted from 0."""
    step = State.step

    def deadly(self: State, *args: Any) -> None:
        step(self, *args)
        if self.epoch == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    State.step = deadly  # type: ignore[method-assign]
    train(recipe, output)


def launch(command: list[str]) -> None:
    """``torchrun --standalone --nproc-per-node=2 -m resight COMMAND``, but its processes are forked from this one."""
    world = {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": 2, "monitor_interval": 0.02}
    config = LaunchConfig(**world, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork")
    elastic_launch(config, _module)(command)


def _module(command: list[str]) -> None:
    sys.argv = ["resight", *command]
    try:
        runpy.run_module("resight", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise


def gradient(file: Path, rows: slice) -> dict[str, Any]:
    """The gradients and the parts of an objective of these rows of a batch, in this process' share of the world."""
    data = torch.load(file, weights_only=True)
    x, logits = (data[name].requires_grad_() for name in ("x", "logits"))
    output = Output(x[rows], (x[rows],), (logits[rows],))
    plain = data["plain"][rows]
    target = Target(data["labels"][rows], torch.zeros(len(plain), 3, 2, 2), teacher=data["teacher"][rows], plain=plain)
    names = ("cross_entropy", "triplet", "weighted_triplet", "distillation", "direction")
    losses = [LOSSES[name](name=name, plain_views=plain_views) for name in names for plain_views in (False, True)]
    total, parts = objective(output, target, losses, [{} for _ in losses])
    total.backward()  # type: ignore[no-untyped-call]
    return {"x": x.grad, "logits": logits.grad, **parts}


def write_gradients(files: list[Path]) -> None:
    """Write the gradients of this process' four rows of each file beside it."""
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    for file in files:
        torch.save(gradient(file, slice(4 * rank, 4 * rank + 4)), f"{file}.part{rank}")
    dist.destroy_process_group()
