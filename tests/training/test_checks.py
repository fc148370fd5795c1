"""What cannot be learnt is refused before anything is written, in one sentence."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

import resight
from conftest import TinyMarket, write_noise
from resight.errors import ResightError
from resight.training.loop import train

from .conftest import TinyRecipe, weights_of

CE, TRIPLET, OSNET = {"name": "cross_entropy"}, {"name": "triplet"}, {"name": "osnet_x0_25"}


def run(recipe: Any, output: Path) -> dict[str, Any]:
    return train(recipe, output, cpu=True, progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": {"kind": "random", "batch_size": 1}, "losses": [CE]}, "batch_size is 1: a batch needs two images"),
        (
            {"sampler": {"batch_size": 8, "images_per_identity": 1}, "losses": [TRIPLET]},
            "'triplet' compares images of one identity, but sampler.images_per_identity is 1",
        ),
        (
            {"sampler": {"batch_size": 4, "images_per_identity": 4}, "losses": [{"name": "elastic"}, TRIPLET]},
            r"'elastic' compares identities, but a batch of 4 holds one identity \(4 images each\)",
        ),
        (
            {"phases": [{"epochs": 1}, {"epochs": 1, "only": ["classifier"], "losses": [TRIPLET]}]},
            r"phases\.1 trains the classifier alone, which none of its losses uses",
        ),
        ({"model": OSNET, "images": {"height": 8, "width": 4}}, "osnet_x0_25 does not take images of 8x4 "),
        (
            {
                "model": OSNET,
                "images": {"height": 32, "width": 16, "progressive": [{"until": 1, "height": 8, "width": 4}]},
            },
            "osnet_x0_25 does not take images of 8x4 ",
        ),
    ],
)
def test_refused_before_the_first_epoch(
    tiny_recipe: TinyRecipe, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ResightError, match=message) as refused:
        run(tiny_recipe(**changes), tmp_path / "run")
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


def test_one_identity_or_none(tiny_market: TinyMarket, tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    alone = {"name": "market_layout", "root": str(tiny_market("alone", train=1))}
    sampler = {"kind": "random", "batch_size": 4}
    with pytest.raises(ResightError, match="have one identity that is known, so that cross_entropy, triplet cannot"):
        run(tiny_recipe(data=alone, sampler=sampler), tmp_path / "run")
    write_noise(tmp_path / "street" / "1.jpg")
    nobody = {"name": "unlabelled", "root": str(tmp_path / "street")}
    with pytest.raises(ResightError, match="have no identity that is known, so that cross_entropy, triplet cannot"):
        run(tiny_recipe(data=nobody, sampler=sampler), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_alone_can_be_learnt_from_a_teacher(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path
) -> None:
    for at in range(8):
        write_noise(tmp_path / "street" / f"{at}.jpg", seed=at)
    made = tiny_recipe(
        data={"name": "unlabelled", "root": str(tmp_path / "street")},
        sampler={"kind": "random", "batch_size": 4},
        teachers=[two_teachers[0]],
        losses=[{"name": "distillation"}],
    )
    result = run(made, tmp_path / "run")
    assert "report" not in result and weights_of(tmp_path / "run")


def test_file_names_that_are_not_utf8(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    for at in range(8):
        folder = os.fsdecode("人".encode("gbk") + str(at // 2).encode())
        write_noise(tmp_path / "set" / folder / f"c{at % 2}_{at}.jpg", seed=at)
    data = {"name": "folder", "root": str(tmp_path / "set")}
    images = {"height": 32, "width": 16, "cache": True}
    run(tiny_recipe(data=data, images=images, sampler={"batch_size": 4, "images_per_identity": 2}), tmp_path / "run")
    assert weights_of(tmp_path / "run")


def test_a_bundled_model_is_named_as_weights(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    bundled = resight.load("vehicle")
    spec = {"name": bundled.card.architecture, "weights": "vehicle", "arguments": bundled.card.arguments}
    images = {"height": 64, "width": 32, "cache": False}
    made = tiny_recipe(model=spec, images=images, phases=[{"epochs": 1, "optimizer": "sgd", "lr": 1e-9}])
    run(made, tmp_path / "run")
    kept = resight.load(tmp_path / "run").network.state_dict()
    for name, tensor in bundled.network.state_dict().items():
        if name.endswith("weight"):
            torch.testing.assert_close(kept[name], tensor, rtol=0, atol=1e-5)


def test_the_program_that_trains_keeps_its_own_state(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """Random numbers, default type, Accelerate, TF32."""
    own = Accelerator(cpu=True, gradient_accumulation_steps=3)
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    tf32, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, True

    def state() -> tuple[Any, ...]:
        shared = tuple(dict(one._shared_state) for one in (AcceleratorState, PartialState, GradientState))
        numbers = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()
        flags = torch.get_default_dtype(), torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32
        return (*shared, *numbers, *flags)

    try:
        before = state()
        run(tiny_recipe(phases=[{"epochs": 1}], precision="bf16"), tmp_path / "run")
        assert state() == before and own.gradient_accumulation_steps == 3 and own.mixed_precision == "no"
    finally:
        torch.backends.cuda.matmul.allow_tf32 = tf32


def test_another_default_type_changes_nothing(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path
) -> None:
    """With weights from a file, since random ones are drawn in the default type."""
    resight.load("tiny", height=32, width=16).save(tmp_path / "start.safetensors")
    made = tiny_recipe(
        model={"name": "tiny", "weights": str(tmp_path / "start.safetensors")},
        augmentation={"flip": 0.5, "pad_crop": 2, "brightness": 0.2, "erase": 0.5, "light": 0.5},
        teachers=[two_teachers[0]],
        views={"count": 2},
        losses=[TRIPLET, {"name": "elastic"}, {"name": "direction"}, {"name": "distillation"}],
        averaging={"decay": 0.9},
        phases=[{"epochs": 1}],
    )
    run(made, tmp_path / "single")
    torch.set_default_dtype(torch.float64)
    try:
        run(made, tmp_path / "double")
    finally:
        torch.set_default_dtype(torch.float32)
    assert weights_of(tmp_path / "single") == weights_of(tmp_path / "double")
