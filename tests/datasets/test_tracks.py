"""VeRi-776 from image to track, on a hand-made copy."""

from pathlib import Path

import numpy as np
import pytest

from conftest import write_noise
from resight.datasets import load
from resight.errors import DataError, RecipeError
from resight.records import Embeddings
from resight.retrieval.evaluation.evaluate import evaluate

GALLERY = [
    "0007_c002_00030600_0.jpg",
    "0007_c003_00030605_2.jpg",
    "0007_c003_00030610_2.jpg",
    "0008_c001_00000009_0.jpg",
]
TRACKS = f"{GALLERY[0]} \n\n{GALLERY[2]} {GALLERY[1]} \n{GALLERY[3]}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = [f"image_train/{who:04d}_c00{camera}_0000000{who}_0.jpg" for who in (1, 2) for camera in (1, 2)]
    images += ["image_query/0007_c002_00030600_0.jpg", *(f"image_test/{name}" for name in GALLERY)]
    for seed, name in enumerate(images):
        write_noise(tmp_path / "VeRi" / name, 8, 8, seed)
    (tmp_path / "VeRi" / "test_track.txt").write_text(TRACKS)
    return tmp_path / "VeRi"


def test_gallery_images_know_their_track(root: Path) -> None:
    data = load("veri776", root, strict=False, tracks=True)
    assert data.protocol == "image_to_track" and data.gallery.columns["tracks"].tolist() == [1, 3, 3, 4]
    assert data.gallery.columns["times"].tolist() == [30600, 30605, 30610, 9]
    plain = load("veri776", root, strict=False)
    assert plain.protocol == "market1501" and set(plain.gallery.columns) == {"times"}
    query = Embeddings.from_split(data.query, np.float32([[0]]))
    gallery = Embeddings.from_split(data.gallery, np.float32([[0], [9], [1], [2]]))
    assert evaluate(query, gallery, protocol=data.protocol).mAP == 1
    assert evaluate(query, gallery).mAP == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_a_list_that_does_not_fit_is_refused(root: Path) -> None:
    listed = root / "test_track.txt"
    listed.write_text(TRACKS.replace(GALLERY[3], ""))
    with pytest.raises(DataError, match=rf"test_track\.txt has 1 of 4 gallery images in no track, first {GALLERY[3]}"):
        load("veri776", root, strict=False, tracks=True)
    listed.write_text(f"{TRACKS}{GALLERY[1]}\n")
    with pytest.raises(DataError, match=rf"test_track\.txt has {GALLERY[1]} in lines 3 and 5: take it out of one"):
        load("veri776", root, strict=False, tracks=True)
    listed.unlink()
    with pytest.raises(DataError, match=r"test_track\.txt cannot be read"):
        load("veri776", root, strict=False, tracks=True)
    with pytest.raises(RecipeError, match="veri776 has no tracks of its train images"):
        load("veri776", root, strict=False, tracks=True, fold="validation")
