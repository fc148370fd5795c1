"""The recipe for conda-forge says what pyproject.toml says."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import resight

ROOT = Path(__file__).parents[1]
OTHER_NAMES = {"opencv-python-headless": "py-opencv", "torch": "pytorch"}  # on conda-forge


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs tomllib")
def test_the_conda_recipe_needs_what_the_package_needs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text(encoding="utf-8")
    assert f'version = "{project["version"]}"' in text and project["version"] == resight.__version__
    plain = re.sub(r"\{\{.*?\}\}", "x", re.sub(r"\{%.*?%\}", "", text))
    recipe = yaml.safe_load(plain)
    needs = [Requirement(one) for one in project["dependencies"]]
    wanted = {f"{OTHER_NAMES.get(one.name, one.name)} {one.specifier}" for one in needs}
    assert wanted == set(recipe["requirements"]["run"]) - {"python >=3.10"}
    assert f"python {project['requires-python']}" in recipe["requirements"]["run"]
    (command,) = recipe["build"]["entry_points"]
    assert command == f"resight = {project['scripts']['resight']}"
    assert recipe["about"]["summary"] == project["description"]
