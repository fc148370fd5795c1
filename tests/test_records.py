"""Carriers refuse what is wrong when they are built, and cannot be changed afterwards."""

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resight.clustering.group import measure_groups
from resight.decisions.calibrate import calibrate
from resight.errors import DataError
from resight.labels import number_of
from resight.records import Embeddings, Ranking, Report, Split
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.rank import topk


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
        ({"identities": ["1", 2, "3"]}, "Split.identities must hold integers or text but holds int, str"),
        ({"identities": [True, False, True]}, "Split.identities must hold integers"),
        ({"identities": [1, 2, -2]}, "Split.identities has -2 in row 2: identities are 0 or more"),
        ({"identities": ["a", None, "b"]}, "Split.identities has no label in 1 of 3 rows, first in row 1"),
        ({"identities": ["a", "b", float("nan")]}, "first in row 2"),
        ({"identities": np.array(["a", np.nan, "b"])}, r"no label in 1 of 3 rows, first in row 1 \('nan'\)"),
        ({"identities": ["a", "b", ""]}, r"no label in 1 of 3 rows, first in row 2 \(''\)"),
        ({"cameras": np.array(["c1", "", "None"])}, "Split.cameras has no label in 2 of 3 rows"),
        ({"identities": [1, -1, 2], "junk": None}, "has -1 in row 1.*junk is not marked here"),
        ({"identities": np.array([1, 2, 2**63], np.uint64)}, "more than 64 bits"),
        ({"cameras": [[1], [2], [3]]}, r"Split.cameras must have shape \(N,\)"),
        ({"columns": 3}, "Split.columns must be a dictionary"),
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


def test_text_labels_are_the_same_numbers_in_every_array() -> None:
    one = split(identities=["Ann", "Bob", "junk"], cameras=["hall", "door", "hall"])
    other = split(identities=np.array(["Zoe", "Bob", "distractor"], object), cameras=np.array(["door", "yard", "hall"]))
    assert one.identities[1] == other.identities[1] and one.cameras[0] == other.cameras[2]
    assert len({*one.identities.tolist(), *other.identities.tolist()}) == 5
    assert one.identities[2] == -1 and other.identities[2] == 0
    assert all(0 < number < 2**53 for number in (*one.identities[:2].tolist(), *other.identities[:2].tolist()))
    assert one.columns["identity_names"].tolist() == ["Ann", "Bob", "junk"]
    assert one.columns["camera_names"].tolist() == ["hall", "door", "hall"]
    assert number_of("Ann") == one.identities[0] == 5_437_196_475_997_526  # a fixed number: files hold it
    again = replace(one, name="again")
    assert again.identities.tolist() == one.identities.tolist() and set(again.columns) == set(one.columns)


def test_markets_own_names_as_text() -> None:
    made = split(identities=["-1", "0000", "0002"])
    assert made.identities.tolist() == [-1, 0, number_of("0002")]
    assert split(identities=["0000", "0001", "0002"]).identities.min() > 0  # without junk beside it, 0000 is a person


@pytest.mark.parametrize("labels", [["b", "a", "b", "c"], np.array([0, 1, 0, 2], np.uint8), [7, 0, 7, 9]])
def test_an_explicit_argument_makes_every_label_an_identity(labels: Any) -> None:
    made = Embeddings(np.ones((4, 2), np.float32), labels, distractors=None)
    assert made.identities is not None and made.identities.min() > 0
    assert len(set(made.identities.tolist())) == 3 and made.identities[0] == made.identities[2]
    assert replace(made, fingerprint="x").identities.tolist() == made.identities.tolist()  # type: ignore[union-attr]
    assert pickle.loads(pickle.dumps(made)).identities.tolist() == made.identities.tolist()


def test_junk_and_distractors_by_any_label() -> None:
    made = split(identities=[99, 5, 0], junk=99, distractors=5)
    assert made.identities.tolist() == [-1, 0, 1]
    named = split(identities=["blurred", "stranger", "Ann"], junk="blurred", distractors="stranger")
    assert named.identities.tolist() == [-1, 0, number_of("Ann")]


def test_labels_as_pandas_keeps_them() -> None:
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["Ann", "Bob", "Ann"])
    plain = split(identities=["Ann", "Bob", "Ann"])
    assert split(identities=names).identities.tolist() == plain.identities.tolist()
    assert split(identities=names.astype("category")).identities.tolist() == plain.identities.tolist()
    assert split(identities=pandas.array([3, 1, 2], "Int64")).identities.tolist() == [3, 1, 2]
    for missing in (pandas.array([3, None, 2], "Int64"), pandas.Series(["Ann", None, "Bob"])):
        with pytest.raises(DataError, match="has no label in 1 of 3 rows, first in row 1"):
            split(identities=missing)


def test_masked_labels_and_bytes_of_another_encoding() -> None:
    masked = np.ma.masked_array([3, 1, 2], mask=[False, True, False])
    with pytest.raises(DataError, match="has no label in 1 of 3 rows, first in row 1"):
        split(identities=masked)
    assert split(identities=np.ma.masked_array([3, 1, 2])).identities.tolist() == [3, 1, 2]
    assert split(identities=[b"caf\xe9", b"b", b"b"]).identities[0] == number_of("caf\udce9")


def test_labels_from_zero_give_the_numbers_of_text_labels() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"person_{i % 10}" for i in range(40)])
    cameras = np.arange(40) // 20
    vectors = (rng.normal(size=(10, 16))[np.arange(40) % 10] + rng.normal(size=(40, 16))).astype(np.float32)
    from_zero = np.unique(names, return_inverse=True)[1]
    found = []
    for labels, options in ((names, {}), (from_zero, {}), (from_zero, {"distractors": None}), (from_zero + 1, {})):
        made = Embeddings(vectors, labels, cameras, **options)
        found.append(evaluate(made, made))
    assert {report.evaluated for report in found} == {40} and len({report.mAP for report in found}) == 1


def test_zero_is_a_person_among_queries_unless_it_is_said_to_mark_distractors() -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(35, 16))] * 2).astype(np.float32)
    numbers, cameras = np.arange(70) % 35, np.arange(70) // 35
    from_zero, from_one = Embeddings(vectors, numbers, cameras), Embeddings(vectors, numbers + 1, cameras)
    report, right = evaluate(from_zero, from_zero), evaluate(from_one, from_one)
    assert report.mAP == right.mAP and report.evaluated == 70 and report.identities.tolist() == numbers.tolist()
    assert topk(from_zero, from_zero, 3).indices.tolist() == topk(from_one, from_one, 3).indices.tolist()
    one, other = (calibrate(made, protocol="market1501", false_match_rate=0.01).facts for made in (from_zero, from_one))
    assert (one.queries, one.identities, one.genuine) == (other.queries, other.identities, other.genuine)
    assert measure_groups(cameras, numbers).images == 70

    said = Embeddings(vectors, numbers, cameras, distractors=0)
    junk = Embeddings(vectors, np.where(numbers == 9, -1, numbers), cameras)
    for made in (said, replace(said), pickle.loads(pickle.dumps(said))):
        assert evaluate(made, made).evaluated == 68
    with pytest.warns(UserWarning, match=r"2 queries have the identity 0.*beside junk \(-1\).*distractors=None"):
        assert evaluate(junk, junk).evaluated == 66
    asked = from_one.take(np.arange(35))
    assert evaluate(asked, from_zero).reasons == {"its identity is not in the gallery": 1}  # nobody asks for 0


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
    assert made[:2].paths.tolist() == made.take(slice(2)).paths.tolist() == ["a.jpg", "b.jpg"]
    assert made[[-1]].paths.tolist() == ["c.jpg"]


@pytest.mark.parametrize("which", [[True, False], [3], [-4], 1, [0.5], ["a"], [[0]]])
def test_take_refuses_what_is_no_choice_of_its_images(which: Any) -> None:
    with pytest.raises(DataError, match=r"Split\.take"):
        split().take(which)
    with pytest.raises(DataError, match=r"Embeddings\.take"):
        _ = Embeddings(np.ones((3, 1), np.float32))[which]
    with pytest.raises(TypeError, match="not iterable"):
        list(split())  # type: ignore[call-overload]


def test_a_tensor_that_requires_a_gradient_is_read() -> None:
    torch = pytest.importorskip("torch")
    made = Embeddings(torch.ones(2, 3, requires_grad=True), columns=None)  # type: ignore[arg-type]
    assert made.vectors.tolist() == [[1, 1, 1]] * 2 and not made.columns


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
    made = Embeddings.from_split(source, np.ones((3, 2), np.float32), "abc")
    assert made.identities is not None and made.cameras is not None and made.paths is not None
    assert (made.identities == source.identities).all() and (made.cameras == source.cameras).all()
    assert (made.paths == source.paths).all() and made.columns["times"].tolist() == [1, 2, 3]
    assert made.fingerprint == "abc" and len(made) == 3


def test_some_of_the_embeddings_keep_what_is_known_of_them() -> None:
    source = split(columns={"times": [1, 2, 3]})
    every = Embeddings.from_split(source, np.arange(6, dtype=np.float32).reshape(3, 2), "abc")
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


def test_each_is_shown_in_a_line() -> None:
    """As a notebook shows what a cell gives."""
    labels = ["a", "b"] * 500
    many = Embeddings(np.ones((1000, 512), np.float32), labels)
    assert repr(many) == "<Embeddings: 1,000 of 512 numbers, 2 identities, columns identity_names>"
    split = Split(labels, np.arange(1000) % 7, np.ones(1000, int), name="mine")
    assert repr(split) == "<Split 'mine': 1,000 images, 7 identities, 1 cameras>"
