"""The course system's CSV files: what is read, and which line is blamed when it cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resight.datasets.tables import (
    base_of,
    read_gallery,
    read_idloss,
    read_retrieval,
    read_table,
    read_triplets,
    retrieval,
)
from resight.errors import DataError

Place = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """``place("train/0.jpg", ...)`` makes files below the test's folder, which tables never open."""

    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return make


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_idloss_gives_paths_and_ids_in_the_order_of_the_file(place: Place) -> None:
    root = place("train/b.jpg", "train/a.jpg", "train/c, d.jpg")
    csv = written(root / "train_idloss.csv", "filepath,id", "train/b.jpg,7", "train/a.jpg,0", '"train/c, d.jpg",7')
    paths, ids = read_idloss(csv)
    assert paths.tolist() == [f"{root}/train/b.jpg", f"{root}/train/a.jpg", f"{root}/train/c, d.jpg"]
    assert ids.dtype == np.int64 and ids.tolist() == [7, 0, 7]


@pytest.mark.parametrize(
    "text",
    [
        "id,filepath\r\n3,1.jpg\r\n",
        "\ufefffilepath, id\n1.jpg, 3",
        '"filepath","id"\n"1.jpg","3"\n',
        "filepath;id\n1.jpg;3\n",
        '"filepath"\t"id"\r\n1.jpg\t3\r\n',
        ",filepath,id\n0,1.jpg,3\n",
        "Unnamed: 0,filepath,id\n0,.\\1.jpg,3\n",
        "filepath,id\n1.jpg,3\n\n\n",
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_csv_as_other_programs_write_it(place: Place, text: str, coding: str) -> None:
    root = place("1.jpg")
    (root / "a.csv").write_bytes(text.removeprefix("\ufeff" if coding == "utf-16" else "").encode(coding))
    paths, ids = read_idloss(root / "a.csv")
    assert (paths.tolist(), ids.tolist()) == ([f"{root}/1.jpg"], [3])


def test_a_file_whose_name_has_a_backslash_is_found_by_it(place: Place) -> None:
    root = place("a\\1.jpg", "a/1.jpg")
    csv = written(root / "a.csv", "filepath,id", "a\\1.jpg,3")
    assert read_idloss(csv)[0].tolist() == [f"{root}/a\\1.jpg"]


def test_other_columns_are_read_where_they_are_welcome(place: Place) -> None:
    csv = written(place() / "a.csv", "id,seen,filepath", "3,,1.jpg")
    table = read_table(csv, ("filepath", "id"), others=True)
    assert dict(table.columns) == {"id": ("3",), "seen": ("",), "filepath": ("1.jpg",)}
    with pytest.raises(DataError, match="lacks 'camera': the columns must include camera"):
        read_table(csv, ("camera",), others=True)


def test_a_path_counts_from_the_csv_then_from_the_folder_above_then_from_the_working_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = place("set/val/a.jpg", "set/a.jpg", "set/b.jpg", "work/a.jpg", "work/b.jpg", "work/c.jpg", "far.jpg")
    csv = written(root / "set/val/gt.csv", "filepath,id", "a.jpg,0", "b.jpg,0", "c.jpg,0", f"{root}/far.jpg,0")
    monkeypatch.chdir(root / "work")
    names = ["set/val/a.jpg", "set/b.jpg", "work/c.jpg", "far.jpg"]
    assert read_idloss(csv)[0].tolist() == [f"{root}/{name}" for name in names]
    assert base_of("../set/val/gt.csv", "./../val/a.jpg") == Path("../set/val").absolute()
    assert base_of(csv, "d.jpg") is None and base_of(csv, "x" * 5000) is None


def test_paths_from_a_relative_csv_are_absolute_and_stay_good(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    root = place("set/val/../a.jpg", "set/val/b.jpg")
    written(root / "set/val/x.csv", "filepath,id", "../a.jpg,0", "val/b.jpg,1")
    monkeypatch.chdir(root)
    paths = read_idloss("set/val/x.csv")[0]
    assert paths.tolist() == [f"{root}/set/a.jpg", f"{root}/set/val/b.jpg"]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "line 1: the header lacks 'filepath', 'id': the columns must be filepath,id"),
        (["filepath", "0.jpg"], "line 1: the header lacks 'id'"),
        (["filepath,id,camera", "0.jpg,1,2"], "line 1: the header has 'camera' too many"),
        (["filepath,id,id", "0.jpg,1,2"], "line 1: the header has 'id' too many"),
        (["0.jpg,1"], "line 1: the header lacks 'filepath', 'id'"),
        (["filepath,id"], "has a header but no rows"),
        (["filepath,id", "0.jpg,1", "", "1.jpg,1"], "line 3: the row is empty"),
        (["filepath,id", "0.jpg,1", ","], "line 3: the row is empty"),
        (["filepath,id", "0.jpg,1", "1.jpg"], "line 3: the row has 1 cell(s) for 2 columns"),
        (["filepath,id", "0.jpg,1,2"], "line 2: the row has 3 cell(s) for 2 columns"),
        (["filepath,id", "0.jpg,1", "1.jpg,"], "line 3: the cell of id is empty"),
        (["filepath,id", ",1"], "line 2: the cell of filepath is empty"),
        (["filepath,id", "0.jpg,1", "2.jpg,1"], "line 3: 2.jpg is neither in the CSV's folder"),
        (["filepath,id", "0.jpg,-1"], "line 2: the id is '-1': it must be a whole number from 0 to 229"),
        (["filepath,id", "0.jpg,229", "1.jpg,230"], "line 3: the id is '230'"),
        (["filepath,id", "0.jpg,1.0"], "line 2: the id is '1.0'"),
        (["filepath,id", "0.jpg,²"], "line 2: the id is '²'"),
        (["filepath,id", "0.jpg,99999999999999999999"], "line 2: the id is '9"),
        (["filepath,id", "0.jpg,1", "1.jpg,2", "./0.jpg,1"], "line 4: it repeats line 2"),
        (["filepath,id", "0.jpg,1", '"1.jpg,2'], "line 3: this is not CSV"),
    ],
)
def test_a_wrong_line_is_named_and_a_cure_is_given(place: Place, lines: list[str], complaint: str) -> None:
    root = place("0.jpg", "1.jpg")
    csv = written(root / "a.csv", *lines)
    with pytest.raises(DataError, match=re.escape(f"{csv} {complaint}")) as caught:
        read_idloss(csv, 230)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ": " in message[len(str(csv)) :]


def test_without_a_number_of_identities_any_id_from_0_on_will_do(place: Place) -> None:
    csv = written(place("0.jpg") / "a.csv", "filepath,id", "0.jpg,230")
    assert read_idloss(csv)[1].tolist() == [230] == read_idloss(csv, 231)[1].tolist()


def test_no_csv_and_no_text_are_refused(place: Place) -> None:
    root = place()
    with pytest.raises(DataError, match=r"a\.csv does not exist"):
        read_table(root / "a.csv", ("id",))
    (root / "a.csv").write_bytes("filepath,id\nMäx.jpg,0\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 text"):
        read_table(root / "a.csv", ("id",))


def test_triplets_are_three_paths_a_row(place: Place) -> None:
    root = place("0.jpg", "1.jpg", "2.jpg")
    csv = written(root / "t.csv", "negative,anchor,positive", "2.jpg,0.jpg,1.jpg", "2.jpg,1.jpg,0.jpg")
    assert read_triplets(csv).tolist() == [[f"{root}/{at}.jpg" for at in row] for row in ((0, 1, 2), (1, 0, 2))]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["anchor,positive", "0.jpg,1.jpg"], "line 1: the header lacks 'negative'"),
        (["anchor,positive,negative", "0.jpg,1.jpg,3.jpg"], "line 2: 3.jpg is neither"),
        (["anchor,positive,negative", *["0.jpg,1.jpg,2.jpg"] * 2], "line 3: it repeats line 2"),
    ],
)
def test_a_wrong_triplet_is_named(place: Place, lines: list[str], complaint: str) -> None:
    csv = written(place("0.jpg", "1.jpg", "2.jpg") / "t.csv", *lines)
    with pytest.raises(DataError, match=re.escape(f"{csv} {complaint}")):
        read_triplets(csv)


def test_retrieval_has_answers_or_none(place: Place) -> None:
    root = place("query/0.jpg", "query/1.jpg", "gallery/0.jpg")
    queries = [f"{root}/query/0.jpg", f"{root}/query/1.jpg"]
    gt = written(root / "gt.csv", "query,gallery", "query/0.jpg,gallery/0.jpg", "query/1.jpg,gallery/0.jpg")
    found = read_retrieval(gt)
    assert found[0].tolist() == queries and found[1].tolist() == [f"{root}/gallery/0.jpg"] * 2
    pred = written(root / "pred.csv", "query,gallery", "query/0.jpg,", "query/1.jpg,")
    found = read_retrieval(pred)
    assert found[0].tolist() == queries and found[1].shape == (0,)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["query/0.jpg,gallery/0.jpg", "query/1.jpg,"], "line 3: the cell of gallery is empty, but others are filled"),
        (["query/0.jpg,", "query/0.jpg,"], "line 3: it repeats line 2"),
        (["query/0.jpg,gallery/5.jpg"], "line 2: gallery/5.jpg is neither"),
        (["query/0.jpg,query/1.jpg"], "line 2: {}/query/1.jpg is not in the gallery folder"),
    ],
)
def test_a_wrong_answer_is_named(place: Place, rows: list[str], complaint: str) -> None:
    root = place("query/0.jpg", "query/1.jpg", "gallery/0.jpg")
    csv = written(root / "gt.csv", "query,gallery", *rows)
    with pytest.raises(DataError, match=re.escape(f"{csv} {complaint.format(root)}")):
        retrieval(csv)


def test_the_gallery_stands_in_the_order_of_its_numbers(place: Place) -> None:
    root = place("gallery/10.jpg", "gallery/9.png", "gallery/0002.jpg", "gallery/Thumbs.db", "gallery/.3.jpg")
    paths, numbers = read_gallery(root / "gallery")
    assert paths.tolist() == [f"{root}/gallery/{name}" for name in ("0002.jpg", "9.png", "10.jpg")]
    assert numbers.tolist() == [2, 9, 10]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["a.jpg"], "gallery/a.jpg is not named by a number"),
        (["-1.jpg"], "gallery/-1.jpg is not named by a number"),
        (["7.jpg", "07.jpg"], "have the same number"),
        (["notes.txt"], "gallery holds no images"),
        ([], "gallery is not a folder"),
    ],
)
def test_a_gallery_without_order_is_refused(place: Place, names: list[str], complaint: str) -> None:
    root = place(*(f"gallery/{name}" for name in names))
    with pytest.raises(DataError, match=complaint):
        read_gallery(root / "gallery")


def test_answers_are_places_in_the_gallery_not_numbers(place: Place) -> None:
    root = place("query/0.jpg", "query/1.jpg", *(f"gallery/{number}.jpg" for number in (2, 3, 5, 11)))
    csv = written(root / "gt.csv", "query,gallery", "query/1.jpg,gallery/11.jpg", "query/0.jpg,gallery/3.jpg")
    found = retrieval(csv)
    assert found.answers.tolist() == [3, 1] and found.numbers.tolist() == [2, 3, 5, 11]
    assert [found.gallery[at] for at in found.answers] == read_retrieval(csv)[1].tolist()
    assert found.queries.tolist() == [f"{root}/query/1.jpg", f"{root}/query/0.jpg"]
    assert retrieval(csv, answers=False).answers.tolist() == [-1, -1]
    empty = written(root / "pred.csv", "query,gallery", "query/1.jpg,", "query/0.jpg,")
    assert retrieval(empty).answers.tolist() == [-1, -1]


def test_old_answers_that_are_gone_do_not_matter_where_none_are_read(place: Place) -> None:
    csv = written(place("query/0.jpg", "gallery/0.jpg") / "pred.csv", "query,gallery", "query/0.jpg,gone.jpg")
    assert retrieval(csv, answers=False).answers.tolist() == [-1]
    with pytest.raises(DataError, match=r"line 2: gone\.jpg"):
        retrieval(csv)
