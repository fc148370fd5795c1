"""Two processes compute what one would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from resight.training.loop import train

from .conftest import TinyRecipe

SCRIPT = """
import sys
import resight
resight.train(sys.argv[1], sys.argv[2], cpu=True, progress=False, resume=len(sys.argv) > 3)
"""


def in_processes(count: int, recipe: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    script = recipe.with_suffix(".py")
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    return subprocess.run(
        [*command, str(script), str(recipe), str(output), *more], capture_output=True, text=True, timeout=300
    )


def test_two_processes_equal_one(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """Both losses, a batch-normalised neck, a frozen phase, an average, an evaluation; plain SGD amplifies nothing."""
    recipe = tiny_recipe(
        phases=[
            {"epochs": 1, "optimizer": "sgd", "lr": 1e-2, "momentum": 0.0, "only": ["classifier"]},
            {"epochs": 1, "optimizer": "sgd", "lr": 1e-2, "momentum": 0.0},
        ],
        averaging={"decay": 0.5},
        evaluation={"every": 1},
    )
    (tmp_path / "recipe.yaml").write_text(recipe.yaml())
    done = in_processes(2, tmp_path / "recipe.yaml", tmp_path / "two")
    assert done.returncode == 0, done.stderr[-3000:]
    one = train(recipe, tmp_path / "one", cpu=True, progress=False)
    two = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert len(one["history"]) == len(two["history"]) == 2
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        for name in ("loss", "cross_entropy", "triplet", "lr"):
            assert theirs[name] == pytest.approx(mine[name], rel=1e-3), name
    ours, theirs = load_file(tmp_path / "one" / "model.safetensors"), load_file(tmp_path / "two" / "model.safetensors")
    torch.manual_seed(0)
    assert set(ours) == set(theirs)
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=2e-3, atol=2e-4, msg=lambda text, key=key: f"{key}: {text}")
    checkpoints = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two")]
    for key, value in checkpoints[0]["network"].items():
        torch.testing.assert_close(checkpoints[1]["network"][key], value, rtol=2e-3, atol=2e-4)


def test_a_batch_that_two_cannot_share(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe(sampler={"batch_size": 6, "images_per_identity": 2})
    (tmp_path / "recipe.yaml").write_text(recipe.yaml())
    done = in_processes(2, tmp_path / "recipe.yaml", tmp_path / "run")
    assert done.returncode != 0 and "cannot be divided among 2 processes in whole identities" in done.stderr
    assert not (tmp_path / "run").exists()
