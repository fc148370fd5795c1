"""Tracklets as one embedding each, against a loop over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import resight
from resight.datasets import Dataset, load
from resight.embedding.measure import measure, measure_repeats
from resight.embedding.tracklets import Clips, embed_tracklets
from resight.errors import DataError, RecipeError
from resight.images.clips import clips_of
from resight.models.card import Card, Preprocessing
from resight.models.model import Model
from resight.records import Split


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    place = tmp_path_factory.mktemp("tracklets") / "set"
    return load("synthetic_tracklets", place, identities=6, cameras=2, seconds=24.0, rate=2, size=(64, 100))


@pytest.fixture(scope="module")
def model() -> Model:
    network = resight.models.create("mobilenet_v2", head="plain")
    card = Card(
        architecture="mobilenet_v2", preprocessing=Preprocessing(height=32, width=16), dim=1280, metric="cosine"
    )
    return Model(network.eval(), card)


@pytest.mark.parametrize(
    "clips",
    [
        Clips(),
        Clips(3),
        Clips(3, "first"),
        Clips(3, "dense"),
        Clips(3, "dense", "quality"),
        Clips(0, "evenly", "quality"),
    ],
)
def test_equals_the_loop(data: Dataset, model: Model, clips: Clips) -> None:
    embedder = resight.Embedder(model, "torch")
    found = embed_tracklets(embedder, data.query, clips)
    frames = embedder(data.query, quality=True)
    tracks = data.query.columns["tracks"]
    assert found.columns["tracks"].tolist() == sorted(set(tracks.tolist()))
    for at, track in enumerate(found.columns["tracks"].tolist()):
        images = np.flatnonzero(tracks == track)
        chosen = clips_of(len(images), clips.frames, clips.sampling) if clips.frames else [range(len(images))]
        means = []
        for clip in chosen:
            total = np.zeros(1280)
            for image in images[np.asarray(clip)]:
                vector = frames.vectors[image].astype(np.float64)
                weight = max(float(frames.columns["quality"][image]), 1e-6) if clips.pooling == "quality" else 1.0
                total += weight * vector / np.linalg.norm(vector)
            means.append(total / np.linalg.norm(total))
        mean = np.sum(means, 0)
        np.testing.assert_allclose(found.vectors[at], mean / np.linalg.norm(mean), atol=1e-5)
        assert found.identities is not None and found.identities[at] == data.query.identities[images[0]]


def test_data_of_tracklets_is_measured_by_tracklets(data: Dataset, model: Model) -> None:
    done: list[tuple[int, int]] = []
    clips = Clips(2)
    query, gallery, report = measure(model, data, engine="torch", clips=clips, progress=lambda *at: done.append(at))
    facts = data.facts()
    assert (len(query), len(gallery)) == (facts["query"]["tracklets"], facts["gallery"]["tracklets"])
    assert report.protocol == "tracklets" and report.gallery == len(gallery) and done[-1][0] == done[-1][1]
    again = measure_repeats(model, [data, data], engine="torch", clips=clips)
    assert [one.mAP for one in again] == pytest.approx([report.mAP] * 2)


def test_bad_choices_are_refused(data: Dataset, model: Model) -> None:
    for wrong, message in (
        ({"frames": -1}, "A clip of -1 frames cannot be taken"),
        ({"sampling": "random"}, "There is no sampling 'random'"),
        ({"pooling": "max"}, "There is no pooling 'max': choose one of auto, mean, quality, attention"),
    ):
        with pytest.raises(RecipeError, match=message):
            Clips(**wrong)  # type: ignore[arg-type]
    embedder = resight.Embedder(model, "torch")
    with pytest.raises(RecipeError, match="mobilenet_v2 has learnt no attention over frames"):
        embed_tracklets(embedder, data.query, Clips(2, "evenly", "attention"))
    images = Split(data.query.paths, data.query.identities, data.query.cameras, name="mine")
    with pytest.raises(DataError, match="mine has no column 'tracks'"):
        embed_tracklets(embedder, images)
    missing = Split(np.array([str(Path("/nowhere/1.jpg"))]), [1], [1], {"tracks": [1]})
    with pytest.raises(DataError, match=r"/nowhere/1\.jpg"):
        embed_tracklets(embedder, missing)
