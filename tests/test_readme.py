"""The README's examples run as they stand."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from resight.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = [
    line.split("#")[0].split()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("resight ")
]


@pytest.mark.parametrize("example", PYTHON)
def test_python_examples(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})


def test_shell_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_market: Callable[..., Path]) -> None:
    """Each ``resight`` line, on a tiny set in the place of Market-1501 and for one epoch."""
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
        "phases.0.epochs=1",
    ]
    ran = []
    for words in SHELL:
        arguments = [word.strip("'") for word in words[1:]]
        if arguments[0] == "train":
            arguments += [part for pair in small for part in ("--set", pair)]
        if arguments[0] == "demo":
            arguments += ["--epochs", "1"]
        monkeypatch.setattr("sys.argv", ["resight", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0 or arguments[:2] == ["data", "check"], words
        ran.append(arguments[0])
    assert {"demo", "data", "models", "train", "report", "evaluate"} <= set(ran)
