"""The course system's folder as a data set."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from resight.datasets import load
from resight.datasets.splitting import answerable
from resight.errors import DataError, RecipeError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three train identities with two images each, three gallery images, three queries; no file is ever opened."""
    files = {
        "train_idloss.csv": "filepath,id\n" + "".join(f"train/{at}.jpg,{at // 2}\n" for at in range(6)),
        "train_random_triplet.csv": "anchor,positive,negative\n"
        "train/0.jpg,train/1.jpg,train/5.jpg\ntrain/4.jpg,train/5.jpg,train/2.jpg\n",
        "val/gt.csv": "query,gallery\n"
        "val/query/0.jpg,val/gallery/10.jpg\nval/query/1.jpg,val/gallery/0.jpg\nval/query/2.jpg,val/gallery/2.jpg\n",
        **{f"train/{at}.jpg": "" for at in range(6)},
        **{f"val/query/{at}.jpg": "" for at in range(3)},
        **{f"val/gallery/{at}.jpg": "" for at in (0, 2, 10)},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_folder_is_a_data_set(root: Path) -> None:
    data = load("course", root, num_identities=3)
    assert [Path(path).name for path in data.train.paths] == [f"{at}.jpg" for at in range(6)]
    assert data.train.identities.tolist() == [1, 1, 2, 2, 3, 3]
    assert [Path(path).name for path in data.gallery.paths] == ["0.jpg", "2.jpg", "10.jpg"]
    assert data.gallery.columns["numbers"].tolist() == [0, 2, 10]
    assert data.query.columns["numbers"].tolist() == [10, 0, 2]
    assert data.gallery.identities.tolist() == [4, 6, 14] and data.query.identities.tolist() == [14, 4, 6]
    assert data.protocol == "single_camera"
    for split in data.splits.values():
        assert not split.cameras.any()


def test_every_query_has_one_answer_and_nobody_is_trained_on_and_asked_about(root: Path) -> None:
    data = load("course", root)
    assert answerable(data.query, data.gallery, single_camera=True).all()
    assert not np.isin(data.train.identities, data.gallery.identities).any()
    for who in data.query.identities:
        assert (data.gallery.identities == who).sum() == 1


def test_triplets_are_indices_into_train(root: Path) -> None:
    data = load("course", root)
    assert data.triplets is not None and data.triplets.dtype == np.int64
    assert data.triplets.tolist() == [[0, 1, 5], [4, 5, 2]]
    (root / "train_random_triplet.csv").unlink()
    assert load("course", root).triplets is None


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("train/0.jpg,train/1.jpg,val/query/0.jpg", "val/query/0.jpg is not in train_idloss.csv"),
        ("train/0.jpg,train/2.jpg,train/4.jpg", "anchor, positive and negative have the ids 0, 1 and 2"),
        ("train/0.jpg,train/1.jpg,train/0.jpg", "anchor, positive and negative have the ids 0, 0 and 0"),
    ],
)
def test_a_wrong_triplet_is_named_with_its_line(root: Path, row: str, complaint: str) -> None:
    path = root / "train_random_triplet.csv"
    path.write_text(f"{path.read_text()}{row}\n")
    with pytest.raises(DataError, match=re.escape(f"{path} line 4: ") + f".*{re.escape(complaint)}"):
        load("course", root)


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 6: the id is '2': it must be a whole number from 0 to 1"):
        load("course", root, num_identities=2)
    with pytest.raises(RecipeError, match="num_identities"):
        load("course", root, identities=3)
    (root / "val" / "gt.csv").write_text("query,gallery\nquery/0.jpg,\n")
    with pytest.raises(DataError, match=r"gt\.csv has no answers in its column gallery"):
        load("course", root)
    (root / "val" / "gt.csv").unlink()
    with pytest.raises(DataError, match=r"gt\.csv does not exist"):
        load("course", root)
    with pytest.raises(DataError, match="is not a folder"):
        load("course", tmp_path / "nowhere")
