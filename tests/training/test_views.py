"""Teachers see exactly what the student sees."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import resight
from resight import datasets
from resight.errors import RecipeError
from resight.images.augmentation import Augmentation
from resight.images.cache import Images
from resight.images.transforms import prepare
from resight.models.card import Preprocessing
from resight.models.exported import Exported, describe
from resight.models.output import Output
from resight.training import parts, teachers
from resight.training.loop import train
from resight.training.losses import Facts, Target
from resight.training.losses.direction import Direction, direction
from resight.training.teachers import Teachers
from resight.training.views import Views

from .conftest import TinyRecipe, weights_of
from .test_losses import points

HOW = Augmentation(flip=0.5, pad_crop=2, brightness=0.3, erase=0.5, halves=0.5, box=0.5, light=0.5, patch=0.5)
TO = Preprocessing(height=32, width=16)
CPU = torch.device("cpu")


@pytest.fixture
def images(tiny_recipe: TinyRecipe) -> Any:
    return datasets.load("market_layout", tiny_recipe().data.root).train


def views_of(images: Any, seed: int = 1, **spec: Any) -> Views:
    return Views(Images(images, Preprocessing(height=32, width=16)), HOW, TO, parts.Views(**spec), seed)


def test_fixed_views_are_the_same_wherever_they_are_shown(images: Any) -> None:
    views, again = views_of(images, count=3), views_of(images, count=3)
    which, view = np.array([4, 7, 4, 20]), np.array([0, 1, 2, 1])
    first = views.show(views.fixed(which, view), CPU)
    assert torch.equal(again.show(again.fixed(which[::-1].copy(), view[::-1].copy()), CPU).flip(0), first)
    assert torch.equal(first[0], prepare(torch.from_numpy(views.images.read(which[:1])), TO)[0])
    assert not torch.equal(first[0], first[2]) and not torch.equal(first[1], first[3])
    other = views_of(images, seed=2, count=3)
    assert not torch.equal(other.show(other.fixed(which, view), CPU)[1:], first[1:])


def test_every_view_is_shown_equally_often(images: Any) -> None:
    views, batch = views_of(images, count=3), np.arange(24)
    shown = np.stack([views.at_step(batch, slice(None), epoch, 0).view for epoch in range(6)])
    assert all(np.bincount(column).tolist() == [2, 2, 2] for column in shown.T)
    assert len(set(shown[0].tolist())) == 3  # not all images the same one


def test_a_share_of_new_views_is_plain(images: Any) -> None:
    views, batch = views_of(images, count=0, plain=0.25), np.arange(24)
    seen = [views.at_step(batch, slice(None), 0, step) for step in range(40)]
    shares = np.mean([one.plain for one in seen])
    assert 0.2 < shares < 0.3 and all(one.view is None for one in seen)
    shown, plain = views.show(seen[0], CPU), seen[0].plain
    assert plain is not None
    assert torch.equal(shown[plain], prepare(torch.from_numpy(seen[0].pixels[plain]), TO))


def test_the_teacher_sees_the_view_enlarged(images: Any, two_teachers: tuple[str, str], tmp_path: Path) -> None:
    """Against the second teacher's network on the student's own input, resized and normalised by hand."""
    views, taught = views_of(images, count=2), Teachers.read(two_teachers[1:])
    found = taught.embed_views(images, views, 2, device=CPU, folder=tmp_path / "kept")
    assert found.shape == (2, 24, 48)
    model = resight.load(two_teachers[1])
    mean, std = (torch.tensor(x)[:, None, None] for x in (TO.mean, TO.std))
    for view in range(2):
        x = views.show(views.fixed(np.arange(24), np.full(24, view)), CPU)
        y = F.interpolate(x * std + mean, (16, 16), mode="bilinear", antialias=True)
        with torch.no_grad():
            expected = F.normalize(model.network((y - mean) / std).embedding)
        torch.testing.assert_close(found[view], expected, rtol=0, atol=1e-4)
        live = taught.live(CPU, half=False)(x, TO)
        torch.testing.assert_close(found[view], live, rtol=0, atol=1e-5)


def test_what_teachers_see_is_kept(
    images: Any, two_teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By view, seed and augmentation; the plain view is the same for all of them."""
    taught, looked = Teachers.read(two_teachers), []
    build = teachers.build

    def counting(*args: Any, **options: Any) -> Any:
        network = build(*args, **options)
        network.register_forward_hook(lambda *_: looked.append(1))
        return network

    monkeypatch.setattr(teachers, "build", counting)

    def embed(views: Views) -> int:
        looked.clear()
        taught.embed_views(images, views, views.count, device=CPU, folder=tmp_path)
        return len(looked)

    assert embed(views_of(images, count=2)) == 4
    assert embed(views_of(images, count=2)) == 0
    assert embed(views_of(images, count=3)) == 2
    assert embed(views_of(images, count=2, seed=5)) == 2


def test_a_real_teacher_in_a_file(tmp_path: Path, market_zip: Path) -> None:
    """OpenVINO, BGR, 0 to 255: on views of its own size it gives what it gives for the images."""
    pytest.importorskip("openvino")
    for suffix in ("xml", "bin"):
        name = f"person-reidentification-retail-0287.{suffix}"
        shutil.copyfile(market_zip.parents[1] / "weights" / "openvino" / name, tmp_path / name)
    file = tmp_path / "person-reidentification-retail-0287.xml"
    to = Preprocessing(height=256, width=128, colour="BGR", scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    describe(Exported(file), to).save(file)
    split = datasets.load("market1501", market_zip).query.take(np.arange(0, 3000, 500))
    expected = resight.Embedder(resight.load(file), engine="openvino")(split).vectors
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    student = Preprocessing(height=256, width=128)
    taught = Teachers.read([str(file)])
    views = Views(Images(split, Preprocessing()), HOW, student, parts.Views(count=1), 1)
    found = taught.embed_views(split, views, 1, device=CPU, folder=None)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    half = Preprocessing(height=128, width=64)
    small = Views(Images(split, half), HOW, half, parts.Views(count=2, half=True), 1)
    plain, other = taught.embed_views(split, small, 2, device=CPU, folder=None).numpy()
    assert (plain * expected).sum(1).min() > 0.9 > (other * expected).sum(1).min()


# ---- the loss


def test_direction_by_hand() -> None:
    student = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, -3.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(direction(student, teacher)) == pytest.approx((0 + (1 - 0.5**0.5) + 2) / 3, rel=1e-6)


def test_one_teacher_of_the_same_length_needs_no_map() -> None:
    facts = Facts(np.array([0]), None, (5,), (5,), 5)
    assert Direction().state(facts) == {}
    maps = Direction().state(facts._replace(teachers=(5, 3)))
    assert {key: tuple(one.shape) for key, one in maps.items()} == {"map0": (5, 5), "map1": (3, 5)}
    assert all(one.requires_grad for one in maps.values())
    with pytest.raises(RecipeError, match="the loss 'direction' needs teachers"):
        Direction().state(facts._replace(teachers=()))
    x, t = (torch.tensor(points(columns=n)).float() for n in (5, 8))
    found = Direction()(Output(x), Target(torch.zeros(8), x, teacher=t), maps)
    pairs = [(x @ maps["map0"].T, t[:, :5]), (x @ maps["map1"].T, t[:, 5:])]
    expected = np.mean([float(1 - F.cosine_similarity(a, b).mean().detach()) for a, b in pairs])
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


# ---- in training


@pytest.mark.parametrize(("count", "seen"), [(3, "same"), (0, "same"), (0, "plain")])
def test_a_student_follows_its_teachers(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path, count: int, seen: str
) -> None:
    """Through maps, since two teachers have two spaces; the maps learn and are kept in the checkpoint."""
    made = tiny_recipe(
        teachers=list(two_teachers),
        views={"count": count, "teachers": seen},
        losses=[{"name": "direction"}],
        phases=[{"epochs": 6, "optimizer": "adamw", "lr": 1e-3}],
    )
    history = train(made, tmp_path / "run", cpu=True, progress=False)["history"]
    assert history[-1]["direction"] < history[0]["direction"] - 0.05
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["memories"][0][0]
    assert kept["map0"].shape == (48, 48) and not torch.allclose(kept["map0"] @ kept["map0"].T, torch.eye(48))
    train(made, tmp_path / "again", cpu=True, progress=False)
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "again")


def test_teachers_may_see_the_plain_image_alone(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the student sees, its lesson is what the teacher makes of the plain image."""
    targets: list[Target] = []
    call = Direction.__call__

    def watched(self: Direction, output: Output, target: Target, state: Any) -> torch.Tensor:
        targets.append(target)
        return call(self, output, target, state)

    monkeypatch.setattr(Direction, "__call__", watched)
    made = tiny_recipe(
        teachers=[two_teachers[0]],
        views={"count": 0, "teachers": "plain", "plain": 0.0},
        sampler={"kind": "random", "batch_size": 24},
        losses=[{"name": "direction"}],
        phases=[{"epochs": 2}],
    )
    train(made, tmp_path / "run", cpu=True, progress=False)
    first, second = targets
    assert first.teacher is not None and second.teacher is not None and not torch.equal(first.images, second.images)
    split = datasets.load("market_layout", made.sources[0].root).train
    to = resight.load(two_teachers[0]).card.preprocessing
    plain = prepare(torch.from_numpy(Images(split, to).read(np.arange(24))), to)
    with torch.no_grad():
        expected = F.normalize(resight.load(two_teachers[0]).network(plain).embedding)
    for target in (first, second):
        assert torch.cdist(target.teacher, expected).amin(1).max() < 1e-3
        assert len(set(torch.cdist(target.teacher, expected).argmin(1).tolist())) == 24


def test_what_is_refused(tiny_recipe: TinyRecipe, two_teachers: tuple[str, str]) -> None:
    with pytest.raises(RecipeError, match="views are what teachers see: name teachers, or leave views out"):
        tiny_recipe(views={"count": 2})
    with pytest.raises(RecipeError, match="plain_views of the loss 'cross_entropy' needs views"):
        tiny_recipe(teachers=list(two_teachers), losses=[{"name": "cross_entropy", "plain_views": True}])
