"""Clips in training: which frames make a batch, how outputs are pooled, and attention over frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import resight
from resight.datasets import Dataset, load
from resight.embedding.tracklets import Clips, embed_tracklets
from resight.errors import DataError, RecipeError
from resight.models.output import Output
from resight.training import recipe as recipes
from resight.training.loop import train
from resight.training.losses import Target
from resight.training.objective import pool_output, pool_target
from resight.training.parts import Sampler
from resight.training.sampler import epoch_batches

LABELS = np.repeat([0, 1, 2, 2, 3], [3, 9, 5, 6, 1])
TRACKS = np.repeat([7, 4, 9, 2, 5], [3, 9, 5, 6, 1])
HOW = Sampler(kind="tracklets", batch_size=12, images_per_identity=2, frames=3)


def test_a_batch_is_tracklets_of_which_frames_come_in_order() -> None:
    for epoch in range(30):
        batches = epoch_batches(LABELS, HOW, 5, epoch, tracks=TRACKS)
        assert batches.shape == (len(batches), 12) and len(batches)
        for clip in batches.reshape(-1, 3):  # P x K clips of T frames
            assert len(set(TRACKS[clip])) == 1 and (np.diff(clip) >= 0).all()
            inside = np.flatnonzero(TRACKS[clip[0]] == TRACKS)
            for chunk, frame in enumerate(clip):  # restricted random sampling, written out
                begin, end = chunk * len(inside) // 3, max((chunk + 1) * len(inside) // 3, chunk * len(inside) // 3 + 1)
                assert frame in inside[min(begin, len(inside) - 1) : end]
        for pair in batches.reshape(-1, 6):
            assert len(set(LABELS[pair])) == 1  # K clips of one identity next to each other
        for batch in batches:
            assert len(set(LABELS[batch])) == 2  # P identities
    again = epoch_batches(LABELS, HOW, 5, 29, tracks=TRACKS)
    assert (again == batches).all()
    assert (epoch_batches(LABELS, HOW, 6, 29, tracks=TRACKS)[:1] != batches[:1]).any()


def test_clips_of_several_sources_and_of_none() -> None:
    sources = np.repeat([0, 0, 1, 1, 1], [3, 9, 5, 6, 1])
    how = HOW.model_copy(update={"sources": "balanced"})
    for batch in epoch_batches(LABELS, how, 1, 0, sources=sources, tracks=TRACKS):
        assert (sources[batch[:6]] == 0).all() and (sources[batch[6:]] == 1).all()
    with pytest.raises(DataError, match="the data has no tracklets"):
        epoch_batches(LABELS, HOW, 1, 0)


@pytest.mark.parametrize("by_length", [False, True])
def test_outputs_are_pooled_as_in_a_loop(by_length: bool) -> None:
    torch.manual_seed(0)
    output = Output(torch.randn(6, 4), (torch.randn(6, 4), torch.randn(6, 5)), (torch.randn(6, 7),), torch.randn(6, 2))
    found = pool_output(output, 3, by_length=by_length)
    for clip in range(2):
        rows = range(3 * clip, 3 * clip + 3)
        lengths = [float(output.embedding[row].norm()) if by_length else 1.0 for row in rows]
        for pooled, one in zip((*found.features, *found.logits), (*output.features, *output.logits), strict=True):
            mean = sum(one[row] * length for row, length in zip(rows, lengths, strict=True)) / sum(lengths)
            torch.testing.assert_close(pooled[clip], mean)
    assert found.attributes is not None and found.attributes.shape == (2, 2)
    target = pool_target(Target(torch.tensor([1, 1, 1, 4, 4, 4]), torch.zeros(6, 3, 2, 2)), 3)
    assert target.labels.tolist() == [1, 4]
    drawn = output._replace(reconstruction=torch.zeros(6, 3, 2, 2))
    with pytest.raises(RecipeError, match="draws its input again, and no clip can be drawn"):
        pool_output(drawn, 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    place = tmp_path_factory.mktemp("clips") / "set"
    return load("synthetic_tracklets", place, identities=8, cameras=2, seconds=24.0, rate=2, size=(64, 100))


def content(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "data": {"name": "synthetic_tracklets"},
        "model": {"name": "frame_attention", "arguments": {"network": "osnet_x0_25", "head": "bnneck"}},
        "images": {"height": 32, "width": 16, "cache": False},
        "augmentation": {"flip": 0.5, "pad_crop": 2, "erase": 0.5},
        "sampler": {"kind": "tracklets", "batch_size": 16, "images_per_identity": 2, "frames": 4},
        "losses": [{"name": "cross_entropy"}, {"name": "triplet"}],
        "phases": [{"epochs": 2, "optimizer": "adamw", "lr": 1e-3}],
        "evaluation": {"frames": 2},
    } | changes


def test_a_run_on_clips_learns_attention_and_can_be_loaded(data: Dataset, tmp_path: Path) -> None:
    result = train(recipes.parse(content()), tmp_path / "run", data=data, cpu=True)
    assert (
        result["report"]["protocol"] == "tracklets"
        and result["report"]["queries"] == data.facts()["query"]["tracklets"]
    )
    model = resight.load(tmp_path / "run")
    assert model.card.architecture == "frame_attention"
    assert not [key for key in model.network.state_dict() if "classifier" in key]
    embedder = resight.Embedder(model, "torch")
    frames = embedder(data.query)
    assert np.ptp(np.linalg.norm(frames.vectors, axis=1)) > 0  # no longer are all frames of one weight
    found = embed_tracklets(embedder, data.query, Clips(pooling="auto"))
    for at, track in enumerate(found.columns["tracks"].tolist()):
        own = frames.vectors[data.query.columns["tracks"] == track].astype(np.float64)
        scores = np.log(np.linalg.norm(own, axis=1))
        weights = np.exp(scores) / np.exp(scores).sum()
        mean = (weights[:, None] * own / np.linalg.norm(own, axis=1, keepdims=True)).sum(0)
        np.testing.assert_allclose(found.vectors[at], mean / np.linalg.norm(mean), atol=1e-5)
    again = train(recipes.parse(content()), tmp_path / "again", data=data, cpu=True)
    assert again["report"]["mAP"] == result["report"]["mAP"]


def test_attention_changes_no_direction_and_its_weights_are_bounded() -> None:
    torch.manual_seed(0)
    network = resight.models.create("frame_attention", network="mobilenet_v2").eval()
    x = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        inner, outer = network.network(x).embedding, network(x).embedding
    torch.testing.assert_close(nn.functional.normalize(outer), nn.functional.normalize(inner))
    assert ((outer.norm(dim=1).log().abs()) <= 2).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sampler": {"kind": "tracklets", "batch_size": 20, "images_per_identity": 2, "frames": 4}},
            "20 is not a multiple",
        ),
        ({"sampler": {"frames": 4}}, "frames 4 are those of tracklets"),
        ({"teachers": ["person"]}, "teachers see single images, not clips"),
    ],
)
def test_recipes_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.parse(content(**changes))


def test_a_batch_of_one_identity_is_refused(data: Dataset, tmp_path: Path) -> None:
    sampler = {"kind": "tracklets", "batch_size": 8, "images_per_identity": 2, "frames": 4}
    with pytest.raises(RecipeError, match=r"a batch of 8 holds one identity \(8 images each\)"):
        train(
            recipes.parse(content(sampler=sampler, losses=[{"name": "triplet"}])), tmp_path / "run", data=data, cpu=True
        )
