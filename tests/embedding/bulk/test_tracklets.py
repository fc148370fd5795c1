"""A file with one row for each tracklet is what pooling in memory gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import resight
from resight.datasets import load
from resight.embedding import files
from resight.embedding.bulk.run import embed_to_file
from resight.embedding.source import find
from resight.embedding.tracklets import Clips, embed_tracklets
from resight.errors import DataError, RecipeError


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bulk") / "set"
    load("synthetic_tracklets", root, identities=4, cameras=2, seconds=20.0, rate=2, size=(64, 100))
    return root


@pytest.fixture(scope="module")
def embedder() -> resight.Embedder:
    return resight.Embedder(resight.load("osnet_x0_25", height=32, width=16), "torch", 8)


@pytest.mark.parametrize("clips", [Clips(), Clips(3)])
@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_equals_pooling_in_memory(
    place: Path, embedder: resight.Embedder, tmp_path: Path, clips: Clips, suffix: str
) -> None:
    images = find(place)
    written = embed_to_file(embedder, images, tmp_path / f"t{suffix}", clips=clips, part=5)
    found, data = files.read(written.file), load("tracklets", place)
    assert written.tracklets == len(found) == sum(one["tracklets"] for one in data.facts().values())
    assert json.loads(Path(written.manifest).read_text())["tracklets"] == written.tracklets
    for name, split in data.splits.items():
        own, expected = found.take(found.columns["split"] == name), embed_tracklets(embedder, split, clips)
        np.testing.assert_allclose(own.vectors, expected.vectors, atol=1e-5)
        assert own.identities is not None and expected.identities is not None
        assert own.identities.tolist() == expected.identities.tolist()
        counts = np.unique(split.columns["tracks"], return_counts=True)[1]
        assert (
            own.columns["frame_count"].tolist() == [min(n, clips.frames or n) for n in counts.tolist()] or clips.frames
        )


def test_what_no_file_can_be_made_of(place: Path, embedder: resight.Embedder, tmp_path: Path) -> None:
    images, file = find(place), tmp_path / "t.npz"
    with pytest.raises(RecipeError, match="Dense clips embed all frames"):
        embed_to_file(embedder, images, file, clips=Clips(4, "dense"))
    with pytest.raises(RecipeError, match="pooled by mean or attention"):
        embed_to_file(embedder, images, file, clips=Clips(4, "evenly", "quality"))
    with pytest.raises(DataError, match="is no data set of tracklets"):
        embed_to_file(embedder, str(place), file, clips=Clips())
