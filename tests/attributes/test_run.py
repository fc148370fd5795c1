"""Attributes as the network gives them, for every image, in order; and what the numbers are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import resight
from resight.attributes.measure import measure_attributes
from resight.attributes.reidentify import probabilities
from resight.attributes.run import (
    attribute_count,
    attribute_outputs,
    check_attributes,
    recognise,
    reidentify,
    write_predictions,
)
from resight.datasets import Dataset
from resight.errors import DataError, ModelError
from resight.models import Model, Output, registry
from resight.records import Split

COLOURS = ("red", "green", "blue")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Colours(nn.Module):
    """Three attributes: how much red, green and blue there is, above a half."""

    def __init__(self, attributes: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.told = attributes

    def forward(self, x: Tensor) -> Output:
        mean, std = (torch.tensor(values, dtype=x.dtype, device=x.device) for values in (MEAN, STD))
        logits = self.scale * (x.mean((2, 3)) * std + mean - 0.5)
        return Output(logits * 2, attributes=logits if self.told else None)


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """``colours`` tells attributes, ``colourless`` does not."""
    registry.list_models()  # everything registered before the copies, which are dropped afterwards
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.setattr(registry, "_INPUTS", dict(registry._INPUTS))

    @resight.models.register
    def colours(num_identities: int = 0, head: str = "plain") -> nn.Module:
        """Red, green, blue."""
        return Colours(attributes=True)

    @resight.models.register
    def colourless(num_identities: int = 0, head: str = "plain") -> nn.Module:
        """No attributes."""
        return Colours(attributes=False)


@pytest.fixture
def model() -> Model:
    return resight.load("colours", height=8, width=4)


def paint(path: Path, colour: tuple[int, int, int], left: tuple[int, int, int] | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((8, 4, 3), colour, np.uint8)
    if left:
        pixels[:, :2] = left
    cv2.imwrite(str(path), pixels[..., ::-1])
    return str(path)


def split(folder: Path, colours: list[tuple[int, int, int]], name: str = "people", camera: int = 1) -> Split:
    """One image per colour; images of one colour are one person; pure black is nobody (junk, without labels)."""
    paths = [paint(folder / f"{number}.png", colour) for number, colour in enumerate(colours)]
    known = sorted(set(colours) - {(0, 0, 0)})
    ids = [known.index(colour) + 1 if any(colour) else -1 for colour in colours]
    labels = np.array([[part > 127 for part in colour] for colour in colours]).astype(np.uint8)
    labels[[not any(colour) for colour in colours]] = 255
    return Split(np.array(paths), ids, [camera] * len(ids), {"attributes": labels}, name)  # type: ignore[arg-type]


def sigmoid(colour: tuple[int, int, int]) -> list[float]:
    return [float(1 / (1 + np.exp(-20 * (part / 255 - 0.5)))) for part in colour]


def predicted(model: Model, images: Split, **options: Any) -> NDArray[np.float32]:
    """The probability of each attribute on each image, (N, A)."""
    return probabilities(attribute_outputs(model, [images], **options)[0].vectors)


PAINTED = [(200, 30, 30), (10, 250, 130), (0, 0, 0), (120, 140, 100), (255, 255, 255)]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_probabilities_are_the_sigmoid_of_the_attributes(model: Model, tmp_path: Path, batch_size: int) -> None:
    images = split(tmp_path, PAINTED)
    found = predicted(model, images, batch_size=batch_size, device="cpu")
    assert found.dtype == np.float32 and found.shape == (5, 3)
    np.testing.assert_allclose(found, [sigmoid(colour) for colour in PAINTED], rtol=1e-4, atol=1e-6)


def test_outputs_are_logits_with_the_columns_of_the_split(model: Model, tmp_path: Path) -> None:
    first, second = split(tmp_path / "a", PAINTED), split(tmp_path / "b", PAINTED[:2])
    told: list[tuple[int, int]] = []
    both = attribute_outputs(
        model, [first, second], batch_size=3, device="cpu", progress=lambda *done: told.append(done)
    )
    assert told == [(3, 7), (5, 7), (7, 7)]
    for images, outputs in zip((first, second), both, strict=True):
        expected = [[20 * (part / 255 - 0.5) for part in colour] for colour in PAINTED[: len(images)]]
        np.testing.assert_allclose(outputs.vectors, expected, rtol=1e-4, atol=1e-4)
        assert outputs.identities is not None and outputs.identities.tolist() == images.identities.tolist()
        np.testing.assert_array_equal(outputs.columns["attributes"], images.columns["attributes"])
        assert outputs.fingerprint == model.card.fingerprint
    embedded = resight.Embedder(model, device="cpu")(first).vectors  # still what it was
    np.testing.assert_allclose(embedded, 2 * both[0].vectors, rtol=1e-5)


def test_flip_averages_the_logits(tmp_path: Path) -> None:
    """With a network that looks at the left half only."""

    class Left(nn.Module):
        def __init__(self, colours: nn.Module) -> None:
            super().__init__()
            self.colours = colours

        def forward(self, x: Tensor) -> Output:
            output: Output = self.colours(x[..., :2])
            return output

    whole = resight.load("colours", height=8, width=4)
    model = Model(Left(whole.network), whole.card)
    path = paint(tmp_path / "half.png", (200, 60, 100), left=(100, 20, 220))
    images = Split(np.array([path]), [1], [1])  # type: ignore[arg-type]
    plain = predicted(model, images, device="cpu")
    flipped = predicted(model, images, device="cpu", flip=True)
    np.testing.assert_allclose(plain, [sigmoid((100, 20, 220))], rtol=1e-4)
    np.testing.assert_allclose(flipped, [sigmoid((150, 40, 160))], rtol=1e-4)


def test_a_model_without_attributes_is_refused(model: Model, tmp_path: Path) -> None:
    without = resight.load("colourless", height=8, width=4)
    assert (attribute_count(model), attribute_count(without)) == (3, 0)
    with pytest.raises(ModelError, match="predicts no attributes: use one made for them"):
        attribute_outputs(without, [split(tmp_path, PAINTED)], device="cpu")
    data = Dataset("painted", *[split(tmp_path, PAINTED)] * 3, attributes=COLOURS)
    with pytest.raises(ModelError, match="predicts no attributes"):
        check_attributes(attribute_count(without), data)


def test_counting_attributes_leaves_the_network_as_it_was(model: Model) -> None:
    for training in (True, False):
        model.network.train(training)
        attribute_count(model)
        assert model.network.training == training


def test_nothing_to_predict(model: Model) -> None:
    empty = Split([], [], [], name="nobody")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="nobody has no images"):
        attribute_outputs(model, [empty], device="cpu")


def test_recognition_leaves_out_who_has_no_labels(model: Model, tmp_path: Path) -> None:
    images = split(tmp_path, PAINTED)
    data = Dataset("painted", images, images, images, attributes=COLOURS)
    (outputs,) = attribute_outputs(model, [images], device="cpu")
    found = recognise(outputs, data)
    kept = [0, 1, 3, 4]
    expected = measure_attributes(images.columns["attributes"][kept], [sigmoid(PAINTED[i]) for i in kept], COLOURS)
    assert found.report.numbers() == expected.numbers() | {"unknown": 1} and found.report.mA == 1
    assert found.official == {}  # these are not Market-1501's attributes


def test_data_that_does_not_fit(model: Model, tmp_path: Path) -> None:
    images = split(tmp_path, PAINTED)
    (outputs,) = attribute_outputs(model, [images], device="cpu")
    with pytest.raises(DataError, match="painted has no attribute labels"):
        recognise(outputs, Dataset("painted", images, images, images))
    with pytest.raises(ModelError, match="predicts 3 attributes but painted has 2"):
        recognise(outputs, Dataset("painted", images, images, images, attributes=COLOURS[:2]))


def test_the_csv_file_is_for_market1501s_attributes_alone(model: Model, tmp_path: Path) -> None:
    images = split(tmp_path, PAINTED)
    (outputs,) = attribute_outputs(model, [images], device="cpu")
    with pytest.raises(DataError, match="painted has others"):
        write_predictions(tmp_path / "a.csv", outputs, Dataset("painted", images, images, images, attributes=COLOURS))
    assert not (tmp_path / "a.csv").exists()


def test_people_are_found_by_their_colours(model: Model, tmp_path: Path) -> None:
    def part(name: str, shades: list[int], shift: int) -> tuple[Split, Split]:
        colours = [(a, b, c) for a in shades for b in shades for c in shades]
        near = [(a + shift, b, c) for a, b, c in colours]
        query = split(tmp_path / name / "query", colours)
        gallery = split(tmp_path / name / "gallery", near, camera=2)
        return query, gallery

    query, gallery = part("test", [40, 100, 220], 2)
    asked, there = part("validation", [20, 150, 240], 4)
    train = Split(
        np.concatenate([asked.paths, there.paths]), np.concatenate([asked.identities, there.identities]),
        np.concatenate([asked.cameras, there.cameras]),
    )  # fmt: skip
    data = Dataset("painted", train, query, gallery, attributes=COLOURS)
    held_out = Dataset("painted-validation", train, asked, there, attributes=COLOURS)
    (outputs,) = attribute_outputs(model, [gallery], device="cpu")
    variants = reidentify(model, data, outputs, held_out, device="cpu", batch_size=16)
    assert [one.name for one in variants] == ["plain", "weighted", "linear"]
    for one in variants:
        assert one.report.mAP == one.validation.mAP == one.matched.recall == one.matched.precision == 1
        assert one.report.evaluated == 27 and one.matched.size == 1
    same = reidentify(model, held_out, attribute_outputs(model, [there], device="cpu")[0], held_out, device="cpu")
    assert [one.report.mAP for one in same] == [one.validation.mAP for one in variants]
    assert [one.threshold for one in same] == [one.threshold for one in variants]
    assert variants[0].threshold.distance == pytest.approx(20 * 4 / 255, rel=1e-3)
