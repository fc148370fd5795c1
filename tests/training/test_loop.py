"""A run from beginning to end: what it leaves behind, what moves, what stops it."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import resight
from conftest import TinyMarket
from limits import files_no_larger_than
from resight import datasets
from resight.errors import DataError, ModelError, RecipeError, ResightError, TrainingError
from resight.models import weights
from resight.training import loop
from resight.training.checkpoint import Checkpoint
from resight.training.loop import train
from resight.training.optim import optimizer
from resight.training.recipe import Recipe
from resight.training.run import Run
from resight.training.state import State, place

from .conftest import TinyRecipe, weights_of


def run(recipe: Any, output: Path, **options: Any) -> dict[str, Any]:
    return train(recipe, output, cpu=True, progress=False, **options)


def checkpoint_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return found


# ---- what a run leaves behind


def test_a_run_leaves_everything_needed_to_use_and_repeat_it(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    model = {"name": "osnet_x0_25", "head": "bnneck"}
    recipe = tiny_recipe(model=model, evaluation={"every": 1, "metric": "cosine"})
    result = run(recipe, tmp_path / "run")
    found = Run(tmp_path / "run")
    assert yaml.safe_load(found.recipe.read_text()) == recipe.model_dump(mode="json")
    assert json.loads(found.metrics.read_text()) == result and found.history() == result["history"]
    environment = json.loads(found.environment.read_text())
    assert environment["packages"]["torch"] and environment["data"]["train"]["images"] == 24
    assert sorted(path.name for path in found.folder.iterdir() if path.name != "tensorboard") == [
        "checkpoint.pt",
        "environment.json",
        "metrics.json",
        "model.card.json",
        "model.safetensors",
        "recipe.yaml",
    ]
    first, second = result["history"]
    assert (first["epoch"], second["epoch"], first["size"], first["lr"]) == (1, 2, "32x16", 1e-3)
    assert first["loss"] == pytest.approx(first["cross_entropy"] + first["triplet"], rel=1e-5)
    assert 0 <= first["mAP"] <= 1 and "mAP" not in second, "the last epoch is measured once, in the report"

    model = resight.load(found.model)
    data = datasets.load("market_layout", recipe.data.root)
    assert model.card.fingerprint and model.card.preprocessing.height == 32
    assert data.fingerprint() in model.card.trained_on and "classifier.weight" not in load_file(found.model)
    embedder = resight.Embedder(model, device="cpu")
    report = resight.evaluate(embedder(data.query), embedder(data.gallery), protocol=data.protocol, metric="cosine")
    for name in ("mAP", "mINP"):
        assert report.numbers()[name] == pytest.approx(result["report"][name], abs=1e-9)
    assert model.card.metrics[0]["mAP"] == result["report"]["mAP"]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    for name, seed in (("a", 2**32 - 1), ("b", 2**32 - 1), ("c", 5)):
        run(tiny_recipe(seed=seed), tmp_path / name)
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b") != weights_of(tmp_path / "c")


def test_training_learns(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """Every identity gets a colour of its own, and they are soon told apart."""
    recipe = tiny_recipe(
        phases=[{"epochs": 8, "optimizer": "adamw", "lr": 3e-3}],
        sampler={"batch_size": 12, "images_per_identity": 2},
        losses=[{"name": "cross_entropy", "smoothing": 0.1}],
        augmentation={"flip": 0.5},
    )
    random = np.random.default_rng(0)
    colours = random.permutation(np.array(list(np.ndindex(3, 3, 3)))) * 100 + 20
    for path in Path(recipe.data.root).rglob("*.jpg"):
        image = colours[int(path.name.split("_")[0])] + random.integers(0, 30, (64, 32, 3))
        path.write_bytes(cv2.imencode(".jpg", image.astype(np.uint8))[1].tobytes())
    result = run(recipe, tmp_path / "run")
    losses = [entry["cross_entropy"] for entry in result["history"]]
    assert losses[0] > 1.5 and losses[-1] < 0.8  # from log 6 = 1.79 towards 0.43, which smoothing leaves


def test_data_at_hand_and_data_without_queries(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    data = datasets.load("market_layout", recipe.data.root)
    nobody = data.query.take([])
    only_train = datasets.Dataset("train only", data.train, nobody, nobody)
    result = run(recipe, tmp_path / "run", data=only_train)
    assert "report" not in result and resight.load(tmp_path / "run" / "model.safetensors").card.metrics == ()


def test_junk_is_not_trained_on(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe(phases=[{"epochs": 1}])
    data = datasets.load("market_layout", recipe.data.root)
    identities = data.train.identities.copy()
    identities[identities == 6] = -1
    identities[identities == 5] = -1
    split = resight.Split(data.train.paths, identities, data.train.cameras)
    run(recipe, tmp_path / "run", data=datasets.Dataset("some", split, data.query, data.gallery))
    assert checkpoint_of(tmp_path / "run")["network"]["classifier.weight"].shape == (4, 48)
    with pytest.raises(DataError, match="have no identity that is known, so that cross_entropy, triplet cannot"):
        nobody = resight.Split(data.train.paths, np.full(24, -1), data.train.cameras)
        run(recipe, tmp_path / "none", data=datasets.Dataset("some", nobody, data.query, data.gallery))


# ---- what moves and what does not


def test_a_phase_of_the_classifier_alone_moves_nothing_else(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """Weights, batch statistics and batch counters stay bit for bit what they were."""
    torch.manual_seed(3)
    start = resight.models.create("tiny", num_identities=6, head="bnneck").state_dict()
    weights.save(start, tmp_path / "start.safetensors")
    model = {"name": "tiny", "head": "bnneck", "weights": str(tmp_path / "start.safetensors")}
    phases = [{"epochs": 1, "only": ["classifier"], "weight_decay": 0.1}]
    run(tiny_recipe(model=model, phases=phases), tmp_path / "run")
    after = checkpoint_of(tmp_path / "run")["network"]
    moved = {key for key in start if not torch.equal(start[key], after[key])}
    assert moved == {"classifier.weight"}
    run(tiny_recipe(model=model, phases=[*phases, {"epochs": 1}]), tmp_path / "both")
    after = checkpoint_of(tmp_path / "both")["network"]
    stays = {key for key in start if torch.equal(start[key], after[key])}
    assert stays == {"bottleneck.bias"}


def in_phase(recipe: Recipe, network: torch.nn.Module) -> State:
    state = State(network, network, None, frozenset(name for name, _ in network.named_parameters()), "")
    optimizer(network, recipe.phases[0], state.trainable)
    state.train_mode(recipe.phases[0])
    return state


def test_what_is_trained_alone_still_drops(tiny_recipe: TinyRecipe) -> None:
    """CBDB's blocks, and dropout, are part of what is trained; that of resting parts is not."""
    cbdb = resight.models.create("cbdb_osnet_x0_25", num_identities=6)
    in_phase(tiny_recipe(phases=[{"epochs": 1, "only": ["resblock", "reduction", "classifier"]}]), cbdb)
    assert not cbdb.backbone.training and len(cbdb(torch.zeros(2, 3, 192, 64)).features) > 1
    dropping = torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout()),
        torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout()),
    )
    in_phase(tiny_recipe(phases=[{"epochs": 1, "only": ["1.1.weight"]}]), dropping)
    assert [m.training for m in dropping.modules()] == [True, False, False, False, True, False, True, True]


def test_modules_train_where_their_parameters_do(tiny_recipe: TinyRecipe) -> None:
    recipe = tiny_recipe(phases=[{"epochs": 1, "only": ["one.0", "end"]}])
    network = resight.models.create("tiny")
    state = in_phase(recipe, network)
    norms = {
        name: m.training for name, m in network.named_modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)
    }
    assert {name for name, training in norms.items() if training} == {
        name for name in norms if name.startswith(("one.0.", "end."))
    }
    state.train_mode(tiny_recipe().phases[0])
    assert all(module.training for module in network.modules())


def test_weight_averaging_by_hand(tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of step 1; then of each average d = min(0.2, (1 + n) / (10 + n)) is kept, the rest is step n + 1."""
    seen: list[dict[str, Tensor]] = []
    step = State.step

    def spy(self: State, *args: Any) -> None:
        step(self, *args)
        seen.append(copy.deepcopy(self.network.state_dict()))

    monkeypatch.setattr(State, "step", spy)
    run(tiny_recipe(averaging={"decay": 0.2}), tmp_path / "run")
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert len(seen) >= 4
    for key, value in kept.items():
        if value.is_floating_point():
            expected = seen[0][key].double()
            for n, state in enumerate(seen[1:], start=1):
                d = min(0.2, (1 + n) / (10 + n))
                expected = d * expected + (1 - d) * state[key].double()
            torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6)
        else:
            assert torch.equal(value, seen[-1][key])
    assert not torch.allclose(kept["two.0.weight"], seen[-1]["two.0.weight"], rtol=1e-5)


def test_smaller_images_first(tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    objective = State.train_mode

    def hook(self: State, phase: Any) -> None:
        objective(self, phase)
        self.network.one.register_forward_pre_hook(lambda _, x: sizes.append(tuple(x[0].shape)))  # type: ignore[union-attr]
        monkeypatch.setattr(State, "train_mode", objective)

    monkeypatch.setattr(State, "train_mode", hook)
    progressive = [{"until": 1, "height": 32, "width": 16}, {"until": 2, "height": 48, "width": 32}]
    images = {"height": 64, "width": 32, "cache": False, "progressive": progressive}
    result = run(tiny_recipe(images=images, phases=[{"epochs": 3}]), tmp_path / "run")
    assert [entry["size"] for entry in result["history"]] == ["32x16", "48x32", "64x32"]
    trained = [shape[2:] for shape in sizes if shape[0] == 8]
    assert list(dict.fromkeys(trained)) == [(32, 16), (48, 32), (64, 32)]
    assert {shape[2:] for shape in sizes if shape[0] != 8} == {(64, 32)}, "evaluation is at the full size"


def test_places_of_epochs_in_phases(tiny_recipe: TinyRecipe) -> None:
    phases = tiny_recipe(phases=[{"epochs": 2}, {"epochs": 1}, {"epochs": 3}]).phases
    assert [place(phases, epoch) for epoch in range(6)] == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]


def test_precisions_follow_each_other_in_one_process(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    """Training in bf16 leaves float32 weights, and the report is that of the model as it will be loaded."""
    exact = run(tiny_recipe(), tmp_path / "exact")
    recipe = tiny_recipe(precision="bf16")
    result = run(recipe, tmp_path / "bf16")
    assert result["history"][0]["loss"] == pytest.approx(exact["history"][0]["loss"], rel=0.15)
    assert result["history"][0]["loss"] != exact["history"][0]["loss"]
    data = datasets.load("market_layout", recipe.data.root)
    embedder = resight.Embedder(resight.load(tmp_path / "bf16" / "model.safetensors"), device="cpu")
    report = resight.evaluate(embedder(data.query), embedder(data.gallery), protocol=data.protocol, metric="cosine")
    assert report.numbers()["mAP"] == pytest.approx(result["report"]["mAP"], abs=1e-9)
    with pytest.raises(RecipeError, match=r"precision 'fp16' does not work here \(it needs a GPU\): set precision"):
        run(tiny_recipe(precision="fp16"), tmp_path / "fp16")  # on the CPU, even where there is a GPU


def test_evaluating_does_not_change_training(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    run(tiny_recipe(), tmp_path / "without")
    run(tiny_recipe(evaluation={"every": 1}), tmp_path / "with")
    assert weights_of(tmp_path / "without") == weights_of(tmp_path / "with")


def test_the_cache_does_not_change_training(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    run(tiny_recipe(), tmp_path / "without")
    run(tiny_recipe(images={"height": 32, "width": 16, "cache": True}), tmp_path / "with")
    assert weights_of(tmp_path / "without") == weights_of(tmp_path / "with")
    assert len(list((tmp_path / "cache" / "pixels").iterdir())) == 3  # train, query, gallery


# ---- what stops it


def test_what_is_wrong_is_said_before_the_folder_is_claimed(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    wrong: list[tuple[type[ResightError], str, dict[str, Any]]] = [
        (ModelError, "did you mean 'osnet_x0_25'", {"model": {"name": "osnet_x025"}}),
        (ModelError, "does not exist", {"model": {"name": "osnet_x0_25", "weights": "gone.pth"}}),
        (RecipeError, "matches no parameter", {"phases": [{"epochs": 1}, {"epochs": 1, "only": ["clasifier"]}]}),
        (
            RecipeError,
            "no parameter begins with",
            {"phases": [{"epochs": 1}, {"epochs": 1, "rates": {"clasifier": 2.0}}]},
        ),
        (
            ModelError,
            "needs a model that recon",
            {"phases": [{"epochs": 1}, {"epochs": 1, "losses": [{"name": "vae"}]}]},
        ),
        (DataError, "needs 16 identities but there are 6", {"sampler": {"batch_size": 64}}),
        (DataError, "does not exist", {"data": {"name": "market_layout", "root": "gone"}}),
        (RecipeError, "There is no data set 'market'", {"data": {"name": "market"}}),
    ]
    for kind, message, changes in wrong:
        with pytest.raises(kind, match=message):
            run(tiny_recipe(**changes), tmp_path / "run")
        assert not (tmp_path / "run").exists(), changes


def test_a_folder_holds_one_run(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe(phases=[{"epochs": 1}])
    run(recipe, tmp_path / "run")
    before = weights_of(tmp_path / "run")
    with pytest.raises(TrainingError, match="run already holds a run: pass --resume"):
        run(recipe, tmp_path / "run")
    assert weights_of(tmp_path / "run") == before
    (tmp_path / "file").touch()
    with pytest.raises(ResightError, match="cannot be written"):
        run(recipe, tmp_path / "file")


def test_a_loss_that_is_not_finite_stops_the_run(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    phases = [{"epochs": 1, "lr": 1e-3}, {"epochs": 1, "optimizer": "sgd", "lr": 1e30}]
    recipe = tiny_recipe(phases=phases)
    message = r"not finite \(loss (nan|inf), .*\) in step 2 of epoch 2: lower the learning rate \(it was 1e\+30\)"
    with pytest.raises(TrainingError, match=message) as stopped:
        run(recipe, tmp_path / "run")
    assert "\n" not in str(stopped.value) and str(stopped.value).endswith(".")
    kept = checkpoint_of(tmp_path / "run")
    assert kept["epoch"] == 1 and len(Run(tmp_path / "run").history()) == 1
    assert all(torch.isfinite(value).all() for value in kept["network"].values())
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_damaged_image_is_named(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    path = next((Path(recipe.data.root) / "bounding_box_train").iterdir())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=f"{path.name} is not a complete image"):
        run(recipe, tmp_path / "run")


@pytest.mark.parametrize("size", [1_000, 30_000])
def test_a_full_disk_keeps_the_checkpoint_of_the_epoch_before(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    save = Checkpoint.save
    recipe = tiny_recipe()

    def save_while_full(self: Checkpoint, path: Path) -> None:
        if self.epoch == 1:
            return save(self, path)
        with files_no_larger_than(size):
            return save(self, path)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", save_while_full)
        with pytest.raises(
            ResightError, match=r"checkpoint\.pt cannot be written \(File too large\): free some space"
        ) as stopped:
            run(recipe, tmp_path / "run")
    assert "\n" not in str(stopped.value)
    assert checkpoint_of(tmp_path / "run")["epoch"] == 1
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    run(recipe, tmp_path / "run", resume=True)
    run(recipe, tmp_path / "whole")
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_tensorboard_is_not_needed(tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    run(tiny_recipe(phases=[{"epochs": 1}]), tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists() and weights_of(tmp_path / "run")


def test_validation_fold_and_whole_public_face(
    tiny_market: TinyMarket, tiny_recipe: TinyRecipe, tmp_path: Path
) -> None:
    """A recipe by path, through the public name, on a fold of the data."""
    recipe = tiny_recipe()
    content = recipe.model_dump(mode="json")
    content["data"]["options"] = {"fold": "validation", "held_out": 2}
    content["sampler"]["batch_size"] = 4
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    result = resight.train(tmp_path / "recipe.yaml", tmp_path / "run", cpu=True, progress=False)
    assert result["report"]["queries"] > 0 and loop.train is resight.train


def test_a_recipe_may_be_a_mapping_and_nothing_odd(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    content = yaml.safe_load(tiny_recipe(phases=[{"epochs": 1, "optimizer": "adamw", "lr": 1e-3}]).yaml())
    assert len(train(content, tmp_path / "run", progress=False)["history"]) == 1
    with pytest.raises(RecipeError, match="not a int"):
        train(3, tmp_path / "other", progress=False)  # type: ignore[arg-type]
