"""Every kind of system through the training loop: on drawn data its loss falls."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from resight import datasets
from resight.datasets import Dataset
from resight.errors import DataError, RecipeError
from resight.models.networks import resnet
from resight.models.shapes import without_memory
from resight.training import recipe as recipes
from resight.training.loop import train
from resight.training.optim import optimizer
from resight.training.parts import Phase, Sampler
from resight.training.sampler import epoch_batches, share

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Synthetic people with made-up attributes (two bits of the identity) and triplets."""
    root = tmp_path_factory.mktemp("drawn") / "people"
    data = datasets.load("synthetic", root, identities=12, cameras=2, images_per_camera=2, seed=3)
    who = data.train.identities
    bits = np.stack([(who >> at) & 1 for at in range(3)], 1).astype(np.uint8)
    train_split = replace(data.train, columns={**data.train.columns, "attributes": bits})
    triplets = np.array(
        [(a, p, n) for a in range(len(who)) for p in range(len(who)) for n in range(0, len(who), 26)
         if a + 1 == p and who[a] == who[p] != who[n]]
    )  # fmt: skip
    return replace(data, train=train_split, attributes=("low", "middle", "high"), triplets=triplets)


def run(people: Dataset, folder: Path, model: dict[str, Any], losses: list[dict[str, Any]], **changes: Any) -> Any:
    content = {
        "name": "tiny",
        "data": {"name": "synthetic"},
        "model": model,
        "images": {"height": 32, "width": 16, "cache": False},
        "sampler": {"kind": "random", "batch_size": 28},
        "losses": losses,
        "phases": [{"epochs": 4, "optimizer": "adam", "lr": 1e-3}],
    } | changes
    return train(recipes.parse(content), folder, cpu=True, progress=False, data=people)


@pytest.mark.parametrize(
    ("model", "losses", "changes"),
    [
        ({"name": "agw_resnet18"}, [{"name": "cross_entropy"}, {"name": "weighted_triplet"}, {"name": "center"}],
         {"sampler": {"batch_size": 28, "images_per_identity": 4}}),
        ({"name": "saver_vae", "arguments": {"widths": [8, 16], "latent": 8}}, [{"name": "vae"}], {}),
        ({"name": "saver_resnet18", "arguments": {"vae": {"widths": [8, 16], "latent": 8}}},
         [{"name": "cross_entropy"}, {"name": "triplet"}], {"sampler": {"batch_size": 28, "images_per_identity": 4}}),
        ({"name": "resnet18_course"}, [{"name": "cross_entropy"}],
         {"images": {"height": 32, "width": 32, "resize": "letterbox_corner", "cache": False}}),
        ({"name": "resnet18_course"}, [{"name": "given_triplets"}],
         {"sampler": {"kind": "triplets", "batch_size": 60}}),
        ({"name": "attributes_osnet_x0_25_cbam", "arguments": {"attributes": 3}}, [{"name": "attributes"}], {}),
        ({"name": "cbdb_osnet_x0_25", "arguments": {"stripes": 3}}, [{"name": "cross_entropy"}, {"name": "elastic"}],
         {"sampler": {"batch_size": 28, "images_per_identity": 4},
          "images": {"height": 64, "width": 32, "cache": False}}),
        ({"name": "ide_cbdb_osnet_x0_25", "arguments": {"stripes": 2}}, [{"name": "cross_entropy"}],
         {"phases": [{"epochs": 6, "lr": 5e-3}]}),
        ({"name": "bdb_osnet_x0_25"}, [{"name": "cross_entropy"}], {"phases": [{"epochs": 4, "lr": 3e-3}]}),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) and "name" in value else "",
)  # fmt: skip
def test_the_loss_of_every_system_falls(
    people: Dataset,
    tmp_path: Path,
    model: dict[str, Any],
    losses: list[dict[str, Any]],
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(resnet.LAYERS, 18, (1, 1, 1, 1))  # half of the blocks will do
    result = run(people, tmp_path / "run", model, losses, **changes)
    history = [entry["loss"] for entry in result["history"]]
    assert min(history[-2:]) < 0.93 * history[0], history
    loaded = resight.load(tmp_path / "run" / "model.safetensors")
    assert loaded.card.architecture == model["name"] and loaded.card.arguments == model.get("arguments", {})
    assert loaded.card.preprocessing.resize == changes.get("images", {}).get("resize", "stretch")
    assert not any(key.startswith("classifier") for key in loaded.network.state_dict())


def test_triplets_of_people_nobody_knows_are_left_out(people: Dataset, tmp_path: Path) -> None:
    """With the first person unknown, the other triplets still point at the same pictures."""
    assert people.triplets is not None
    train_split, first = people.train, people.train.identities[0]
    unknown = replace(train_split, identities=np.where(train_split.identities == first, -1, train_split.identities))
    losses, how = [{"name": "given_triplets"}], {"sampler": {"kind": "triplets", "batch_size": 12}}
    phases = {"phases": [{"epochs": 1, "lr": 1e-6}]}
    run(replace(people, train=unknown), tmp_path / "a", {"name": "osnet_x0_25"}, losses, **how, **phases)
    keep = np.flatnonzero(train_split.identities != first)
    place = {int(old): new for new, old in enumerate(keep)}
    rows = [[place[int(i)] for i in row] for row in people.triplets if all(int(i) in place for i in row)]
    alone = replace(people, train=train_split.take(keep), triplets=np.array(rows))
    run(alone, tmp_path / "b", {"name": "osnet_x0_25"}, losses, **how, **phases)
    first_run, second_run = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert first_run == second_run


def test_what_only_some_data_has(people: Dataset, tmp_path: Path) -> None:
    bare = replace(people, triplets=None, train=replace(people.train, columns={}))
    with pytest.raises(DataError, match=r"a batch needs 4 triplets but the data gives 0: use another sampler\.kind"):
        run(bare, tmp_path / "a", {"name": "osnet_x0_25"}, [{"name": "given_triplets"}],
            sampler={"kind": "triplets", "batch_size": 12})  # fmt: skip
    with pytest.raises(DataError, match="'attributes' needs data with attributes"):
        run(bare, tmp_path / "b", {"name": "attributes_osnet_x0_25"}, [{"name": "attributes"}])
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_a_part_at_rest_keeps_its_weights_and_statistics(people: Dataset, tmp_path: Path) -> None:
    vae = {"widths": [8, 16], "latent": 8}
    run(people, tmp_path / "vae", {"name": "saver_vae", "arguments": vae}, [{"name": "vae"}])
    model = {
        "name": "saver_resnet18",
        "arguments": {"vae": vae},
        "weights": {"vae": str(tmp_path / "vae" / "model.safetensors")},
    }
    phases = [{"epochs": 1, "lr": 1e-3, "only": ["backbone", "mix", "bottleneck", "classifier"]}]
    run(people, tmp_path / "whole", model, [{"name": "cross_entropy"}], phases=phases)
    before = resight.load(tmp_path / "vae" / "model.safetensors").network.state_dict()
    after = resight.load(tmp_path / "whole" / "model.safetensors").network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items() if key.startswith("vae."))
    assert float(after["mix"]) != 0.0


def test_triplets_stay_together() -> None:
    triplets = np.arange(30).reshape(10, 3)
    how = Sampler(kind="triplets", batch_size=12)
    batches = epoch_batches(np.zeros(30, np.int64), how, 0, 0, triplets)
    assert batches.shape == (2, 12)
    rows = batches.reshape(-1, 3)
    assert (rows[:, 0] % 3 == 0).all() and (np.diff(rows, axis=1) == 1).all() and len({*rows[:, 0]}) == 8
    assert share(batches, how, 1, 2) == slice(6, 12)
    with pytest.raises(RecipeError, match="whole triplets of 3 images"):
        share(batches, how, 0, 8)
    with pytest.raises(ValueError, match="not a multiple of 3"):
        Sampler(kind="triplets", batch_size=10)


def test_rates_of_parts() -> None:
    network = resight.models.create("osnet_x0_25", num_identities=3)
    names = frozenset(name for name, _ in network.named_parameters())
    made = optimizer(network, Phase(epochs=1, rates={"conv": 0.1, "conv5": 0.5}), names)
    factors = {id(p): group["factor"] for group in made.param_groups for p in group["params"]}
    for name, p in network.named_parameters():
        assert factors[id(p)] == (0.5 if name.startswith("conv5") else 0.1 if name.startswith("conv") else 1.0), name
    with pytest.raises(RecipeError, match=r"phase\.rates names 'backbone', which no parameter begins with"):
        optimizer(network, Phase(epochs=1, rates={"backbone": 0.1}), names)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_whole(path: Path) -> None:
    """It reads, bears its file's name, says what it is, and its phases fit its network."""
    recipe = recipes.read(path)
    assert recipe.name == path.stem and recipe.about and recipe.source
    made_for = resight.models.registry.preprocessing(recipe.model.name)
    if not path.stem.endswith(("_cpu", "_fast")):
        assert (recipe.images.height, recipe.images.width) == (made_for.height, made_for.width)
    with without_memory():
        network = resight.models.create(recipe.model.name, 5 if recipe.classifies else 0, **recipe.model.builds_with)
    names = frozenset(name for name, p in network.named_parameters() if p.requires_grad)
    for phase in recipe.phases:
        optimizer(network, phase, names)
