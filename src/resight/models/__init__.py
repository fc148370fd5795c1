"""Networks: images (B, 3, H, W) in, :class:`~resight.models.output.Output` out.

What stands here is imported when it is first used: a card is read without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resight.models.card import Card
    from resight.models.folder import save
    from resight.models.hub import push
    from resight.models.loading import load
    from resight.models.model import Model
    from resight.models.output import Output
    from resight.models.registry import create, list_models, register
    from resight.models.registry import list_models as list

__all__ = ["Card", "Model", "Output", "create", "list", "list_models", "load", "push", "register", "save"]

_LAZY = {
    "Card": "card",
    "Model": "model",
    "Output": "output",
    "create": "registry",
    "list_models": "registry",
    "load": "loading",
    "push": "hub",
    "register": "registry",
    "save": "folder",
}


def __getattr__(name: str) -> Any:
    name = "list_models" if name == "list" else name
    if name in _LAZY:
        return getattr(import_module(f"resight.models.{_LAZY[name]}"), name)
    if any(module.name == name for module in iter_modules(__path__)):
        return import_module(f"resight.models.{name}")
    raise AttributeError(f"module 'resight.models' has no attribute {name!r}")


def __dir__() -> Sequence[str]:
    return __all__
