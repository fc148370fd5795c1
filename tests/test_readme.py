"""The examples of the README and the docs run as they stand."""

import json
import re
from pathlib import Path

import pytest
import yaml

from conftest import TinyMarket
from resight.cli.main import main
from resight.training import recipe as recipes

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PAGES = [Path(__file__).parents[1] / "README.md", *sorted((Path(__file__).parents[1] / "docs").glob("*.md"))]
WITHOUT = {"command_line", "quickstart", "responsible"}  # pages without a Python example
SHELL = [
    line.split("#")[0].split()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("resight ")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one page, one after the other, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert examples or page.stem in WITHOUT
    for number, example in enumerate(examples, 1):
        exec(compile(example, f"{page.name} example {number}", "exec"), {})


def test_shell_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_market: TinyMarket) -> None:
    """Each ``resight`` line but the demo's, on a tiny set in the place of Market-1501 and for one epoch."""
    import torch

    import resight

    recipes = Path(__file__).parents[1] / "recipes"
    (tmp_path / "recipes").symlink_to(recipes)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    torch.save(resight.models.create("osnet_x0_25", 10).state_dict(), "torchreid_checkpoint.pth")
    tiny_market("Market-1501-v15.09.15.zip")  # a folder will do
    small = [
        "data.name=market_layout",
        "images.height=32",
        "images.width=16",
        "sampler.batch_size=8",
        "phases=[{epochs: 1}]",
    ]
    ran = []
    for words in [words for words in SHELL if words[1] != "demo"]:
        arguments = [word.strip("'") for word in words[1:]]
        if arguments[0] == "train":
            arguments += [part for pair in small for part in ("--set", pair)]
        monkeypatch.setattr("sys.argv", ["resight", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0 or arguments[:2] == ["data", "check"], words
        ran.append(arguments[0])
    assert {"data", "models", "train", "report", "evaluate"} <= set(ran)


@pytest.mark.long
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_demo(
    epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With three epochs it must gain."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["resight", "demo", "--epochs", str(epochs), "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0 and ["resight", "demo"] in SHELL
    demo = json.loads(capfd.readouterr().out)
    assert epochs == 1 or demo["after"]["mAP"] > 2 * demo["before"]["mAP"]
    assert Path(demo["report"]).stat().st_size > 100_000


def test_the_recipe_of_the_docs_is_one() -> None:
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    (content,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    recipe = recipes.parse({"name": "docs", **yaml.safe_load(content)})
    assert recipe.epochs == 60 and recipe.phases[0].only == ("classifier",)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_reads_and_bears_its_file_name(path: Path) -> None:
    recipe = recipes.read(path)
    assert recipe.name == path.stem and recipe.about and recipe.source
    assert recipes.parse(yaml.safe_load(recipe.yaml())) == recipe
