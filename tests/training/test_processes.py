"""Two processes compute what one would."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import forked
import ranks
import resight
from forked import under_torchrun
from resight.models import weights
from resight.training.loop import train

from .conftest import TinyRecipe

pytestmark = pytest.mark.long


def test_two_processes_equal_one(tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path) -> None:
    """The losses that mine whole batches, a batch-normalised neck, a frozen phase, an average, an evaluation.

    What is compared is how far the weights moved, in one plain step of each phase: a random network this deep makes
    1e-4 of a rounding error in the first step and far more in the next, while a loss or a statistic of half the
    batch would be off by tens of per cent in the first.
    """
    torch.manual_seed(0)
    start = resight.models.create("tiny", num_identities=6, head="bnneck").state_dict()
    weights.save(start, tmp_path / "start.safetensors")
    recipe = tiny_recipe(
        model={"name": "tiny", "head": "bnneck", "weights": str(tmp_path / "start.safetensors")},
        phases=[
            {"epochs": 1, "optimizer": "sgd", "lr": 1e-2, "momentum": 0.0, "only": ["classifier"]},
            {"epochs": 1, "optimizer": "sgd", "lr": 1e-6, "momentum": 0.0},
        ],
        sampler={"batch_size": 24, "images_per_identity": 4},
        losses=[
            {"name": "cross_entropy", "smoothing": 0.1},
            {"name": "triplet", "margin": None},
            {"name": "distillation", "weight": 5.0, "temperature": 0.02},
        ],
        teachers=list(two_teachers),
        averaging={"decay": 0.5},
        evaluation={"every": 1},
    )
    (tmp_path / "recipe.yaml").write_text(recipe.yaml())
    codes, errors = under_torchrun(tmp_path, ranks.train, tmp_path / "recipe.yaml", tmp_path / "two")
    assert codes == [0, 0], errors[-3000:]
    one = train(recipe, tmp_path / "one", cpu=True, progress=False)
    two = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert len(one["history"]) == len(two["history"]) == 2
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        for name in ("loss", "cross_entropy", "triplet", "distillation", "lr"):
            assert theirs[name] == pytest.approx(mine[name], rel=1e-3), name
    first, second = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["network"] for name in ("one", "two")
    )

    def off(keys: list[str]) -> float:
        """How far the two ended up from each other, as a share of how far they went."""
        moved, apart = (
            torch.cat([(a[key].double() - b[key].double()).flatten() for key in keys]).norm()
            for a, b in ((first, start), (first, second))
        )
        assert moved > 0
        return float(apart / moved)

    statistics = [key for key in start if key.endswith(("running_mean", "running_var"))]
    counters = [key for key in start if key.endswith("num_batches_tracked")]
    body = [key for key in start if key.startswith(("one", "two", "end")) and key not in {*statistics, *counters}]
    assert off(["classifier.weight"]) < 0.01
    assert off(body) < 0.05
    assert off(statistics) < 0.01
    assert all(torch.equal(first[key], second[key]) for key in counters)
    kept_one, kept_two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for key, value in kept_one.items():
        torch.testing.assert_close(kept_two[key], value, rtol=1e-3, atol=1e-4)


def test_unlabelled_images_and_plain_views_over_two_processes(tmp_path: Path) -> None:
    """One process has fewer images that a loss counts than the other, or none: the gradients' mean is that of one."""
    torch.manual_seed(0)
    files = [tmp_path / "some.pt", tmp_path / "none.pt"]
    for file, first in zip(files, ([0, 1, -1, 0], [-1, -1, -1, -1]), strict=True):
        data = {name: torch.randn(8, dim) for name, dim in (("x", 5), ("logits", 3), ("teacher", 5))}
        data["labels"] = torch.tensor([*first, 1, 0, 2, 1])
        data["plain"] = torch.tensor([True, True, False, True, True, False, True, True])
        torch.save(data, file)
    codes, errors = under_torchrun(tmp_path, ranks.write_gradients, files)
    assert codes == [0, 0], errors[-3000:]
    for file in files:
        both = [torch.load(f"{file}.part{rank}", weights_only=True) for rank in range(2)]
        whole = ranks.gradient(file, slice(None))
        assert both[0].keys() == both[1].keys() == whole.keys() and len(whole) == 12
        for name, value in whole.items():
            torch.testing.assert_close((both[0][name] + both[1][name]) / 2, value, rtol=1e-4, atol=1e-6)


def test_one_result_and_one_rectangle(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """One of the processes prints; BDB drops the same rectangle in all; a phase may have no use for the classifier."""
    recipe = tiny_recipe(
        model={"name": "bdb_osnet_x0_25"},
        sampler={"batch_size": 12, "images_per_identity": 2},
        phases=[
            {"epochs": 1, "optimizer": "sgd", "lr": 1e-6},
            {"epochs": 2, "optimizer": "sgd", "lr": 1e-6, "losses": [{"name": "triplet", "margin": 0.3}]},
        ],
    )
    (tmp_path / "recipe.yaml").write_text(recipe.yaml())
    command = ["train", str(tmp_path / "recipe.yaml"), "--output", str(tmp_path / "two"), "--json", "--cpu"]
    launcher = forked.start(tmp_path / "launcher", ranks.launch, command)
    assert forked.ended(launcher) == 0, (tmp_path / "launcher.err").read_text()[-3000:]
    two = json.loads((tmp_path / "launcher.out").read_text())
    assert two == json.loads((tmp_path / "two" / "metrics.json").read_text())
    one = train(recipe, tmp_path / "one", cpu=True, progress=False)
    for mine, theirs, rel in zip(one["history"], two["history"], (1e-3, 1e-2), strict=False):  # then rounding has grown
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=rel)


def test_a_batch_that_two_cannot_share(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe(sampler={"batch_size": 6, "images_per_identity": 2})
    (tmp_path / "recipe.yaml").write_text(recipe.yaml())
    codes, errors = under_torchrun(tmp_path, ranks.train, tmp_path / "recipe.yaml", tmp_path / "run")
    assert all(codes) and "cannot be divided among 2 processes in whole identities" in errors
    assert not (tmp_path / "run").exists()
