"""An architecture at a glance: its stages, their output shapes, parameters and multiply-adds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from resight.models import registry, shipped
from resight.models.card import read_card
from resight.models.shapes import without_memory


@dataclass(frozen=True)
class Stage:
    """One step of the network: ``output`` is its shape without the batch axis, ``detail`` its kernel if it has one."""

    name: str
    detail: str
    output: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """A network without a classifier; multiply-adds of convolutions and matrix products for one image."""

    name: str
    about: str
    height: int
    width: int
    dim: int
    parameters: int
    multiply_adds: int
    stages: tuple[Stage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def summarise(
    name: str, height: int | None = None, width: int | None = None, arguments: Mapping[str, Any] | None = None
) -> Summary:
    """Build ``name`` without memory for its weights and pass an image through it, of the size it was made for."""
    made_for = registry.preprocessing(name)
    height, width = height or made_for.height, width or made_for.width
    stages: list[Stage] = []

    def record(stage: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            first = output if isinstance(output, Tensor) else output[0]
            stages.append(Stage(stage, _detail(module, inputs[0]), tuple(first.shape[1:]), _count(module)))

        return hook

    with without_memory():
        network = registry.create(name, **arguments or {}).eval()
        for stage, module in _steps(network):
            module.register_forward_hook(record(stage))
        with torch.no_grad(), _Counting() as counted:
            embedding = network(torch.zeros(1, 3, height, width, dtype=torch.float32)).embedding
    about = (inspect.getdoc(registry.builder(name)) or "").splitlines()[0]
    return Summary(name, about, height, width, embedding.shape[1], _count(network), counted.number, tuple(stages))


class _Counting(TorchFunctionMode):
    """Counts multiply-adds, and leaves out what changes no shape, which takes most of the time without memory.

    The usual calls are counted here, which is quicker; every other one is counted by :class:`_Products`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        first, second, third = [*args, None, None, None][:3]
        if func in _CHANGE_NO_SHAPE and args:
            return first
        if isinstance(first, Tensor) and isinstance(second, Tensor):
            if func in _JOIN and first.shape == second.shape:
                return first
            if func is functional.linear and second.ndim == 2:
                self.number += first.numel() * len(second)
                return first.new_empty(*first.shape[:-1], len(second))
            if func is torch.conv2d:
                out = func(*args, **kwargs or {})
                self.number += out.numel() * second.shape[1:].numel()
                return out
            if func is functional.scaled_dot_product_attention and isinstance(third, Tensor):
                width = first.shape[-1] + third.shape[-1]  # of the products with the keys, and with the values
                self.number += first.shape[:-1].numel() * second.shape[-2] * width
                return first.new_empty(*first.shape[:-1], third.shape[-1])
        with _Products() as counted:
            out = func(*args, **kwargs or {})
        self.number += counted.number
        return out


class _Products(TorchDispatchMode):
    """Counts multiply-adds of matrix products and convolutions, by torch's own formulas."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **kwargs or {})
        if flops := flop_registry.get(func.overloadpacket):
            self.number += flops(*args, **kwargs or {}, out_val=out) // 2
        return out


_CHANGE_NO_SHAPE = {
    *(torch.relu, Tensor.relu, functional.relu, functional.relu6, functional.hardtanh, functional.leaky_relu),
    *(torch.sigmoid, Tensor.sigmoid, functional.gelu, functional.silu, functional.dropout, torch.roll),
    *(functional.batch_norm, functional.instance_norm, functional.layer_norm),
}
_JOIN = {torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, torch.mul, Tensor.mul, Tensor.__mul__}


def summarise_trained(name: str) -> Summary:
    """The same of a trained model that comes with resight, under its own name."""
    card = read_card(shipped.file_of(name))
    assert card is not None
    to = card.preprocessing
    found = summarise(card.architecture, to.height, to.width, card.arguments)
    return replace(found, name=name, about=f"{card.about.title}: {card.architecture}, trained")


def _steps(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The parts worth a line: children, and instead of a sequence or a carried backbone their children."""
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential) or hasattr(child, "maps"):
            yield from _steps(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _detail(module: nn.Module, x: Tensor) -> str:
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return f"average pooling {x.shape[2]}x{x.shape[3]}"
    if not isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
        return type(module).__name__
    kernel, stride, padding = (v if isinstance(v, int) else v[0] for v in _geometry(module))
    return f"{type(module).__name__} {kernel}x{kernel}, stride {stride}, padding {padding}"


def _geometry(module: nn.Conv2d | nn.MaxPool2d) -> tuple[Any, Any, Any]:
    return module.kernel_size, module.stride, module.padding


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
