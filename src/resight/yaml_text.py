"""Reading YAML so that nothing in it is ignored silently."""

from __future__ import annotations

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
