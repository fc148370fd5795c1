"""Networks without memory for their weights, to look at names and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@contextmanager
def without_memory() -> Iterator[None]:
    """In this thread, networks are built on torch's meta device and get no initial weights, which takes most time."""
    with torch.device("meta"), _NoStart():
        yield


class _NoStart(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _START:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **kwargs or {})


_START = {
    *(nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_, nn.init.constant_, nn.init.trunc_normal_),
    *(Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_),
}
