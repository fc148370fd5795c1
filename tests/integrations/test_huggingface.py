"""Data sets of Hugging Face's datasets: embedded, and written as a data set to evaluate on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import resight
from flat import flat_model
from resight.datasets import synthetic
from resight.errors import DataError
from resight.integrations.huggingface import embed_rows, to_table

hf = pytest.importorskip("datasets", reason="run by tools.integrations")
if not hasattr(hf, "ClassLabel"):  # the folder of tests of this name
    pytest.skip("run by tools.integrations", allow_module_level=True)


def rows(people: range, kind: str = "JPEG") -> Any:
    shots = [(person, camera) for person in people for camera in (1, 2)]
    pictures = []
    for person, camera in shots:
        file = io.BytesIO()
        Image.fromarray(synthetic.draw("person", person, camera, 0, size=(32, 16))).save(file, kind)
        pictures.append({"bytes": file.getvalue(), "path": f"{person}_{camera}.{kind.lower()}"})
    names = hf.ClassLabel(names=[f"p{at}" for at in range(10)])
    features = hf.Features({"image": hf.Image(), "label": names, "camera": hf.Value("string")})
    columns = {
        "image": pictures,
        "label": [person for person, _ in shots],
        "camera": [f"cam{camera}" for _, camera in shots],
    }
    return hf.Dataset.from_dict(columns, features=features)


def test_rows_are_embedded_with_their_labels() -> None:
    embedder = resight.Embedder(flat_model(16, 8), "torch", device="cpu")
    found = embed_rows(embedder, rows(range(1, 4), "PNG"), identity="label", camera="camera")
    drawn = [synthetic.draw("person", person, camera, 0, size=(32, 16)) for person in (1, 2, 3) for camera in (1, 2)]
    np.testing.assert_array_equal(found.vectors, embedder(drawn).vectors)
    assert found.columns["identity_names"].tolist() == ["p1", "p1", "p2", "p2", "p3", "p3"]
    assert found.columns["camera_names"].tolist() == ["cam1", "cam2"] * 3
    assert embed_rows(embedder, rows(range(1, 3))).identities is None
    with pytest.raises(DataError, match="no column 'person' but image, label, camera"):
        embed_rows(embedder, rows(range(1, 2)), identity="person")


def test_splits_become_a_data_set(tmp_path: Path) -> None:
    splits = {"train": rows(range(1, 3)), "query": rows(range(3, 6)), "gallery": rows(range(3, 6), "PNG")}
    table = to_table(splits, tmp_path / "set")
    data = resight.datasets.load("table", table)
    assert (len(data.train), len(data.query), len(data.gallery)) == (4, 6, 6)
    first = Path(str(data.train.paths[0]))
    assert (
        first.suffix == ".jpeg"
        and first.read_bytes() == splits["train"].cast_column("image", hf.Image(decode=False))[0]["image"]["bytes"]
    )  # as it was encoded
    assert set(data.query.columns["identity_names"].tolist()) == {"p3", "p4", "p5"}
    with pytest.raises(DataError, match="'test' is no split"):
        to_table({"test": rows(range(1, 2))}, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_rows_without_a_camera(tmp_path: Path) -> None:
    splits = {"query": rows(range(1, 4)).remove_columns("camera"), "gallery": rows(range(1, 4), "PNG")}
    data = resight.datasets.load("table", to_table(splits, tmp_path / "set", camera=""))
    assert data.protocol == "single_camera" and len(data.query) == len(data.gallery) == 6


def test_rows_that_lack_something_are_named(tmp_path: Path) -> None:
    embedder = resight.Embedder(flat_model(16, 8), "torch", device="cpu")
    whole = rows(range(1, 3))
    for label in (-1, None):  # both mean that a class label is not known
        some = whole.map(lambda _, at, label=label: {"label": label if at == 2 else 1}, with_indices=True)
        with pytest.raises(DataError, match="1 of 4 rows have no label, first row 2"):
            to_table({"query": some}, tmp_path / "set")
        with pytest.raises(DataError, match="1 of 4 rows have no label, first row 2"):
            embed_rows(embedder, some, identity="label")
    gone, none = tmp_path / "gone.png", whole.cast_column("image", hf.Image(decode=False)).to_dict()
    for picture, message in ((None, "has no picture"), ({"path": str(gone), "bytes": None}, str(gone))):
        columns = none | {"image": [*none["image"][:3], picture]}
        some = hf.Dataset.from_dict(columns, features=whole.features)
        with pytest.raises(DataError, match=message):
            to_table({"query": some}, tmp_path / "set")
        with pytest.raises(DataError, match=f"ow 3.*{message}"):
            embed_rows(embedder, some)
    assert not (tmp_path / "set").exists()
