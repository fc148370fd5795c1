"""Where a run computes: its device, its precision, its processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import broadcast_object_list

from resight.errors import RecipeError, first_line

T = TypeVar("T")

_SHARED: tuple[Any, ...] = (AcceleratorState, PartialState, GradientState)
PATIENCE = timedelta(days=7)  # the others wait while the first process evaluates, however long that takes


@contextmanager
def untouched() -> Iterator[None]:
    """Put back what training changes for the whole process: random numbers, Accelerate's state, TF32.

    Several processes stay connected, since they were connected for training.
    """
    states = [dict(one._shared_state) for one in _SHARED]
    numbers = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    tf32 = torch.backends.cuda.matmul.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.set_rng_state(numbers[0])
        np.random.set_state(numbers[1])
        random.setstate(numbers[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        for one, before in zip(_SHARED, states, strict=True):
            if not (one is PartialState and dist.is_initialized()):
                one._shared_state.clear()
                one._shared_state.update(before)


def accelerator(precision: str, *, cpu: bool, unused: bool = False) -> Accelerator:
    """A fresh accelerator; it remembers nothing of a run before it in this process.

    Args:
        precision: of a recipe.
        cpu: do not use a GPU.
        unused: whether some steps leave parameters without a gradient, which several processes must know.

    Raises:
        RecipeError: the device cannot compute in this precision.
    """
    AcceleratorState._reset_state(reset_partial_state=not dist.is_initialized())
    GradientState._reset_state()
    try:
        made = Accelerator(
            cpu=cpu,
            mixed_precision=precision,
            kwargs_handlers=[
                InitProcessGroupKwargs(timeout=PATIENCE),
                DistributedDataParallelKwargs(find_unused_parameters=unused),
            ],
        )
    except ValueError as error:
        reason = first_line(error)
        raise RecipeError(f"precision {precision!r} does not work here ({reason}): set precision: 'no'.") from None
    if precision == "fp16" and made.device.type == "cpu":  # which Accelerate would pass over in silence
        raise RecipeError("precision 'fp16' does not work here (it needs a GPU): set precision: 'no' or 'bf16'.")
    return made


def mean_over_processes(values: dict[str, float], accelerator: Accelerator) -> dict[str, float]:
    """Each value averaged over all processes, which must call this together."""
    if accelerator.num_processes == 1:
        return values
    mean = accelerator.reduce(
        torch.tensor(list(values.values()), dtype=torch.float32, device=accelerator.device), "mean"
    )
    return dict(zip(values, mean.tolist(), strict=True))


def from_main(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """What the main process makes of this work, in all processes, which must call this together."""
    shared = [work() if accelerator.is_main_process else None]
    broadcast_object_list(shared)
    return cast(T, shared[0])
