"""The recipe for conda-forge says what pyproject.toml says."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

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


def test_the_package_index_shows_no_dead_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index knows no files of the repository: their links lead to the documentation, or are plain text."""
    place = "hatchling.metadata.plugin.interface"  # only there while a package is built
    for parts in range(1, 5):
        monkeypatch.setitem(sys.modules, ".".join(place.split(".")[:parts]), ModuleType("none"))
    monkeypatch.setattr(sys.modules[place], "MetadataHookInterface", object, raising=False)
    path = ROOT / "packaging" / "readme.py"
    spec = importlib.util.spec_from_file_location("readme_hook", path)
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    outside = [link for link in links if link.startswith("https://")]
    pages = [link for link in links if link.startswith("docs/")]
    assert pages and all((ROOT / page.partition("#")[0]).is_file() for page in pages)
    assert re.findall(r"\]\(([^)]+)\)", hook.shown(text)) == outside
    with_site = re.findall(r"\]\(([^)]+)\)", hook.shown(text, "https://resight.example/"))
    assert len(with_site) == len(outside) + len(pages)
    assert all(link.startswith("https://") for link in with_site)
    assert hook.shown("[a](docs/models.md#b) [c](LICENSE)", "https://x.example") == (
        "[a](https://x.example/models/#b) c"
    )
