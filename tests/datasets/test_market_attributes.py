from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

from conftest import SHARED
from resight.datasets import load
from resight.datasets.market_attributes import (
    ATTRIBUTES,
    PREDICTED,
    UNKNOWN,
    Annotation,
    official_columns,
    prediction_table,
    read_annotation,
)
from resight.errors import DataError, RecipeError

YES_NO = ["backpack", "bag", "handbag", "clothes", "down", "up", "hair", "hat", "gender"]
UP = ["upblack", "upwhite", "upred", "uppurple", "upyellow", "upgray", "upblue", "upgreen"]
DOWN = [f"down{colour}" for colour in ["black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown"]]
FIELDS = ["age", *YES_NO, *UP, *DOWN]

# train and test identities with the value 2, counted by others
COUNTS = {
    "gender": (320, 336), "hair": (245, 275), "up": (712, 705), "down": (457, 488), "clothes": (641, 665),
    "hat": (20, 23), "backpack": (199, 187), "bag": (185, 185), "handbag": (86, 76),
    "young": (14, 2), "teenager": (569, 640), "adult": (160, 103), "old": (8, 5),
    "upblack": (113, 109), "upwhite": (228, 208), "upred": (78, 76), "uppurple": (30, 24),
    "upyellow": (36, 61), "upgray": (86, 106), "upblue": (46, 52), "upgreen": (56, 45), "upmulticolor": (78, 69),
    "downblack": (293, 287), "downwhite": (58, 50), "downpink": (29, 20), "downpurple": (2, 0), "downyellow": (10, 1),
    "downgray": (123, 126), "downblue": (123, 154), "downgreen": (14, 20), "downbrown": (69, 48),
    "downmulticolor": (30, 44),
}  # fmt: skip


@pytest.fixture(scope="module")
def mat() -> Path:
    path = SHARED / "data" / "market1501_attribute" / "market_attribute.mat"
    if not path.is_file():
        pytest.skip(f"needs Market-1501's attributes at {path}")
    return path


@pytest.fixture(scope="module")
def raw(mat: Path) -> dict[str, Any]:
    found = loadmat(mat, squeeze_me=True, struct_as_record=False)["market_attribute"]
    return {"train": found.train, "test": found.test}


def row(**changed: int) -> list[int]:
    """32 answers, all no but for ``changed`` and what always holds: an age, and a colour or none."""
    answers = dict.fromkeys(ATTRIBUTES, 0) | {"teenager": 1, "upmulticolor": 1, "downmulticolor": 1} | changed
    return [answers[name] for name in ATTRIBUTES]


def write_csv(path: Path, people: dict[int, dict[str, int]], columns: list[str] = FIELDS) -> Path:
    """Annotations in 1/2 coding, where what ``people`` do not say is 1 (age 2)."""
    lines = [",".join(["id", *columns])]
    for identity, said in people.items():
        lines.append(
            ",".join([f"{identity:04d}", *(str(said.get(name, 2 if name == "age" else 1)) for name in columns)])
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_order_of_the_attributes() -> None:
    assert list(ATTRIBUTES) == [
        *YES_NO, *UP, *DOWN, "upmulticolor", "downmulticolor", "young", "teenager", "adult", "old"
    ]  # fmt: skip
    assert len(ATTRIBUTES) == 32 and len(PREDICTED) == 29
    assert list(PREDICTED) == ["age", *YES_NO, *UP, "upmulticolor", *DOWN, "downmulticolor"]


def test_the_statistics_of_the_real_annotation(mat: Path) -> None:
    parts = read_annotation(mat)
    assert list(parts) == ["train", "test"] and set(COUNTS) == set(ATTRIBUTES)
    assert [len(part.identities) for part in parts.values()] == [751, 750]
    for a, name in enumerate(ATTRIBUTES):
        assert tuple(int(part.values[:, a].sum()) for part in parts.values()) == COUNTS[name], name
    assert parts["train"].names == ATTRIBUTES


def test_each_real_identity_has_its_own_values(mat: Path, raw: dict[str, Any]) -> None:
    """Against the fields themselves, one identity and one field at a time."""
    for key, part in read_annotation(mat).items():
        assert part.identities.tolist() == [int(text) for text in raw[key].image_index]
        for i in range(0, len(part.identities), 7):
            said = dict(zip(ATTRIBUTES, part.values[i].tolist(), strict=True))
            for name in [*YES_NO, *UP, *DOWN]:
                assert said[name] == getattr(raw[key], name)[i] - 1
            assert [said[age] for age in ("young", "teenager", "adult", "old")].index(1) == raw[key].age[i] - 1
            assert said["upmulticolor"] == (not any(said[name] for name in UP))


def test_the_official_columns_of_the_real_annotation(mat: Path, raw: dict[str, Any]) -> None:
    up = ["upblack", "upwhite", "upred", "uppurple", "upgray", "upblue", "upgreen", "upyellow"]
    down = [
        f"down{colour}" for colour in ["black", "white", "pink", "gray", "blue", "green", "brown", "yellow", "purple"]
    ]
    names = ["gender", "hair", "age", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"]
    for key, part in read_annotation(mat).items():
        found = official_columns(part.values)
        assert found.shape == (len(part.identities), 12) and found.dtype == np.int64
        for i in range(len(found)):
            wanted = [int(getattr(raw[key], name)[i]) for name in names]
            for colours in (up, down):
                worn = [place for place, name in enumerate(colours, 1) if getattr(raw[key], name)[i] == 2]
                wanted.append(worn[0] if worn else 0)
            assert found[i].tolist() == wanted
    assert official_columns(np.full((2, 32), UNKNOWN)).tolist() == [[0] * 12] * 2


def test_a_table_of_predictions_is_coded_like_the_annotation(mat: Path, raw: dict[str, Any]) -> None:
    values = np.concatenate([part.values for part in read_annotation(mat).values()])
    values = np.concatenate([values, np.full((1, 32), UNKNOWN, dtype=np.uint8)])
    table = prediction_table(values)
    assert set(np.unique(table[:-1, 1:])) == {1, 2} and set(np.unique(table[:-1, 0])) == {1, 2, 3, 4}
    for c, name in enumerate(PREDICTED):
        if not name.endswith("multicolor"):
            np.testing.assert_array_equal(table[:751, c], getattr(raw["train"], name))
    assert not table[-1].any()


def test_probabilities_become_answers() -> None:
    chances = np.full((1, 32), 0.1)
    chances[0, [ATTRIBUTES.index(name) for name in ("hat", "upred", "upblack")]] = 0.5
    chances[0, ATTRIBUTES.index("adult")] = 0.2
    (answers,) = prediction_table(chances).tolist()
    said = dict(zip(PREDICTED, answers, strict=True))
    assert said["age"] == 3
    assert sorted(name for name, value in said.items() if value == 2 and name != "age") == ["hat", "upblack", "upred"]


def test_a_table_of_predictions_may_name_a_colour_beside_many() -> None:
    both = row(upred=1)  # as a model may predict it: a colour and multi-colour
    answers = dict(zip(PREDICTED, prediction_table([both])[0].tolist(), strict=True))
    assert answers["upred"] == answers["upmulticolor"] == 2 and answers["upblue"] == 1
    for function in (prediction_table, official_columns):
        with pytest.raises(DataError, match=r"must be \(N, 32\) but are \(1, 29\)"):
            function(np.ones((1, 29)))


def test_a_csv_is_read_by_its_header(tmp_path: Path) -> None:
    people = {7: {"age": 4, "hat": 2, "upred": 2, "downpurple": 2}, 2: {"gender": 2}}
    shuffled = [FIELDS[i] for i in np.random.default_rng(0).permutation(len(FIELDS))]
    for columns in (FIELDS, shuffled):
        part = read_annotation(write_csv(tmp_path / "annotations_train.csv", people, columns))["train"]
        assert part.identities.tolist() == [7, 2]
        worn = row(teenager=0, old=1, hat=1, upred=1, downpurple=1, upmulticolor=0, downmulticolor=0)
        assert part.values.tolist() == [worn, row(gender=1)]


@pytest.mark.parametrize(
    ("people", "columns", "message"),
    [
        ({1: {}}, FIELDS[1:], "line 1: the header lacks 'age'"),
        ({}, FIELDS, "has a header but no rows"),
        ({1: {"hat": 3}}, FIELDS, "hat 3 of identity 1, but it must be from 1 to 2"),
        ({1: {"age": 0}}, FIELDS, "age 0 of identity 1, but it must be from 1 to 4"),
    ],
)
def test_a_wrong_csv_is_refused(
    tmp_path: Path, people: dict[int, dict[str, int]], columns: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_annotation(write_csv(tmp_path / "a.csv", people, columns))


def test_other_wrong_files_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", {1: {}})
    path.write_text(path.read_text().replace("0001", "one"))
    with pytest.raises(DataError, match=r"a\.csv line 2: id is 'one', which is no whole number"):
        read_annotation(path)
    path.write_text('id,age\n1,"2"3\n')
    with pytest.raises(DataError, match=r"a\.csv line 2: this is not CSV"):
        read_annotation(path)
    with pytest.raises(DataError, match="Identity 3 is annotated more than once"):
        Annotation(np.array([1, 3, 3]), np.zeros((3, 32), dtype=np.uint8))
    with pytest.raises(DataError, match=r"has shape \(2, 31\) for 2 identities and 32 names"):
        Annotation(np.array([1, 3]), np.zeros((2, 31), dtype=np.uint8))
    (tmp_path / "market_attribute.mat").write_bytes(b"no matlab")
    with pytest.raises(DataError, match=r"market_attribute\.mat is not the market_attribute\.mat of"):
        read_annotation(tmp_path / "market_attribute.mat")
    with pytest.raises(DataError, match="cannot be read"):
        read_annotation(tmp_path / "nowhere.mat")


def test_images_get_the_attributes_of_their_identity(tiny_market, tmp_path: Path) -> None:
    said = {who: {YES_NO[who]: 2} for who in (1, 2, 3, 4, 6, 7)}  # nobody wrote of 5
    attributes = write_csv(tmp_path / "a.csv", said)
    data = load("market1501_attributes", tiny_market(), strict=False, attributes=attributes)
    assert data.attributes == ATTRIBUTES and data.name == "market1501_attributes"
    for split in data.splits.values():
        values = split.columns["attributes"]
        assert values.shape == (len(split), 32) and values.dtype == np.uint8
        for who, found in zip(split.identities.tolist(), values.tolist(), strict=True):
            assert found == (row(**{YES_NO[who]: 1}) if who in said else [UNKNOWN] * 32)
    assert {"sequences", "frames"} < set(data.train.columns)
    assert "4 image(s) of known identities are not annotated" in data.notes[-1]


def test_wrong_people_and_missing_files_are_said(tiny_market, tmp_path: Path) -> None:
    root = tiny_market()
    with pytest.raises(DataError, match=r"no market_attribute\.mat beside .*market: .*pass its path as attributes"):
        load("market1501_attributes", root, strict=False)
    other = write_csv(tmp_path / "a.csv", {99: {}})
    with pytest.raises(DataError, match="annotates none of the train identities"):
        load("market1501_attributes", root, strict=False, attributes=other)
    with pytest.raises(RecipeError, match="no fold 'x': choose test, validation or single_query"):
        load("market1501_attributes", root, fold="x")


@pytest.mark.parametrize("place", ["", "market1501_attribute", "market", "market/market1501_attribute"])
def test_the_annotation_is_found(tiny_market, tmp_path: Path, mat: Path, place: str) -> None:
    root = tiny_market(train=6)  # 2 to 6 are identities of the real train part
    (tmp_path / place).mkdir(exist_ok=True, parents=True)
    shutil.copy(mat, tmp_path / place)
    data = load("market1501_attributes", root, strict=False)
    assert (data.train.columns["attributes"][data.train.identities == 2] != UNKNOWN).all()


def test_folds_of_a_tiny_market(tiny_market, tmp_path: Path) -> None:
    root = tiny_market(train=10, images=3)
    attributes = write_csv(tmp_path / "a.csv", {who: {} for who in range(1, 14)})

    def part(fold: str, seed: int = 3) -> Any:
        return load(
            "market1501_attributes", root, strict=False, attributes=attributes, fold=fold, seed=seed, held_out=4
        )

    market = load("market1501", root, strict=False, fold="validation", seed=3, held_out=4)
    held, single = part("validation"), part("single_query")
    assert held.fingerprint() == market.fingerprint() and held.attributes == single.attributes == ATTRIBUTES
    assert (held.name, single.name) == ("market1501_attributes-validation", "market1501_attributes-single_query")
    assert (held.protocol, single.protocol) == ("market1501", "single_camera")
    who = sorted(set(held.query.identities.tolist()))
    assert sorted(single.query.identities.tolist()) == who and len(who) == 4
    assert sorted(single.gallery.identities.tolist()) == sorted(who * 5)
    np.testing.assert_array_equal(single.train.paths, held.train.paths)
    assert part("single_query").fingerprint() == single.fingerprint() != part("single_query", seed=4).fingerprint()
    assert all(split.columns["attributes"].shape == (len(split), 32) for split in single.splits.values())


def test_the_real_market_with_its_attributes(market_zip: Path, mat: Path, raw: dict[str, Any]) -> None:
    data = load("market1501_attributes", market_zip)
    assert not (data.train.columns["attributes"] == UNKNOWN).any()
    known = data.gallery.columns["attributes"][:, 0] != UNKNOWN
    np.testing.assert_array_equal(known, data.gallery.identities > 0)
    assert known.sum() == 13_115  # as the official evaluation counts
    part: SimpleNamespace = raw["test"]
    place = {int(text): i for i, text in enumerate(part.image_index)}
    hats = data.gallery.columns["attributes"][known, ATTRIBUTES.index("hat")]
    wanted = [part.hat[place[who]] - 1 for who in data.gallery.identities[known].tolist()]
    assert hats.tolist() == wanted
    assert not any("annotated" in note for note in data.notes)


def test_the_real_market_has_151_single_queries(market_zip: Path, mat: Path) -> None:
    single = load("market1501_attributes", market_zip, fold="single_query")
    held = load("market1501", market_zip, fold="validation")
    assert len(single.query) == len(np.unique(single.query.identities)) == 151
    np.testing.assert_array_equal(np.unique(single.query.identities), np.unique(held.query.identities))
    np.testing.assert_array_equal(single.train.paths, held.train.paths)
    assert len(single.train) + len(single.query) + len(single.gallery) == 12_936
