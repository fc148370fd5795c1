"""A network for torch with its batch norms inside its convolutions: fewer passes over the maps, the same numbers."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from resight.models.output import Output

TOLERANCE = 1e-4  # of the largest entry of an embedding
_DECIDING = {"__bool__", "__int__", "__float__", "__index__", "item", "tolist"}  # a value becomes Python's: an "if"


def fused(network: nn.Module, images: Tensor) -> nn.Module:
    """A copy of ``network`` in evaluation mode, channels last, with every batch norm folded into its convolution.

    Which convolution a batch norm follows is seen while the copy computes ``images`` (B, 3, H, W). The folded copy is
    compared with the plain one on them. A network whose steps depend on the values of its input cannot be folded; it,
    and one that would give other embeddings, comes back as a plain copy. Nothing outside the copy is touched: other
    threads may compute meanwhile.
    """
    copied = _plain(network)
    with torch.inference_mode(), _Watch(copied).hooks() as watch:
        wanted = copied(images)
    pairs = watch.pairs()
    if not pairs or not isinstance(wanted, Output):
        return copied
    for convolution, norm in pairs.items():
        one: Any = copied.get_submodule(convolution)
        other: Any = copied.get_submodule(norm)
        of_norm = other.running_mean, other.running_var, other.eps, other.weight, other.bias
        one.weight, one.bias = fuse_conv_bn_weights(one.weight, one.bias, *of_norm)
        _replace(copied, norm, nn.Identity())
    copied = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        found = copied(images).embedding
    return copied if _near(wanted.embedding, found) else _plain(network)


def _plain(network: nn.Module) -> nn.Module:
    copied: nn.Module = copy.deepcopy(network).eval()
    return copied.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


class _Watch(TorchFunctionMode):
    """Sees, in its own thread alone, what becomes of the output of each convolution of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        every = list(network.named_modules(remove_duplicate=False))
        uses = Counter(id(module) for _, module in every)
        once = [(name, module) for name, module in every if uses[id(module)] == 1]
        self.convolutions = {module: name for name, module in once if type(module) is nn.Conv2d}
        self.norms = {
            module: name for name, module in once if type(module) is nn.BatchNorm2d and module.track_running_stats
        }
        self.made: dict[int, tuple[str, Tensor]] = {}  # by id: the tensor is kept, so that no other gets its id
        self.calls: dict[str, int] = {}
        self.users: dict[str, set[str]] = {}
        self.within, self.decides = "", False

    @contextmanager
    def hooks(self) -> Iterator[_Watch]:
        """Watch while this lasts."""
        handles = [one.register_forward_hook(self._after_convolution) for one in self.convolutions]
        handles += [one.register_forward_pre_hook(self._before_norm) for one in self.norms]
        handles += [one.register_forward_hook(self._after_norm) for one in self.norms]
        try:
            with self:
                yield self
        finally:
            for handle in handles:
                handle.remove()

    def pairs(self) -> dict[str, str]:
        """Convolutions, each computed once, and the batch norm that alone uses what it gives."""
        if self.decides:
            return {}
        alone = {one: next(iter(users)) for one, users in self.users.items() if len(users) == 1 == self.calls[one]}
        return {one: user for one, user in alone.items() if self.calls.get(user) == 1}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # see TorchFunctionMode
        self.decides |= getattr(func, "__name__", "") in _DECIDING
        for leaf in tree_leaves((args, kwargs or {})):
            if isinstance(leaf, Tensor) and id(leaf) in self.made:
                self.users[self.made[id(leaf)][0]].add(self.within or "another")
        return func(*args, **(kwargs or {}))

    def _after_convolution(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        name = self.convolutions[module]  # type: ignore[index]
        self.made[id(output)] = name, output
        self.calls[name] = self.calls.get(name, 0) + 1
        self.users.setdefault(name, set())

    def _before_norm(self, module: nn.Module, inputs: Any) -> None:
        self.within = self.norms[module]  # type: ignore[index]
        self.calls[self.within] = self.calls.get(self.within, 0) + 1

    def _after_norm(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.within = ""


def _replace(network: nn.Module, name: str, by: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, by)


def _near(wanted: Tensor, found: Tensor) -> bool:
    return bool((wanted - found).abs().max() <= TOLERANCE * wanted.abs().max())
