"""Nothing in a YAML file is ignored silently."""

from pathlib import Path

import pytest

from resight.errors import RecipeError
from resight.training.ship import read_notes
from resight.yaml_text import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", 3),
        ("x:\n  a: 1\n  a: 1\n", "a", 3),
        ("- {name: x, name: y}\n", "name", 1),
        ("1: a\n1: b\n", 1, 2),
        ("x: &base {a: 1}\ny: {<<: *base, b: 1, b: 2}\n", "b", 2),
    ],
)
def test_a_key_twice(tmp_path: Path, text: str, key: object, line: int) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RecipeError, match=f"a.yaml: the key {key!r} is given twice in line {line}: correct it there"):
        read_yaml(tmp_path / "a.yaml")


def test_keys_that_are_told_apart() -> None:
    assert parse_yaml("a: {b: 1}\nc: {b: 2}\n") == {"a": {"b": 1}, "c": {"b": 2}}
    assert parse_yaml("x: &base {a: 1, b: 1}\ny: {<<: *base, a: 2}\n")["y"] == {"a": 2, "b": 1}
    assert parse_yaml("'1': a\n1: b\n") == {"1": "a", 1: "b"}


def test_notes_of_a_card(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("about: {title: a}\nlicences: {}\nabout: {title: b}\n")
    with pytest.raises(RecipeError, match="the key 'about' is given twice in line 3"):
        read_notes(tmp_path / "n.yaml")
