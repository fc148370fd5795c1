"""Embeddings on disk: what is read is what was written, and others can read it too."""

import sys
from pathlib import Path

import numpy as np
import pytest

from limits import files_no_larger_than
from resight.embedding.files import read, save
from resight.errors import DataError, ResightError
from resight.records import Embeddings
from resight.retrieval.evaluation.evaluate import evaluate

pytest.importorskip("pyarrow")


def some(count: int = 6, **changes: object) -> Embeddings:
    random = np.random.default_rng(1)
    columns = {
        "times": np.arange(count) * 3,
        "scores": random.random(count),
        "attributes": random.integers(0, 2, (count, 4)).astype(np.uint8),
        "split": np.array(["query", "gallery"] * count)[:count],
    }
    given = {
        "vectors": random.normal(size=(count, 8)).astype(np.float32),
        "identities": np.arange(count) // 2 - 1,
        "cameras": np.arange(count) % 2 + 1,
        "paths": np.array([f"a folder/ä{at}.jpg" for at in range(count)]),
        "columns": columns,
        "fingerprint": "abc123",
    }
    return Embeddings(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_what_is_read_is_what_was_written(suffix: str, tmp_path: Path) -> None:
    known = some()
    kinds = (known, Embeddings(known.vectors), some(identities=None, columns={}), known.take([]), some(1))
    for number, written in enumerate(kinds):
        path = tmp_path / f"{number}.{suffix}"
        save(path, written)
        found = read(path)
        np.testing.assert_array_equal(found.vectors, written.vectors)
        for name in ("identities", "cameras", "paths"):
            there, expected = getattr(found, name), getattr(written, name)
            assert (there is None) == (expected is None), name
            if expected is not None:
                np.testing.assert_array_equal(there, expected)
        assert set(found.columns) == set(written.columns) and found.fingerprint == written.fingerprint
        for name, column in written.columns.items():
            np.testing.assert_array_equal(found.columns[name], column)
            assert found.columns[name].dtype.kind == column.dtype.kind
    report = evaluate(read(tmp_path / f"0.{suffix}"), known)
    assert report.mAP == evaluate(known, known).mAP


def test_other_tools_read_the_files(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    known = some()
    save(tmp_path / "a.parquet", known)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), 8)
    assert table.column("path").to_pylist() == known.paths.tolist()  # type: ignore[union-attr]
    assert table.column("identity").to_pylist() == [-1, -1, 0, 0, 1, 1]
    np.testing.assert_array_equal(np.array(table.column("embedding").to_pylist(), np.float32), known.vectors)
    save(tmp_path / "a.npz", known)
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(arrays["embedding"], known.vectors)
        np.testing.assert_array_equal(arrays["camera"], known.cameras)
    theirs = {"embedding": [[1.0, 2.0], [3.0, 4.0]], "camera": [1, 2], "note": ["x", "y"]}
    pyarrow.parquet.write_table(pyarrow.table(theirs), tmp_path / "theirs.parquet")  # lists of any length, of doubles
    found = read(tmp_path / "theirs.parquet")
    assert found.vectors.tolist() == theirs["embedding"] and found.columns["note"].tolist() == ["x", "y"]
    assert found.cameras is not None and found.cameras.tolist() == [1, 2] and found.fingerprint == ""
    for rows, message in {
        ((1.0,), (1.0, 2.0)): "The rows of embedding have different lengths",
        (None, (1.0, 2.0)): r"1 row\(s\) are without embedding",
    }.items():
        pyarrow.parquet.write_table(pyarrow.table({"embedding": list(rows)}), tmp_path / "theirs.parquet")
        with pytest.raises(DataError, match=message):
            read(tmp_path / "theirs.parquet")


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_what_cannot_be_read_or_written(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a.{suffix}"
    with pytest.raises(DataError, match="does not exist"):
        read(path)
    save(path, some())
    whole = path.read_bytes()
    for damaged in (b"", b"no embeddings", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"a\.{suffix} holds no embeddings that can be read"):
            read(path)
    with pytest.raises(ResightError, match="cannot be written"), files_no_larger_than(200):
        save(tmp_path / f"full.{suffix}", some(100))
    (tmp_path / "file").touch()
    with pytest.raises(ResightError, match="cannot be written"):
        save(tmp_path / "file" / f"a.{suffix}", some())
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, "file"]
    for embeddings, message in {
        some(columns={"embedding": np.arange(6)}): "column 'embedding' has a name that means something else",
        some(columns={"cube": np.zeros((6, 2, 2))}): r"column 'cube' has shape \(6, 2, 2\)",
    }.items():
        with pytest.raises(DataError, match=message):
            save(path, embeddings)


def test_other_names_and_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.csv", "a", "npz"):
        with pytest.raises(DataError, match=r"must end in \.parquet or \.npz"):
            save(tmp_path / name, some())
        with pytest.raises(DataError, match=r"must end in \.parquet or \.npz"):
            read(tmp_path / name)
    np.savez(tmp_path / "other.npz", vectors=np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"other\.npz has no column 'embedding'"):
        read(tmp_path / "other.npz")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match="Parquet files need pyarrow"):
        save(tmp_path / "a.parquet", some())
    save(tmp_path / "a.npz", some())
