"""Where a run computes: its device, its precision, its processes."""

from __future__ import annotations

from datetime import timedelta

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState

from resight.errors import RecipeError, first_line

PATIENCE = timedelta(days=7)  # the others wait while the first process evaluates, however long that takes


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
    mean = accelerator.reduce(torch.tensor(list(values.values()), device=accelerator.device), "mean")
    return dict(zip(values, mean.tolist(), strict=True))
