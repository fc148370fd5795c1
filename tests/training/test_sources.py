"""Several sources in one run: who is who, which images share a batch, what is not labelled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from conftest import TinyMarket, write_noise
from reference import losses as reference
from resight import datasets
from resight.datasets import Dataset
from resight.datasets.sources import join_training
from resight.embedding.measure import measure
from resight.errors import DataError, RecipeError
from resight.models.loading import load
from resight.models.output import Output
from resight.records import Split
from resight.training.examples import Examples
from resight.training.loop import train
from resight.training.losses import CrossEntropy, Target, Triplet
from resight.training.objective import names, objective
from resight.training.parts import Sampler
from resight.training.recipe import Recipe
from resight.training.sampler import epoch_batches

from .conftest import TinyRecipe, weights_of
from .test_losses import points
from .test_resume import Interrupted, interrupt_after

Labels = NDArray[np.int64]


def dataset(name: str, identities: list[int], cameras: list[int], **columns: Any) -> Dataset:
    paths = np.array([f"{name}/{at}.jpg" for at in range(len(identities))])
    split = Split(paths, np.array(identities, np.int64), np.array(cameras, np.int64), columns, name)
    return Dataset(name, split, split.take([]), split.take([]))


def test_no_identity_and_no_camera_is_shared() -> None:
    first = dataset("a", [5, 5, -1, 2], [1, 2, 1, 2], times=np.arange(4), frames=np.arange(4))
    second = dataset("b", [2, 5, -1], [1, 1, 7], times=np.arange(3))
    third = dataset("a", [1, 1], [1, 2], times=np.arange(2))
    joined, triplets = join_training([first, second, third])
    assert joined.identities.tolist() == [5, 5, -1, 2, 6, 7, -1, 8, 8]
    pairs = set(zip(joined.columns["sources"].tolist(), joined.cameras.tolist(), strict=True))
    assert len(pairs) == len(set(joined.cameras.tolist())) == 6 and triplets is None
    assert list(dict.fromkeys(joined.columns["sources"].tolist())) == ["a", "b", "a 2"]
    assert joined.columns["times"].tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1] and "frames" not in joined.columns
    with pytest.raises(DataError, match="Sources 1 and 3 are the same images of a"):
        join_training([first, second, first])


def test_images_of_known_identities_and_all_of_a_source_that_knows_none() -> None:
    labelled = dataset("a", [7, -1, 3, -1, 7], [1] * 5)
    examples = Examples.from_sources([labelled, dataset("b", [-1, -1], [1] * 2)])
    assert examples.labels.tolist() == [1, 0, 1, -1, -1] and examples.identities == 2
    assert examples.sources.tolist() == [0, 0, 0, 1, 1]
    assert examples.images.paths.tolist() == ["a/0.jpg", "a/2.jpg", "a/4.jpg", "b/0.jpg", "b/1.jpg"]
    with pytest.raises(DataError, match="c has no images to train on: check its folder"):
        Examples.from_sources([labelled, dataset("c", [], [])])


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for at in range(3):
        write_noise(tmp_path / "street" / f"{at}" / "a.jpg", seed=at)
    (tmp_path / "street" / "list.txt").write_text("a")
    data = datasets.load("unlabelled", tmp_path / "street")
    assert len(data.train) == 3 and set(data.train.identities.tolist()) == {-1} and not len(data.query)
    assert data.notes == ("1 file(s) that are not images were left out.",)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images"):
        datasets.load("unlabelled", tmp_path / "empty")


# ---- batches


SOURCES = np.repeat([0, 1, 2], [40, 24, 16])
IDENTITIES = np.concatenate([np.repeat(np.arange(10), 4), np.repeat(np.arange(10, 16), 4), np.full(16, -1)])


@pytest.mark.parametrize("kind", ["identities", "random"])
def test_a_batch_of_one_source_or_of_equal_parts(kind: Any) -> None:
    separate = Sampler(kind=kind, batch_size=8, images_per_identity=2, sources="separate")
    batches = epoch_batches(IDENTITIES, separate, 1, 0, None, SOURCES)
    each = SOURCES[batches]
    counts = np.bincount(each[:, 0])
    assert (each == each[:, :1]).all() and (counts <= [5, 3, 2]).all() and (counts >= 2).all()
    assert len(np.unique(batches)) == batches.size
    balanced = Sampler(kind=kind, batch_size=12, images_per_identity=2, sources="balanced")
    batches = epoch_batches(IDENTITIES, balanced, 1, 0, None, SOURCES)
    assert len(batches) == len(SOURCES) // 12
    for batch in batches:
        assert np.bincount(SOURCES[batch]).tolist() == [4, 4, 4]
    if kind == "identities":
        pairs = IDENTITIES[batches].reshape(-1, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()


def test_small_sources_are_drawn_again() -> None:
    sources, labels = np.repeat([0, 1], [60, 4]), np.arange(64)
    how = Sampler(kind="random", batch_size=8, sources="balanced")
    batches = epoch_batches(labels, how, 0, 0, None, sources)
    counts = np.bincount(batches.ravel(), minlength=64)
    assert len(batches) == 8 and (counts[60:] == 8).all() and counts[:60].max() == 1


def test_unlabelled_images_take_the_place_of_identities() -> None:
    how = Sampler(batch_size=16, images_per_identity=4)
    batches = epoch_batches(IDENTITIES, how, 1, 0, None, SOURCES)
    groups = IDENTITIES[batches].reshape(-1, 4)
    assert (groups == groups[:, :1]).all() and np.bincount(groups[:, 0] + 1).tolist() == [4] + [1] * 16
    assert len(np.unique(batches)) == 80


def test_one_source_is_sampled_as_ever() -> None:
    for how in (Sampler(batch_size=8, images_per_identity=4), Sampler(kind="random", batch_size=8)):
        alone = epoch_batches(IDENTITIES[:40], how, 3, 2)
        for sources in ("separate", "balanced"):
            changed = how.model_copy(update={"sources": sources})
            found = epoch_batches(IDENTITIES[:40], changed, 3, 2, None, SOURCES[:40])
            np.testing.assert_array_equal(found, alone)


def test_what_does_not_divide() -> None:
    how = Sampler(batch_size=16, images_per_identity=4, sources="balanced")
    with pytest.raises(RecipeError, match="batch_size 16 cannot be divided among 3 sources: use a multiple of 12"):
        epoch_batches(IDENTITIES, how, 1, 0, None, SOURCES)


# ---- losses


def test_identity_losses_count_labelled_images_alone() -> None:
    labels = np.array([0, -1, 0, 1, -1, 1, 2, -1])
    known = labels >= 0
    x, logits = points(columns=5), points(columns=3)
    output = Output(torch.tensor(x).float(), (torch.tensor(x).float(),), (torch.tensor(logits).float(),))
    target = Target(torch.tensor(labels), torch.zeros(8, 3, 2, 2))
    total, parts = objective(output, target, (CrossEntropy(), Triplet(weight=2)), ({}, {}))
    expected = reference.cross_entropy(logits[known], labels[known])
    hard = reference.batch_hard_triplet(x[known], labels[known])
    assert float(parts["cross_entropy"]) == pytest.approx(expected, rel=1e-5)
    assert float(total) == pytest.approx(expected + 2 * hard, rel=1e-5)
    plain = torch.tensor([True, True, False, True, True, True, True, False])
    some = known & plain.numpy()
    _, parts = objective(output, target._replace(plain=plain), (CrossEntropy(plain_views=True),), ({},))
    expected = reference.cross_entropy(logits[some], labels[some])
    assert float(parts["cross_entropy"]) == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_labels_gives_no_gradient() -> None:
    x = torch.tensor(points(columns=5)).float().requires_grad_()
    target = Target(torch.full((8,), -1), torch.zeros(8, 3, 2, 2))
    total, parts = objective(Output(x, (x,), (x,)), target, (CrossEntropy(), Triplet()), ({}, {}))
    total.backward()
    assert float(total.detach()) == 0 and parts == {} and x.grad is not None and not x.grad.any()


def test_two_losses_of_one_name_are_told_apart() -> None:
    assert names((Triplet(), CrossEntropy(), Triplet(margin=None))) == ["triplet", "cross_entropy", "triplet_2"]


# ---- a run


@pytest.fixture
def three_sources(tiny_market: TinyMarket, tmp_path: Path, tiny_recipe: TinyRecipe, two_teachers: Any) -> Recipe:
    for at in range(8):
        write_noise(tmp_path / "street" / f"{at}.jpg", seed=100 + at)
    roots = tiny_recipe().data, tiny_market("other", train=4, test=2)
    data = [roots[0].model_dump(), {"name": "market_layout", "root": str(roots[1])}]
    return tiny_recipe(
        data=[*data, {"name": "unlabelled", "root": str(tmp_path / "street")}],
        teachers=[two_teachers[0]],
        views={"count": 3},
        losses=[
            {"name": "cross_entropy", "plain_views": True},
            {"name": "triplet"},
            {"name": "direction", "weight": 4.0},
            {"name": "distillation"},
        ],
        phases=[{"epochs": 4, "optimizer": "adamw", "lr": 1e-3}],
    )


def test_a_run_on_three_sources(three_sources: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two labelled sources, of ten people, and pictures of nobody knows whom, all of them with a teacher."""
    result = train(three_sources, tmp_path / "whole", cpu=True, progress=False)
    assert list(result["reports"]) == ["market_layout", "market_layout 2"] and "report" not in result
    assert {"cross_entropy", "triplet", "direction", "distillation"} <= result["history"][0].keys()
    facts = json.loads((tmp_path / "whole" / "environment.json").read_text())["data"]
    assert [one["name"] for one in facts] == ["market_layout", "market_layout 2", "unlabelled"]
    assert [one["train"]["images"] for one in facts] == [24, 16, 8]
    card = json.loads((tmp_path / "whole" / "model.card.json").read_text())
    assert [one["data"] for one in card["metrics"]] == ["market_layout", "market_layout 2"]
    assert all(one["fingerprint"] in card["trained_on"] for one in facts)
    for count in (3, 6, 5):
        with monkeypatch.context() as patched, pytest.raises(Interrupted):
            interrupt_after(patched, count)
            train(three_sources, tmp_path / "parts", resume=True, cpu=True, progress=False)
    train(three_sources, tmp_path / "parts", resume=True, cpu=True, progress=False)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")


def test_a_list_of_one_source_is_that_source(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    one = tiny_recipe(phases=[{"epochs": 1}])
    listed = tiny_recipe(phases=[{"epochs": 1}], data=[one.data.model_dump()])
    train(one, tmp_path / "one", cpu=True, progress=False)
    train(listed, tmp_path / "listed", cpu=True, progress=False)
    assert weights_of(tmp_path / "one") == weights_of(tmp_path / "listed")


def test_a_run_is_measured_on_other_sets(
    tiny_market: TinyMarket, tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sets of ``evaluation.data`` take the place of the sources, and may move between two parts of a run."""
    roots = {"yard": tiny_market("yard", train=0, test=3), "door": tiny_market("door", train=0, test=4)}

    def recipe() -> Recipe:
        on = {name: {"name": "market_layout", "root": str(root)} for name, root in roots.items()}
        return tiny_recipe(evaluation={"every": 1, "data": on})

    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt_after(patched, 4)
        train(recipe(), tmp_path / "run", cpu=True, progress=False)
    roots["yard"] = roots["yard"].rename(tmp_path / "moved")
    result = train(recipe(), tmp_path / "run", resume=True, cpu=True, progress=False)
    assert list(result["reports"]) == ["yard", "door"] and "report" not in result
    model = load(tmp_path / "run")
    expected = [measure(model, datasets.load("market_layout", roots[name]))[2].mAP for name in roots]
    assert [one["mAP"] for one in result["reports"].values()] == pytest.approx(expected, abs=1e-6)
    assert result["average"]["mAP"] == pytest.approx(sum(expected) / 2, abs=1e-6)
    assert [one["data"] for one in model.card.metrics] == ["yard", "door"]
    assert "mAP" in result["history"][0]
    with pytest.raises(DataError, match=r"evaluation\.data\.nobody has no queries"):
        nobody = {"name": "unlabelled", "root": str(tmp_path / "moved" / "query")}
        train(tiny_recipe(evaluation={"data": {"nobody": nobody}}), tmp_path / "none", cpu=True, progress=False)
    assert not (tmp_path / "none").exists()
