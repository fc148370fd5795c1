"""Carriers refuse what is wrong when they are built, and cannot be changed afterwards."""

from typing import Any

import numpy as np
import pytest

from resight.errors import DataError
from resight.records import Embeddings, Ranking, Report, Split


def split(**changes: Any) -> Split:
    values: dict[str, Any] = {"paths": ["a.jpg", "b.jpg", "c.jpg"], "identities": [3, -1, 0], "cameras": [1, 2, 1]}
    return Split(**values | changes)


def test_split_holds_columns_of_its_types() -> None:
    made = split(identities=np.array([3, 2, 1], np.uint8), columns={"times": [1.5, 2.5, 3.5]})
    assert len(made) == 3
    assert made.paths.dtype.kind == "U" and made.paths.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert made.identities.dtype == np.int64 and made.identities.tolist() == [3, 2, 1]
    assert made.cameras.dtype == np.int64
    assert made.columns["times"].tolist() == [1.5, 2.5, 3.5]


def test_an_empty_split_is_a_split() -> None:
    made = Split([], [], [])  # type: ignore[arg-type]
    assert len(made) == 0 and made.identities.dtype == np.int64 and len(made.take([])) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": [["a.jpg"]]}, r"Split.paths must have shape \(N,\) but has shape \(1, 1\)"),
        ({"paths": [1, 2, 3]}, "Split.paths must hold text"),
        ({"identities": [1, 2]}, "Split.identities has 2 values for 3 images"),
        ({"identities": [1.0, 2.0, 3.0]}, "Split.identities must hold integers"),
        ({"identities": ["1", "2", "3"]}, "Split.identities must hold integers"),
        ({"cameras": 4}, r"Split.cameras must have shape \(N,\)"),
        ({"columns": {"times": [1, 2]}}, "'times'.*has shape \\(2,\\) for 3 images"),
        ({"columns": {"times": 7}}, "'times'"),
    ],
)
def test_split_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(**changes)


def test_a_split_cannot_be_changed_and_does_not_share_memory_with_what_it_was_made_of() -> None:
    identities = np.array([3, 2, 1])
    times = np.array([1, 2, 3])
    made = split(identities=identities, columns={"times": times})
    identities[0] = times[0] = 99
    assert made.identities[0] == 3 and made.columns["times"][0] == 1
    for column in (made.paths, made.identities, made.cameras, made.columns["times"]):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]
    with pytest.raises(AttributeError):
        made.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.columns["new"] = times  # type: ignore[index]


def test_take_keeps_columns_in_step() -> None:
    made = split(columns={"times": [10, 20, 30]}, name="market")
    for which in ([2, 0], np.array([True, False, True])):
        taken = made.take(which)
        order = [2, 0] if isinstance(which, list) else [0, 2]
        assert taken.paths.tolist() == [made.paths[i] for i in order]
        assert taken.identities.tolist() == [made.identities[i] for i in order]
        assert taken.columns["times"].tolist() == [made.columns["times"][i] for i in order]
        assert taken.name == "market"
    assert made.take([0], name="one").name == "one"


def test_embeddings_become_float32_rows() -> None:
    made = Embeddings(np.arange(6, dtype=np.float64).reshape(2, 3)[:, ::-1], identities=[1, 2])  # type: ignore[arg-type]
    assert made.vectors.dtype == np.float32 and made.vectors.flags.c_contiguous
    assert made.vectors.tolist() == [[2, 1, 0], [5, 4, 3]]
    with pytest.raises(ValueError, match="read-only"):
        made.vectors[0, 0] = 7
    assert made.identities is not None and made.identities.dtype == np.int64
    assert made.cameras is None and made.paths is None and made.fingerprint == ""


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros(3), r"must have shape \(N, D\) with D >= 1 but has shape \(3,\)"),
        (np.zeros((3, 0)), r"\(3, 0\)"),
        (np.zeros((3, 4), np.int64), "must hold floats"),
        (np.array([[0.0], [1.0], [np.nan], [np.inf]]), "2 of 4 rows, first in row 2"),
        (np.array([[0.0], [1e39]]), "1 of 2 rows, first in row 1"),  # infinite in float32
    ],
)
def test_embeddings_refuse(vectors: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Embeddings(vectors)


def test_embeddings_refuse_columns_of_another_length() -> None:
    with pytest.raises(DataError, match=r"Embeddings\.cameras has 3 values for 2 images"):
        Embeddings(np.zeros((2, 4), np.float32), cameras=np.array([1, 2, 3]))


def test_embeddings_of_a_split_keep_its_columns() -> None:
    source = split(columns={"times": [1, 2, 3]})
    made = Embeddings.of(source, np.ones((3, 2), np.float32), "abc")
    assert made.identities is not None and made.cameras is not None and made.paths is not None
    assert (made.identities == source.identities).all() and (made.cameras == source.cameras).all()
    assert (made.paths == source.paths).all() and made.columns["times"].tolist() == [1, 2, 3]
    assert made.fingerprint == "abc" and len(made) == 3


def test_some_of_the_embeddings_keep_what_is_known_of_them() -> None:
    source = split(columns={"times": [1, 2, 3]})
    every = Embeddings.of(source, np.arange(6, dtype=np.float32).reshape(3, 2), "abc")
    for which in ([2, 0], np.array([True, False, True])):
        some = every.take(which)
        rows = np.arange(3)[which]
        assert some.vectors.tolist() == every.vectors[rows].tolist() and some.fingerprint == "abc"
        assert some.paths is not None and some.paths.tolist() == source.paths[rows].tolist()
        assert some.identities is not None and some.identities.tolist() == source.identities[rows].tolist()
        assert some.cameras is not None and some.columns["times"].tolist() == (rows + 1).tolist()
    bare = Embeddings(np.ones((2, 1), np.float32)).take([])
    assert len(bare) == 0 and bare.identities is None and bare.paths is None


def test_ranking_refuses_shapes_that_differ() -> None:
    made = Ranking(np.array([[1, 0]], np.int32), np.array([[0.5, 1.0]]))  # type: ignore[arg-type]
    assert made.indices.dtype == np.int64 and made.distances.dtype == np.float32
    with pytest.raises(DataError, match=r"\(1, 2\).*\(1, 3\)"):
        Ranking(np.zeros((1, 2), np.int64), np.zeros((1, 3), np.float32))


def test_a_report_in_words_and_numbers() -> None:
    made = Report(
        mAP=0.5,
        cmc={k: min(1.0, k / 10) for k in range(1, 51)},
        mINP=0.25,
        average_precision=np.array([0.5, np.nan]),
        first_match=np.array([2, 0]),
        queries=2,
        evaluated=1,
        dropped=1,
        gallery=5,
        protocol="market1501",
        metric="cosine",
    )
    assert "R1 10.00%" in str(made) and "mAP 50.00%" in str(made) and "2 queries: 1 evaluated, 1 without" in str(made)
    numbers = made.numbers()
    assert numbers["mAP"] == 0.5 and numbers["cmc"] == {"1": 0.1, "5": 0.5, "10": 1.0, "20": 1.0, "50": 1.0}
    assert "average_precision" not in numbers and "first_match" not in numbers
