"""One loss per file; every file here is found by itself."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field

from resight.training.losses.cross_entropy import CrossEntropy
from resight.training.losses.loss import Facts, Loss, State, Target
from resight.training.losses.triplet import Triplet


def _losses() -> dict[str, type[Loss]]:
    found: dict[str, type[Loss]] = {}
    for file in iter_modules(__path__):
        module = import_module(f"{__name__}.{file.name}")
        for one in vars(module).values():
            if (
                isinstance(one, type)
                and issubclass(one, Loss)
                and one.__module__ == module.__name__
                and one is not Loss
            ):
                found[one.model_fields["name"].default] = one
    return found


LOSSES = _losses()
"""Every loss by the name that recipes use."""

if TYPE_CHECKING:
    AnyLoss: TypeAlias = Loss
else:
    AnyLoss = Annotated[reduce(or_, LOSSES.values()), Field(discriminator="name")]

__all__ = ["LOSSES", "AnyLoss", "CrossEntropy", "Facts", "Loss", "State", "Target", "Triplet"]
