"""A table of images with labels: CSV, Parquet and data frames, with and without splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import write_noise
from resight.datasets import detect, load
from resight.errors import DataError, RecipeError
from resight.images.check import check
from resight.labels import number_of

ROWS = [
    (f"img/{who}_{at}.jpg", who, camera, at) for at, (who, camera) in enumerate((w, c) for w in "abcd" for c in "xyz")
]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for seed, (path, *_) in enumerate(ROWS):
        write_noise(tmp_path / path, seed=seed)
    return tmp_path


def columns(**more: Any) -> dict[str, Any]:
    names = ("path", "identity", "camera", "frame")
    return dict(zip(names, (np.array(column) for column in zip(*ROWS, strict=True)), strict=True)) | more


def written(path: Path, table: dict[str, Any]) -> Path:
    lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_csv_without_splits_is_divided(images: Path) -> None:
    path = written(images / "people.csv", columns())
    assert detect(path) == "table"
    data = load("table", path, seed=1)
    train, tested = (set(split.columns["identity_names"].tolist()) for split in (data.train, data.query))
    assert len(train) == len(tested) == 2 and not train & tested and data.protocol == "market1501"
    assert set(data.train.identities.tolist()) == set(map(number_of, train))
    assert sorted(data.train.columns) == ["camera_names", "frame", "identity_names"]
    assert data.train.columns["frame"].dtype == np.int64 and all(Path(p).is_file() for p in data.train.paths)
    assert data.fingerprint() == load("table", str(path), seed=1).fingerprint() != load("table", path).fingerprint()
    assert check(path) == []


def test_splits_of_the_table_are_kept_and_test_is_parted(images: Path) -> None:
    part = np.repeat(["train", "train", "Query", "gallery"], 3)
    part[6:] = ["query", "gallery", "gallery"] * 2
    data = load("table", written(images / "a.csv", columns(split=part)))
    assert [len(split) for split in data.splits.values()] == [6, 2, 4]
    part[6:] = "test"
    data = load("table", columns(split=part, path=[str(images / row[0]) for row in ROWS]))
    assert len(data.train) == 6 and len(data.query) + len(data.gallery) == 6 and len(data.query) >= 2
    part[0] = "val"
    with pytest.raises(DataError, match="has the split 'val': name each train, query, gallery or test"):
        load("table", written(images / "a.csv", columns(split=part)))


def test_data_frames_of_any_library(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas, arrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    monkeypatch.chdir(images)
    frame = pandas.DataFrame(columns(identity=np.repeat([0, 1, 2, 3], 3)))
    plain = load("table", frame)
    assert set(plain.train.identities.tolist()) | set(plain.query.identities.tolist()) == {1, 2, 3, 4}  # 0 is a person
    assert load("table", arrow.Table.from_pandas(frame)).fingerprint() == plain.fingerprint()
    frame.to_parquet(images / "a.parquet")
    assert detect(images / "a.parquet") == "table"
    assert load("table", images / "a.parquet").fingerprint() == plain.fingerprint()
    special = pandas.DataFrame(columns(identity=np.repeat([5, 6, -1, 0], 3), split=["query", "gallery", "gallery"] * 4))
    special.loc[6:, "split"] = "gallery"
    data = load("table", special, distractors=0)
    assert data.facts()["gallery"] | {"images": 10, "junk": 3, "distractors": 3} == data.facts()["gallery"]


def test_other_names_of_columns_no_camera_and_images_elsewhere(images: Path, tmp_path: Path) -> None:
    table = {"file": [row[0].removeprefix("img/") for row in ROWS], "who": [row[1] for row in ROWS]}
    (tmp_path / "far" / "away").mkdir(parents=True)
    path = written(tmp_path / "far" / "away" / "a.csv", table)
    data = load("table", path, images=images / "img", path="file", identity="who")
    assert data.protocol == "single_camera" and "no camera is known" in data.notes[0]
    with pytest.raises(DataError, match=r"row 1: a_0\.jpg is not in .*--set images="):
        load("table", path, path="file", identity="who")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": ["img/a_0.jpg"]}, "no column 'identity', only path"),
        (columns(identity=[None] * 12), "has no label in 12 of 12 rows"),
        (columns(path=[3] * 12), "no path in row 1 but 3"),
        (columns(identity=["a"] * 12), "has 1 identity"),
        (columns(frame=[1, 2]), "columns of different lengths"),
        (columns(split=["query"] * 12), "no query with a true match"),
        (7, "A table is a file, a data frame or a dictionary of columns, not int"),
    ],
)
def test_what_is_no_data_set(images: Path, table: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load("table", table, images=images)


def test_a_path_in_the_place_of_the_name(images: Path) -> None:
    with pytest.raises(RecipeError, match="The name of a data set is text"):
        load(images)  # type: ignore[arg-type]
