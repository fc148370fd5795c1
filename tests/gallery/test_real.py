"""Real pictures of Market-1501, from a zip archive into a gallery and out of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import resight
from conftest import SHARED
from resight import Embedder, Gallery
from resight.gallery.record import Filter
from resight.images.decode import decode_bytes
from resight.models.model import Model
from resight.retrieval.ranking.rank import topk

NewUri = Callable[[], str]


@pytest.fixture
def model() -> Model:
    path = SHARED / "weights" / "osnet_x0_25_msmt17.pth"
    if not path.is_file():
        pytest.skip(f"needs the OSNet weights at {path}, which may not be passed on")
    return resight.load("osnet_x0_25", weights=path, height=64, width=32)


def test_real_people_are_found_as_topk_finds_them(gallery_uri: str, market_zip: Path, model: Model) -> None:
    data = resight.datasets.load("market1501", market_zip, fold="validation")
    several, asked = data.gallery.take(np.arange(0, 1800, 9)), data.query.take(np.arange(0, 60, 3))
    embedder = Embedder(model, "torch", batch_size=32, device="cpu")
    with Gallery.open(gallery_uri, embedder) as gallery:
        added = gallery.add(several, times=np.arange(200.0), basis="a data set")
        assert added.new == 200
        embedded, queries = embedder(several), embedder(asked)
        ranking = topk(queries, embedded, 10, model.card.metric)
        by_vector, by_picture = gallery.search_many(queries), gallery.search_many(asked)
        for hits, indices, distances in zip(by_vector, ranking.indices, ranking.distances, strict=True):
            assert [hit.record.id for hit in hits] == [added.ids[at] for at in indices]
            assert [hit.distance for hit in hits] == distances.tolist()
        assert by_picture == by_vector
        camera = str(asked.cameras[0])
        elsewhere = gallery.search(asked.paths[0], 200, Filter(exclude_cameras=(camera,)))
        assert len(elsewhere) == np.count_nonzero(several.cameras != asked.cameras[0])
        assert gallery.stats().cameras == {
            str(camera): int(count)
            for camera, count in zip(*np.unique(several.cameras, return_counts=True), strict=True)
        }
        (first,) = gallery.get(added.ids[:1])
        assert first.source == several.paths[0]
        small = gallery.thumbnail(first.id)
        assert small is not None
        assert decode_bytes(small, "it").shape == (128, 64, 3)  # as large as the pictures are
        again = gallery.add(several, times=np.arange(200.0))
        assert (again.new, again.known) == (0, 200)


def test_real_pictures_move_to_another_model(new_uri: NewUri, market_zip: Path, model: Model) -> None:
    data = resight.datasets.load("market1501", market_zip, fold="validation")
    several = data.gallery.take(np.arange(0, 400, 10))
    other = Embedder(resight.load("osnet_x0_25", height=48, width=24), "torch", device="cpu")
    with Gallery.open(new_uri(), Embedder(model, "torch", device="cpu")) as gallery:
        ids, target = gallery.add(several).ids, new_uri()
        done = gallery.reembed(other, target)
        assert (done.records, done.from_thumbnails, done.lost) == (40, (), ())
        with Gallery.open(target, other) as moved:
            np.testing.assert_array_equal(moved.vectors(ids), other(several).vectors)
            assert moved.get(ids) == gallery.get(ids)
