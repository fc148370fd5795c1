"""One epoch over given labels, which may be others in every epoch."""

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight import datasets
from resight.models.card import Preprocessing
from resight.training import session as sessions
from resight.training.devices import accelerator, untouched
from resight.training.examples import UNLABELLED, Examples
from resight.training.losses import Target
from resight.training.memory import freed_memory_kept
from resight.training.session import Session
from resight.training.teachers import Teachers

from .conftest import TinyRecipe


def test_labels_of_one_epoch(tiny_recipe: TinyRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As adaptation gives them: the images of an epoch are sampled, and their losses counted, by its own labels."""
    recipe = tiny_recipe(phases=[{"epochs": 3, "optimizer": "adamw", "lr": 1e-3}])
    examples = Examples.from_sources([datasets.load("market_layout", recipe.data.root)])
    targets: list[Target] = []
    objective = sessions.objective

    def watched(output: Any, target: Target, *rest: Any) -> Any:
        targets.append(target)
        return objective(output, target, *rest)

    monkeypatch.setattr(sessions, "objective", watched)
    with untouched():
        session = Session(recipe, examples, Teachers.read(()), accelerator("no", cpu=True))
        session.read(Preprocessing(height=32, width=16), None)
        pairs = np.arange(24) // 4
        one_off = np.where(pairs < 2, UNLABELLED, 5 - pairs)
        for labels in (examples.labels, one_off, examples.labels):
            targets.clear()
            entry = session.epoch(labels)
            seen = np.concatenate([target.labels.numpy() for target in targets]).reshape(-1, 2)
            assert (seen[:, 0] == seen[:, 1]).all() and set(seen.ravel().tolist()) <= set(labels.tolist())
            assert entry["epoch"] == session.state.epoch and entry["loss"] > 0
    assert session.state.epoch == 3


def test_gradients_are_clipped_and_prototypes_trained(tiny_recipe: TinyRecipe) -> None:
    """Plain gradient descent with rate 0.1 and norms of at most 0.01 moves all weights by 0.001 a step at most."""
    plain = {"epochs": 1, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "lr": 0.1, "clip": 0.01}
    model = {"name": "transreid_tiny", "arguments": {"depth": 1}}  # built for the size of the recipe's images
    recipe = tiny_recipe(model=model, losses=[{"name": "margin_softmax"}, {"name": "circle"}], phases=[plain])
    examples = Examples.from_sources([datasets.load("market_layout", recipe.data.root)])
    with untouched():
        session = Session(recipe, examples, Teachers.read(()), accelerator("no", cpu=True))
        session.read(Preprocessing(height=32, width=16), None)
        (prototypes,) = session.state.memories[0][0].values()
        learnt = [*session.state.network.parameters(), prototypes]
        before = [p.detach().clone() for p in learnt]
        steps: list[int] = []
        session.epoch(examples.labels, lambda images, *_: steps.append(images))
    moved = [(p.detach() - old).square().sum().item() for p, old in zip(learnt, before, strict=True)]
    assert moved[-1] > 0 and 0.0005 < sum(moved) ** 0.5 <= 0.001 * len(steps) * 1.001


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept_for_the_time_being() -> None:
    """The resident memory falls after the block, and not within it."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("another allocator")
    size = 512 << 20  # more than other tests may have left free in this process
    with freed_memory_kept() as kept:
        before = resident()
        blocks = [np.ones(size // 8 // 8) for _ in range(8)]
        full = resident()
        del blocks
        after = resident()
    assert kept and full - before > size // 2 and full - after < size // 8
    assert full - resident() > size // 2
    with freed_memory_kept(False) as kept:
        assert not kept
