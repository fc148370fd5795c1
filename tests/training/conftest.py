"""The smallest run there is: six people, 24 pictures of noise, a tiny network at 32x16."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import resight
import tiny
from conftest import TinyMarket
from resight.models.model import Model
from resight.training import recipe as recipes
from resight.training.recipe import Recipe

TinyRecipe = Callable[..., Recipe]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch)
        yield


@pytest.fixture
def tiny_recipe(tiny_market: TinyMarket) -> TinyRecipe:
    """A factory of recipes: ``tiny_recipe(seed=3, ...)`` replaces top-level entries. Two or three steps per epoch."""
    root = tiny_market(train=6)

    def make(**changes: Any) -> Recipe:
        content: dict[str, Any] = {
            "name": "tiny",
            "data": {"name": "market_layout", "root": str(root)},
            "model": {"name": "tiny", "head": "bnneck"},
            "images": {"height": 32, "width": 16, "cache": False},
            "augmentation": {"flip": 0.5, "pad_crop": 2, "erase": 0.5},
            "sampler": {"batch_size": 8, "images_per_identity": 2},
            "losses": [{"name": "cross_entropy", "smoothing": 0.1}, {"name": "triplet"}],
            "phases": [{"epochs": 2, "optimizer": "adamw", "lr": 1e-3}],
        }
        return recipes.parse(content | changes)

    return make


@pytest.fixture
def two_teachers(tmp_path: Path) -> tuple[str, str]:
    """Two random networks of different input sizes in files, marked as trained."""
    files = []
    for seed, (height, width) in enumerate([(32, 16), (16, 16)]):
        torch.manual_seed(seed)
        made = resight.load("tiny", height=height, width=width)
        file = tmp_path / f"teacher{seed}.safetensors"
        Model(made.network, made.card.model_copy(update={"trained_on": "a test"})).save(file)
        files.append(str(file))
    return files[0], files[1]


def weights_of(folder: Path) -> bytes:
    """The trained weights of a run, bit by bit."""
    return (folder / "model.safetensors").read_bytes()
