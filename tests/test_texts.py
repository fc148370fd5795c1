"""One long path costs its own length, not that of every path; and text stays text wherever it is kept."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from resight.embedding.files import read, save
from resight.records import Embeddings, Split
from resight.texts import packed, texts, unpacked

COUNT = 20_000
LONG = "/".join(["folder" * 40] * 13) + "/1.jpg"  # 3,138 characters


def test_one_long_path_costs_no_more_than_its_own_length() -> None:
    paths = [f"images/{at % 500:04d}_c1_{at:06d}.jpg" for at in range(COUNT - 1)] + [LONG]
    zeros = np.zeros(COUNT, np.int64)
    tracemalloc.start()
    split = Split(paths, zeros, zeros)  # type: ignore[arg-type]
    half = split.take(np.arange(0, COUNT, 2))
    made = Embeddings(np.ones((COUNT, 1), np.float32), zeros, zeros, split.paths)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6 < 4 * len(LONG) * COUNT  # of 251 MB in one width
    assert split.paths.tolist() == paths and half.paths.tolist() == paths[::2]
    assert all(type(path) is str for path in made.paths[:3].tolist())  # type: ignore[index]


def test_texts_have_one_width_unless_that_is_a_waste() -> None:
    assert texts(["a.jpg", "bb.jpg"]).dtype == "<U6" and texts([]).shape == (0,)
    assert texts(["x" * 90, "y" * 200]).dtype.kind == "U"
    mixed = texts(["a.jpg"] * 100 + [LONG])
    assert mixed.dtype == object and mixed[100] == LONG
    odd = texts(["\udcff\u4eba.jpg", "", LONG, "b" * 7])
    assert unpacked(packed(odd)).tolist() == odd.tolist()


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_paths_of_any_length_are_stored(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    paths = ["a.jpg"] * 50 + [LONG] + (["\udcff.jpg"] if suffix == ".npz" else ["b.jpg"])
    count = np.arange(1, len(paths) + 1)
    made = Embeddings(np.eye(len(paths), dtype=np.float32), count, count, paths)  # type: ignore[arg-type]
    save(tmp_path / f"e{suffix}", made)
    for again in (read(tmp_path / f"e{suffix}"), pickle.loads(pickle.dumps(made)), made.take(slice(None))):
        assert again.paths.tolist() == paths and again.identities.tolist() == count.tolist()  # type: ignore[union-attr]
    size = (tmp_path / f"e{suffix}").stat().st_size
    assert size < 4 * len(LONG) * len(paths) / 5
