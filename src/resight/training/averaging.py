"""The exponential moving average of weights that is evaluated and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """What :class:`torch.optim.swa_utils.AveragedModel` calls: (averaged, current, steps so far), updated in place.

    ``averaged += (1 - d) * (current - averaged)`` with ``d = min(decay, (1 + n) / (10 + n))`` after ``n`` steps, so
    that a short run does not remember its random start. Integers (the batch counters) are copied.
    """

    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
        n = int(steps)
        share = 1 - min(decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)

    return update
