"""The options of a data set, checked against what its loader says that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from resight.errors import RecipeError


def checked(name: str, loader: Callable[..., object], options: Mapping[str, object]) -> dict[str, Any]:
    """The options as the loader's annotations have them: ``"2"`` and ``2.0`` are 2 where it takes integers.

    Raises:
        RecipeError: one of another type, or a negative seed.
    """
    try:
        takes = get_type_hints(loader)
    except (NameError, TypeError):  # annotations of somebody's loader that only a type checker can read
        takes = {}
    found: dict[str, Any] = {}
    for option, value in options.items():
        plain = value.item() if isinstance(value, np.generic) else value
        try:
            valid = TypeAdapter(takes.get(option, Any)).validate_python(plain)
            found[option] = value if isinstance(value, bool) else valid
        except PydanticUserError:  # a type that pydantic does not know
            found[option] = value
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise RecipeError(f"The option {option} of the data set {name!r} cannot be {value!r}: {reason}.") from None
    if isinstance(seed := found.get("seed"), int) and seed < 0:
        raise RecipeError(f"The option seed of the data set {name!r} cannot be {seed}: pass 0 or more.")
    return found
