"""Reading YAML so that nothing in it is ignored silently, and putting single values into what was read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from resight.errors import RecipeError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that is given twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # its keys give way to those of the mapping
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float, bool, type(None))):
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} is given twice", key_node.start_mark
                    )
                seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: not YAML, or a key twice in one mapping.
    """
    return yaml.load(text, _Loader)


def read_yaml(path: str | Path) -> Any:
    """The value in a YAML file.

    Raises:
        RecipeError: it cannot be read, is not YAML, or has a key twice in one mapping; the message says where.
        FileNotFoundError: there is none.
    """
    try:
        return parse_yaml(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except yaml.constructor.ConstructorError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RecipeError(f"{path}: {error.problem}{line}: correct it there.") from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"{path} is not a readable YAML file ({' '.join(str(error).split())[:200]}).") from None


def assign(content: dict[str, Any], override: str) -> None:
    """Put the value of a ``key=value`` text at its place in plain data; dots lead into mappings and lists.

    Raises:
        RecipeError: not of that form, not a YAML value, or no such place.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not of the form key=value, such as phases.0.lr=0.01.")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override!r}: {text!r} is not a YAML value.") from None
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        value = float(value)  # YAML 1.1 reads 1e-3 as text
    at: Any = content
    *parents, last = key.split(".")
    try:
        for part in parents:
            if isinstance(at, dict) and at.get(part) is None:
                at[part] = {}
            at = at[int(part)] if isinstance(at, list) else at[part]
        at[int(last) if isinstance(at, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise RecipeError(f"--set {override!r}: the recipe has no place {key!r}.") from None
