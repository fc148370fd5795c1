"""Every architecture by name. A model is added in one file with one decorator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar, overload

import torch
from torch import nn

from resight.errors import ModelError
from resight.models.card import Preprocessing
from resight.models.runtimes import settle_torch

NETWORKS = "resight.models.networks"  # every file there may register architectures
ELSEWHERE = ("resight.course.network", "resight.models.foreign.fastreid")  # and these, in other packages

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])
_BUILDERS: dict[str, Callable[..., nn.Module]] = {}
_INPUTS: dict[str, Preprocessing] = {}
_SIZED: set[str] = set()


@overload
def register(builder: Builder) -> Builder: ...
@overload
def register(*, sized: bool = False, **preprocessing: Any) -> Callable[[Builder], Builder]: ...
def register(
    builder: Builder | None = None, *, sized: bool = False, **preprocessing: Any
) -> Builder | Callable[[Builder], Builder]:
    """Make ``builder`` known under its own name: ``builder(num_identities=0, **arguments)``.

    ``@register`` is for 256x128 images; ``@register(height=256, width=256)`` says what else the network was made for,
    in the words of :class:`~resight.models.card.Preprocessing`. ``sized``: the network is built for one image size and
    takes it as the arguments ``height`` and ``width``.
    """

    def add(builder: Builder) -> Builder:
        _BUILDERS[builder.__name__] = builder
        if sized:
            _SIZED.add(builder.__name__)
        _INPUTS[builder.__name__] = Preprocessing(**preprocessing)
        return builder

    return add if builder is None else add(builder)


def preprocessing(name: str) -> Preprocessing:
    """What the architecture was made for: input size, colours, resizing.

    Raises:
        ModelError: an unknown name; the nearest one is suggested.
    """
    builder(name)
    return _INPUTS[name]


def size_arguments(name: str, height: int, width: int) -> dict[str, int]:
    """The arguments ``height`` and ``width`` of a network that is built for one image size; none for others.

    Raises:
        ModelError: an unknown name; the nearest one is suggested.
    """
    builder(name)
    return {"height": height, "width": width} if name in _SIZED else {}


def list_models(pattern: str = "*") -> list[str]:
    """The names of all architectures that match a shell pattern, such as ``"osnet*"``."""
    _import_networks()
    return sorted(name for name in _BUILDERS if fnmatch(name, pattern))


def builder(name: str) -> Callable[..., nn.Module]:
    """The function that builds an architecture.

    Raises:
        ModelError: an unknown name; the nearest one is suggested.
    """
    _import_networks()
    if name not in _BUILDERS:
        raise ModelError(f"there is no model named {name!r}: {nearest(name, list_models())}")
    return _BUILDERS[name]


def nearest(name: str, known: Sequence[str]) -> str:
    """What may have been meant by a name that is not known: the one most like it, or any of those known."""
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."


def carrier(name: str, **arguments: Any) -> Any:
    """The network ``name`` without its end, to carry another system: ``maps(x)`` and ``channels``.

    Raises:
        ModelError: as :func:`create`; also for an architecture that cannot do without its end.
    """
    return create(name, head=None, **arguments)


def create(name: str, num_identities: int = 0, **arguments: Any) -> nn.Module:
    """A bare network with random weights in float32.

    Args:
        name: one of :func:`list_models`.
        num_identities: size of the classifier used in training; 0 for none.
        arguments: what the architecture takes besides, such as ``head="bnneck"``.

    Raises:
        ModelError: an unknown name (the nearest one is suggested) or an argument the architecture does not take.
    """
    settle_torch()
    try:
        network = builder(name)(num_identities=num_identities, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"model {name!r} cannot be built with {arguments}: {error}.") from None
    floats = (t for t in (*network.parameters(), *network.buffers()) if t.is_floating_point())
    return network if all(t.dtype == torch.float32 for t in floats) else network.float()  # torch's default type differs


@cache
def _import_networks() -> None:
    """Import every file that may register an architecture; not before one is asked for, since they import this one."""
    for module in iter_modules(import_module(NETWORKS).__path__):
        import_module(f"{NETWORKS}.{module.name}")
    for name in ELSEWHERE:
        import_module(name)
