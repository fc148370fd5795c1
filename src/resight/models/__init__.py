"""Networks: images (B, 3, H, W) in, :class:`~resight.models.output.Output` out."""

from importlib import import_module
from pkgutil import iter_modules

from resight.models.card import Card
from resight.models.hub import push, save
from resight.models.load import Model, load
from resight.models.output import Output
from resight.models.registry import create, register
from resight.models.registry import list_models as list

for _module in iter_modules(__path__):  # every file of this folder may register architectures
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Card", "Model", "Output", "create", "list", "load", "push", "register", "save"]
