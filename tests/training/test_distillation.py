"""What a student learns from teachers: the loss by hand, and the teachers' embeddings from file to step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from reference import losses as reference
from resight import datasets
from resight.embedding.embedder import Embedder
from resight.errors import ModelError, RecipeError, ResightError, TrainingError
from resight.models.model import Model
from resight.models.output import Output
from resight.records import Split
from resight.training import teachers
from resight.training.loop import train
from resight.training.losses import Facts, Target
from resight.training.losses.distillation import Distillation, neighbour_divergence
from resight.training.teachers import Teachers

from .conftest import TinyRecipe, weights_of
from .test_losses import points, slope
from .test_resume import Interrupted, interrupt_after

DISTIL: dict[str, Any] = {"losses": [{"name": "cross_entropy"}, {"name": "distillation", "weight": 2.0}]}


def run(recipe: Any, output: Path, **options: Any) -> dict[str, Any]:
    return train(recipe, output, cpu=True, progress=False, **options)


# ---- the loss


def test_three_images_by_hand() -> None:
    """The student holds 0 and 1 for one, the teacher 0 and 2: each image has two others, a softmax of two is a sigmoid.

    Temperature 1. Image 0: student cosines (1, 0), teacher's (0, 1); image 1: (1, 0) and (0, 0); image 2: (0, 0) and
    (1, 0).
    """
    student = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    teacher = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    s, half = 1 / (1 + np.exp(-1)), 0.5
    first = (1 - s) * np.log((1 - s) / s) + s * np.log(s / (1 - s))
    second = half * np.log(half / s) + half * np.log(half / (1 - s))
    third = s * np.log(s / half) + (1 - s) * np.log((1 - s) / half)
    found = neighbour_divergence(student, teacher, temperature=1.0)
    assert float(found) == pytest.approx((first + second + third) / 3, rel=1e-5)
    assert float(neighbour_divergence(teacher * 5, teacher, 0.1)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_values_and_gradients_against_loops(temperature: float) -> None:
    student, teacher = points(columns=5), points(columns=3)
    x = torch.tensor(student, dtype=torch.float32, requires_grad=True)
    loss = neighbour_divergence(x, torch.tensor(teacher, dtype=torch.float32), temperature)
    loss.backward()
    expected = reference.neighbour_divergence(student, teacher, temperature)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    expected_slope = slope(lambda z: reference.neighbour_divergence(z, teacher, temperature), student)
    np.testing.assert_allclose(x.grad, expected_slope, rtol=2e-3, atol=2e-4)
    assert np.abs(expected_slope).max() > 0.01


def test_descriptors_are_averaged_and_half_precision_is_widened() -> None:
    parts = tuple(torch.tensor(points(columns=n), dtype=torch.float32).to(torch.bfloat16) for n in (4, 6))
    teacher = torch.tensor(points(columns=3), dtype=torch.float32)
    target = Target(torch.zeros(8, dtype=torch.int64), torch.zeros(8, 3, 4, 4), teacher=teacher)
    found = Distillation(temperature=0.2)(Output(parts[0], parts), target, {})
    each = [reference.neighbour_divergence(x.double().numpy(), points(columns=3), 0.2) for x in parts]
    assert float(found) == pytest.approx(np.mean(each), rel=1e-4)


def test_it_needs_teachers(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    facts = Facts(np.array([0, 1]), None, (4,), teachers=(3,))
    assert Distillation().state(facts) == {}
    with pytest.raises(RecipeError, match="the loss 'distillation' needs teachers: name their files"):
        run(tiny_recipe(**DISTIL), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- the teachers


def test_a_dot_product_is_the_mean_of_the_teachers_cosines(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str]
) -> None:
    images = datasets.load("market_layout", tiny_recipe().data.root).train
    found = Teachers.read(two_teachers).embed(images, device="cpu", folder=None)
    assert found is not None and found.shape == (24, 48 + 48) and found.dtype == torch.float32
    cosines = []
    for file in two_teachers:
        plain = Embedder(resight.load(file), device="cpu", flip=True)(images).vectors.astype(np.float64)
        unit = plain / np.linalg.norm(plain, axis=1, keepdims=True)
        cosines.append(unit @ unit.T)
    assert np.abs(cosines[0] - cosines[1]).max() > 1e-3
    np.testing.assert_allclose(found @ found.T, np.mean(cosines, 0), atol=1e-5)
    assert Teachers.read(()).embed(images, device="cpu", folder=None) is None


def test_teachers_are_asked_once(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each teacher and set of images; a file that is not whole is made anew."""
    images = datasets.load("market_layout", tiny_recipe().data.root).train
    asked: list[int] = []

    class Counting(Embedder):
        def __call__(self, images: Any, **options: Any) -> Any:
            asked.append(len(images))
            return super().__call__(images, **options)

    monkeypatch.setattr(teachers, "Embedder", Counting)
    folder = tmp_path / "kept"

    def embed(files: tuple[str, ...], images: Split) -> torch.Tensor:
        found = Teachers.read(files).embed(images, device="cpu", folder=folder)
        assert found is not None
        return found

    first = embed(two_teachers, images)
    assert asked == [24, 24] and len(list(folder.iterdir())) == 2
    assert torch.equal(embed(two_teachers, images), first)
    swapped = embed(two_teachers[::-1], images)
    assert torch.equal(swapped.roll(48, 1), first) and asked == [24, 24]
    fewer = embed(two_teachers, images.take(np.arange(24) >= 4))
    assert asked == [24, 24, 20, 20]
    torch.testing.assert_close(fewer, first[4:], rtol=0, atol=1e-5)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-8])
    assert torch.equal(embed(two_teachers, images), first) and asked == [24, 24, 20, 20, 24, 24]


@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        ("missing.safetensors", ModelError, "missing.safetensors does not exist"),
        ("osnet_x0_25", RecipeError, "the teacher osnet_x0_25 has random weights: name the file of a trained model"),
        ("no.card", ModelError, "no.card is not a weight file that can be read safely"),
    ],
)
def test_a_wrong_teacher_is_one_sentence(
    tiny_recipe: TinyRecipe, tmp_path: Path, file: str, error: type[ResightError], message: str
) -> None:
    (tmp_path / "no.card").write_bytes(b"weights")
    name = file if file == "osnet_x0_25" else str(tmp_path / file)
    with pytest.raises(error, match=message) as found:
        run(tiny_recipe(teachers=[name], **DISTIL), tmp_path / "run")
    assert "\n" not in str(found.value) and not (tmp_path / "run").exists()


# ---- in training


def test_each_image_of_a_batch_meets_its_own_lesson(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Junk in front shifts the places of the images; the loss still gets what the teacher sees in these very ones."""
    recipe = tiny_recipe(teachers=[two_teachers[0]], augmentation={"flip": 0.0}, phases=[{"epochs": 1}], **DISTIL)
    data = datasets.load("market_layout", recipe.data.root)
    identities = data.train.identities.copy()
    identities[:4] = -1
    split = Split(data.train.paths, identities, data.train.cameras)
    seen: list[Target] = []
    call = Distillation.__call__

    def watched(self: Distillation, output: Output, target: Target, state: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(target)
        return call(self, output, target, state)

    monkeypatch.setattr(Distillation, "__call__", watched)
    run(recipe, tmp_path / "run", data=datasets.Dataset("some", split, data.query, data.gallery))
    teacher = resight.load(two_teachers[0])
    assert len(seen) == 2
    for target in seen:
        assert target.teacher is not None
        with torch.no_grad():
            plain = teacher.network(target.images).embedding + teacher.network(target.images.flip(3)).embedding
        expected = torch.nn.functional.normalize(plain)
        torch.testing.assert_close(target.teacher, expected, rtol=0, atol=1e-5)


def test_a_run_says_who_taught_it_and_goes_on_with_the_same_teachers_alone(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = [{"epochs": 1, "lr": 1e-3}, {"epochs": 1, "lr": 1e-3, "losses": [{"name": "distillation"}]}]
    recipe = tiny_recipe(teachers=list(two_teachers), phases=phases, **DISTIL)
    whole = run(recipe, tmp_path / "whole")
    first, second = whole["history"]
    assert first["loss"] == pytest.approx(first["cross_entropy"] + 2 * first["distillation"], rel=1e-5)
    assert second["loss"] == pytest.approx(second["distillation"], rel=1e-5) and "cross_entropy" not in second
    card = json.loads((tmp_path / "whole" / "model.card.json").read_text())
    for file in two_teachers:
        assert f"taught by {Path(file).name} ({resight.load(file).card.fingerprint})" in card["trained_on"]
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt_after(patched, 3)
        run(recipe, tmp_path / "parts", resume=True)
    run(recipe, tmp_path / "parts", resume=True)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    torch.manual_seed(7)
    other = resight.load("tiny", height=32, width=16)
    Model(other.network, other.card.model_copy(update={"trained_on": "a test"})).save(two_teachers[0])
    with pytest.raises(TrainingError, match="was made with other data"):
        run(recipe, tmp_path / "parts", resume=True)


def test_distillation_brings_the_student_nearer_to_its_teacher(
    tiny_recipe: TinyRecipe, two_teachers: tuple[str, str], tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        teachers=[two_teachers[0]],
        losses=[{"name": "distillation", "temperature": 0.02}],
        sampler={"kind": "random", "batch_size": 24},
        augmentation={"flip": 0.0},
        phases=[{"epochs": 12, "optimizer": "adamw", "lr": 2e-3}],
    )
    history = run(recipe, tmp_path / "run")["history"]
    assert history[-1]["distillation"] < 0.7 * history[0]["distillation"]
