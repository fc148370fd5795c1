"""A gallery of pictures unlike those of the calibration calls nothing a match and says so."""

import numpy as np
import pytest

import resight
from reference.pairs import people
from resight import Embeddings, Gallery
from resight.gallery.deciding import applying
from seen import card


def spread(seed: int, noise: float) -> Embeddings:
    """By cosine distance; with much noise everybody is as far from everybody."""
    return people(np.random.default_rng(seed), 40, noise=noise)


@pytest.fixture(scope="module")
def decided():
    decision = resight.calibrate(spread(1, 0.3), false_match_rate=1e-2, coverage=0.9, metric="cosine")
    return card(dim=16).model_copy(update={"decision": decision.plain() | {"fingerprint": "made-up"}})


def bare(images: Embeddings) -> Embeddings:
    return Embeddings(images.vectors, paths=images.paths)


def test_pictures_like_the_calibration(decided, gallery_uri: str) -> None:
    images = spread(2, 0.3)
    with Gallery.open(gallery_uri, decided) as gallery:
        gallery.add(bare(images), cameras="1")
        assert gallery.applied().trusted and gallery.applied().banner == ""
        assert gallery.search(images.vectors[0])[0].decision == "match"


def test_pictures_unlike_them(decided, gallery_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = spread(2, 0.3)
    dull = Embeddings(np.abs(images.vectors) + 3, paths=images.paths)  # everybody is near everybody
    with Gallery.open(gallery_uri, decided) as gallery:
        gallery.add(dull.take(np.arange(20)), cameras="1")
        assert gallery.applied().drift is None  # too few to tell
        assert gallery.search(dull.vectors[0])[0].decision == "match"
        monkeypatch.setattr(applying, "AGAIN", 0.0)
        gallery.add(dull, cameras="2")
        assert not gallery.applied().trusted and "unlike" in gallery.applied().banner
        hits = gallery.search(dull.vectors[0], k=50)
        assert {hit.decision for hit in hits} == {"unsure"} and hits[0].distance == 0


def test_without_a_decision_there_is_nothing_to_apply(gallery_uri: str) -> None:
    with Gallery.open(gallery_uri, card(dim=16)) as gallery:
        gallery.add(bare(spread(2, 0.3)), cameras="1")
        assert gallery.applied() is None and gallery.search(np.ones(16, np.float32))[0].decision is None
