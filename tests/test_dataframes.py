"""Embeddings as tables of pandas, polars and Arrow, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from resight import DataError, Embeddings, RecipeError
from resight.embedding import files

LIBRARIES = ("pandas", "polars", "pyarrow")


def embeddings() -> Embeddings:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    columns = {"tracks": np.arange(5), "boxes": np.arange(20.0).reshape(5, 4), "source": np.array(list("abcde"))}
    people, cameras = np.array([1, 2, 2, -1, 0]), np.array(["door", "yard", "door", "yard", "door"])
    paths = np.array([f"{at}.jpg" for at in range(5)])
    return Embeddings(vectors, people, cameras, paths, columns, "mine-1", "cosine")  # type: ignore[arg-type]


def same(one: Embeddings, other: Embeddings, about: bool = True) -> None:
    for name in ("vectors", "identities", "cameras", "paths"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name])
    assert not about or (one.fingerprint, one.metric) == (other.fingerprint, other.metric)


@pytest.mark.parametrize("library", LIBRARIES)
def test_there_and_back(library: str) -> None:
    pytest.importorskip(library)
    table = embeddings().to_dataframe(library)
    assert type(table).__module__.split(".")[0] == library and len(table) == 5
    same(embeddings(), Embeddings.from_dataframe(table), about=library != "polars")


def test_the_libraries_own_operations_work(tmp_path: Any) -> None:
    pandas = pytest.importorskip("pandas")
    table = embeddings().to_dataframe()
    door = Embeddings.from_dataframe(table[table.camera_names == "door"].sort_values("tracks", ascending=False))
    assert door.paths is not None and door.paths.tolist() == ["4.jpg", "2.jpg", "0.jpg"]
    np.testing.assert_array_equal(door.vectors, embeddings().vectors[[4, 2, 0]])
    pytest.importorskip("pyarrow")
    table.to_parquet(tmp_path / "pandas.parquet")
    same(embeddings(), files.read(tmp_path / "pandas.parquet"), about=False)
    files.save(tmp_path / "ours.parquet", embeddings())
    same(embeddings(), Embeddings.from_dataframe(pandas.read_parquet(tmp_path / "ours.parquet")), about=False)
    polars = pytest.importorskip("polars")
    same(embeddings(), Embeddings.from_dataframe(polars.read_parquet(tmp_path / "ours.parquet")), about=False)


@pytest.mark.parametrize("library", LIBRARIES)
def test_tables_of_others(library: str) -> None:
    """Other names, numbers of several columns, whole numbers, labels as text."""
    pytest.importorskip(library)
    numbers = np.arange(8, dtype=np.int64).reshape(4, 2)
    who = np.array(["anna", "ben", "anna", "cy"])
    columns = {"who": who, "f0": numbers[:, 0], "f1": numbers[:, 1].astype(float), "day": np.array([1, 2, 3, 4])}
    from resight import dataframes

    table = dataframes.write(columns, {}, library)
    found = Embeddings.from_dataframe(table, embedding=["f0", "f1"], identity="who")
    np.testing.assert_array_equal(found.vectors, numbers.astype(np.float32))
    assert found.columns["identity_names"].tolist() == who.tolist() and found.columns["day"].tolist() == [1, 2, 3, 4]
    assert found.identities is not None and found.identities[0] == found.identities[2] != found.identities[1]
    assert found.cameras is None and found.paths is None


def test_what_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    table = embeddings().to_dataframe()
    with pytest.raises(DataError, match=r"no column 'features' but path.*name the right one"):
        Embeddings.from_dataframe(table, embedding="features")
    with pytest.raises(DataError, match="person is no column of embeddings"):
        Embeddings.from_dataframe(table, person="identity")
    with pytest.raises(DataError, match=r"2 row\(s\) are without camera"):
        Embeddings.from_dataframe(table.assign(camera=[1.0, None, 2, None, 3]))
    ragged = table.assign(embedding=[*table.embedding[:4], np.zeros(2)])
    with pytest.raises(DataError, match="rows of embedding have different lengths"):
        Embeddings.from_dataframe(ragged)
    with pytest.raises(DataError, match="no table of pandas, polars or pyarrow"):
        Embeddings.from_dataframe({"embedding": [[1.0]]})
    with pytest.raises(RecipeError, match="choose pandas, polars or pyarrow"):
        embeddings().to_dataframe("dask")
    with pytest.raises(DataError, match="'path' has a name that means something else"):
        Embeddings(np.eye(2, dtype=np.float32), columns={"path": np.arange(2)}).to_dataframe()
    assert pandas.__name__ == "pandas"
