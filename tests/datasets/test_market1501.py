from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from resight.datasets import Dataset, detect, load
from resight.datasets.layouts import wrong_counts
from resight.datasets.market1501 import FOLDERS, OFFICIAL, market1501, market_layout
from resight.datasets.splitting import choose_identities, choose_queries, validation
from resight.errors import DataError, RecipeError
from resight.from_zero import from_one
from resight.records import Embeddings, Split


def zipped(root: Path, prefix: str = "") -> Path:
    """``root``'s files in a zip, below ``prefix``."""
    archive = root.parent / f"{root.name}.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, f"{prefix}{path.relative_to(root)}")
    return archive


def test_labels_are_read_from_names(tiny_market) -> None:
    data = market1501(tiny_market(), strict=False)
    assert data.train.paths[0].endswith("/bounding_box_train/0001_c1s1_000000_01.jpg")
    assert data.train.identities.tolist() == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4
    assert data.train.cameras.tolist() == [1, 1, 2, 2] * 4
    assert data.train.columns["frames"].tolist() == [0, 1] * 8
    assert set(data.train.columns["sequences"].tolist()) == {1}
    assert data.query.identities.tolist() == [5, 5, 6, 6, 7, 7]
    assert data.gallery.identities.tolist() == [-1, 0, 5, 5, 6, 6, 7, 7]
    assert data.facts()["gallery"] == {"images": 8, "identities": 3, "cameras": 2, "junk": 1, "distractors": 1}


@pytest.mark.parametrize("prefix", ["", "Market-1501/", "a/b/c/"])
def test_a_zip_holds_what_its_folder_holds(tiny_market, prefix: str) -> None:
    root = tiny_market()
    folder, archive = market1501(root, strict=False), market1501(zipped(root, prefix), strict=False)
    assert archive.fingerprint() == folder.fingerprint()
    for key, split in folder.splits.items():
        other = archive.splits[key]
        assert [Path(path).name for path in other.paths] == [Path(path).name for path in split.paths]
        assert all(f".zip/{prefix}" in path for path in other.paths)
        np.testing.assert_array_equal(other.identities, split.identities)
        np.testing.assert_array_equal(other.cameras, split.cameras)
        for column in ("sequences", "frames"):
            np.testing.assert_array_equal(other.columns[column], split.columns[column])


def test_the_folder_may_lie_deeper(tiny_market) -> None:
    root = tiny_market("deep/er/market")
    assert market1501(root.parents[1], strict=False).fingerprint() == market1501(root, strict=False).fingerprint()


def test_stray_files_are_left_out_and_counted(tiny_market) -> None:
    root = tiny_market()
    (root / "query" / "Thumbs.db").write_bytes(b"\0")
    (root / "readme.txt").write_text("outside the splits")
    data = market1501(root, strict=False)
    assert len(data.query) == 6
    assert data.notes[0] == f"1 file that is not a readable image was left out (1 .db; first {root}/query/Thumbs.db)."


def test_the_doubled_suffix_of_one_official_name_is_read(tiny_market) -> None:
    root = tiny_market()
    (root / "query" / "0005_c1s1_000000_01.jpg").rename(root / "query" / "0005_c1s1_000000_01.jpg.jpg")
    assert market1501(root, strict=False).query.identities.tolist() == [5, 5, 6, 6, 7, 7]


@pytest.mark.parametrize("name", ["cat.jpg", "0001c1s1_000001_00.jpg", "-2_c1s1_000001_00.jpg", "0001_cxs1_1_0.jpg"])
def test_a_malformed_name_is_named(tiny_market, name: str) -> None:
    root = tiny_market()
    next((root / "query").iterdir()).rename(root / "query" / name)
    with pytest.raises(DataError, match=f"query/{name} has no name of Market-1501's kind"):
        market1501(root, strict=False)


def test_wrong_counts_name_split_found_and_expected(tiny_market) -> None:
    with pytest.raises(DataError, match=r"train has 16 images instead of 12,936: .*strict=False"):
        load("market1501", tiny_market())


def test_counts_are_compared_for_junk_and_distractors_too(tiny_market) -> None:
    found = wrong_counts(market1501(tiny_market(), strict=False), OFFICIAL)
    assert "gallery has 1 junk instead of 3,819" in found
    assert "gallery has 1 distractors instead of 2,798" in found
    assert len(found) == sum(map(len, OFFICIAL.values()))


def test_a_missing_split_is_named(tiny_market) -> None:
    root = tiny_market()
    (root / "query").rename(root / "questions")
    with pytest.raises(DataError, match="market has no files in query: "):
        market1501(root)


def test_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("cats/1.jpg", b"")
    with pytest.raises(DataError, match=r"other\.zip is not Market-1501"):
        market1501(tmp_path / "other.zip")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(DataError, match="is not a readable zip archive"):
        market1501(tmp_path / "text.zip")
    with pytest.raises(DataError, match="does not exist"):
        market1501(tmp_path / "nowhere")


def test_one_split_or_two_copies_are_refused(tiny_market) -> None:
    first, second = tiny_market("all/one"), tiny_market("all/two")
    with pytest.raises(DataError, match="folder above it"):
        market1501(first / "query")
    with pytest.raises(DataError, match=f"2 times: pass {first} or {second}"):
        market1501(first.parent)


def test_an_unknown_fold_is_refused(tiny_market) -> None:
    with pytest.raises(RecipeError, match="no fold 'val'"):
        load("market1501", tiny_market(), fold="val")


def test_validation_holds_out_identities_with_their_labels(tiny_market) -> None:
    root = tiny_market(train=10, cameras=3)
    data = load("market1501", root, strict=False, fold="validation", held_out=4, seed=3)
    train, held = set(data.train.identities.tolist()), set(data.query.identities.tolist())
    assert train | held == set(range(1, 11))
    assert len(held) == 4 and not train & held
    assert set(data.gallery.identities.tolist()) == held
    assert len(data.train) == 6 * 6 and len(data.query) == 4 * 3 and len(data.gallery) == 4 * 3
    assert all("bounding_box_train" in path for split in data.splits.values() for path in split.paths)
    assert "4 of 10 train identities are held out (seed 3)" in data.notes[-1]


def test_validation_is_seeded(tiny_market) -> None:
    train = market1501(tiny_market(train=12), strict=False).train
    same = [validation(train, 5, seed=1).fingerprint() for _ in range(2)]
    assert same[0] == same[1] != validation(train, 5, seed=2).fingerprint()


def test_validation_needs_enough_identities(tiny_market) -> None:
    data = market1501(tiny_market(train=4), strict=False)
    with pytest.raises(DataError, match="4 train identities, so 4 cannot be held out"):
        validation(data, 4)


def test_validation_needs_two_cameras(tiny_market) -> None:
    with pytest.raises(DataError, match="there would be no queries"):
        validation(market1501(tiny_market(cameras=1), strict=False), 2)


@pytest.mark.parametrize("seed", range(20))
def test_every_query_keeps_a_match_and_as_many_as_possible_are_asked(seed: int) -> None:
    random = np.random.default_rng(seed)
    identities, cameras = random.integers(-1, 8, 40), random.integers(0, 4, 40)
    asked = choose_queries(identities, cameras, seed=seed)
    assert not asked[identities <= 0].any()
    pairs = set()
    for i in np.flatnonzero(asked):  # a plain loop over queries: one per identity and camera, each with a match left
        pair = (int(identities[i]), int(cameras[i]))
        assert pair not in pairs
        pairs.add(pair)
        assert (~asked & (identities == identities[i]) & (cameras != cameras[i])).any()
    for i in np.flatnonzero(~asked & (identities > 0)):  # no further image could have been asked
        if (int(identities[i]), int(cameras[i])) in pairs:
            continue
        more = asked.copy()
        more[i] = True
        group = identities == identities[i]
        assert any(not (~more & group & (cameras != cameras[j])).any() for j in np.flatnonzero(more & group))


def test_single_camera_asks_with_one_image_per_identity() -> None:
    identities = np.array([1, 1, 1, 2, 3, 3, 0, 0, -1, -1])
    asked = choose_queries(identities, np.ones(10, dtype=np.int64), single_camera=True)
    assert sorted(identities[asked].tolist()) == [1, 3]


def test_choose_identities_draws_without_junk() -> None:
    identities = np.array([-1, 0, 0, 5, 5, 7, 9, 11])
    assert choose_identities(identities, 4).tolist() == [5, 7, 9, 11]
    assert len(set(choose_identities(identities, 2, seed=1).tolist()) & {5, 7, 9, 11}) == 2
    with pytest.raises(RecipeError, match="5 identities cannot be chosen from 4"):
        choose_identities(identities, 5)


def test_data_in_the_layout_keeps_its_own_numbers(tiny_market) -> None:
    root = tiny_market()
    data = load("market_layout", root)
    assert data.name == "market_layout" and data.notes == ()
    assert data.fingerprint() == load("market1501", root, strict=False).fingerprint()
    assert load("market_layout", root, fold="validation").name == "market_layout-validation"
    with pytest.raises(RecipeError, match="market_layout has no fold 'x'"):
        load("market_layout", root, fold="x")


def test_the_layout_is_detected(tiny_market, tmp_path: Path) -> None:
    root = tiny_market("deep/market")
    assert [detect(root), detect(root.parent), detect(zipped(root, "a/"))] == ["market_layout"] * 3
    assert detect(root / "query") == "folder"
    with pytest.raises(DataError, match="does not exist"):
        detect(tmp_path / "nowhere")


def test_the_real_market_is_detected(market_zip: Path) -> None:
    assert detect(market_zip) == "market1501"


def test_the_real_market_is_whole_and_quick_to_load(market_zip: Path) -> None:
    start = time.perf_counter()
    data = load("market1501", market_zip)
    assert time.perf_counter() - start < 3  # about 0.4 s; a slow listing would take 10
    assert wrong_counts(data, OFFICIAL) == []
    assert {key: len(split) for key, split in data.splits.items()} == {"train": 12936, "query": 3368, "gallery": 19732}
    assert not np.isin(data.train.identities, data.gallery.identities).any()
    assert len(data.notes) == 1
    assert data.notes[0].startswith("3 files that are not readable images were left out (3 .db; first ")


def test_the_real_market_has_600_and_151_identities_in_validation(market_zip: Path) -> None:
    data = load("market1501", market_zip, fold="validation", seed=0)
    facts = data.facts()
    assert [facts[key]["identities"] for key in ("train", "query", "gallery")] == [600, 151, 151]
    assert sum(fact["images"] for fact in facts.values()) == 12936
    assert isinstance(data.train, Split) and data.train.identities.max() > 751


def place(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_names_that_only_begin_like_markets_are_read(tmp_path: Path) -> None:
    names = ("0001_c2_f0046182.jpg", "0001_c5_f1.jpg", "0007_c1_0001.png")
    root = place(tmp_path, [f"{folder}/{name}" for folder in FOLDERS.values() for name in names])
    data = market_layout(root)
    assert data.query.identities.tolist() == [1, 1, 7] and data.query.cameras.tolist() == [2, 5, 1]
    assert not data.query.columns and data.protocol == "market1501"
    with pytest.raises(DataError, match=r"load the data as 'market_layout' with a pattern"):
        market1501(root, strict=False)


def test_any_names_are_read_by_a_pattern(tmp_path: Path) -> None:
    names = ("Ann-hall-1.jpg", "Ann-door-2.jpg", "Bob-door-1.jpg")
    root = place(tmp_path, [f"{folder}/{name}" for folder in FOLDERS.values() for name in names])
    with pytest.raises(DataError, match=r"has no name of Market-1501's kind.*--set pattern="):
        market_layout(root)
    data = load("market_layout", root, pattern=r"(?P<identity>\w+)-(?P<camera>\w+)-")
    for split in data.splits.values():
        assert split.identities.tolist() == [1, 1, 2] and split.cameras.tolist() == [1, 2, 1]
    single = market_layout(root, pattern=r"(?P<identity>\w+)-")
    assert single.protocol == "single_camera" and set(single.query.cameras.tolist()) == {1}
    with pytest.raises(DataError, match="finds no camera in some images, first Ann-hall"):
        market_layout(root, pattern=r"(?P<identity>\w+)-(?P<camera>door)?")


def test_identity_zero_of_train_or_query_is_a_person(tmp_path: Path) -> None:
    in_gallery = [f"bounding_box_test/{name}_c{camera}_1.jpg" for name in ("-1", "0", "1") for camera in (1, 2)]
    others = ["query/0_c1_2.jpg", "query/1_c1_2.jpg", "bounding_box_train/2_c1_1.jpg"]
    data = market_layout(place(tmp_path, [*in_gallery, *others]))
    assert data.query.identities.tolist() == [1, 2] and data.train.identities.tolist() == [3]
    assert sorted(data.gallery.identities.tolist()) == [-1, -1, 1, 1, 2, 2]
    assert "identities count one more here" in data.notes[-1]


def test_zero_is_a_person_of_train_or_query_and_distractors_are_refused_there() -> None:
    paths, cameras = ["a.jpg", "b.jpg"], [1, 2]
    good, zero = Split(paths, [1, 2], cameras), Split(paths, [0, 1], cameras)  # type: ignore[arg-type]
    person = Split(paths, [0, 1], cameras, distractors=None)  # type: ignore[arg-type]
    assert Dataset("mine", person, good, zero).facts()["train"]["identities"] == 2
    data = Dataset("mine", good, good, zero)
    assert data.facts()["gallery"]["distractors"] == 1
    alone = Embeddings.from_split(data.gallery, np.eye(2, dtype=np.float32))  # which says of 0 what the data set knows
    assert from_one(alone)[0] is alone and from_one(zero)[0].identities.tolist() == [1, 2]
    for splits in ((zero, good, good), (good, zero, zero), (zero, zero, zero)):
        data = Dataset("mine", *splits)
        for split, given in zip(data.splits.values(), splits, strict=True):
            assert split.identities.tolist() == [number + 1 for number in given.identities.tolist()]
        assert len(data.notes) == 1 and "identities count one more here" in data.notes[0]
    said = Split(paths, [0, 1], cameras, distractors=0)  # type: ignore[arg-type]
    junk = Split(["a.jpg", "b.jpg", "c.jpg"], [0, 1, -1], [1, 2, 3])  # type: ignore[arg-type]
    for bad in (said, junk):
        for splits, key in (((bad, good, good), "train"), ((good, bad, good), "query")):
            with pytest.raises(DataError, match=rf"1 image\(s\) in {key} of mine have the identity 0"):
                Dataset("mine", *splits)


def test_a_test_set_alone_is_read_and_cannot_be_trained_on(tiny_market) -> None:
    root = tiny_market()
    whole = load("market_layout", root)
    shutil.rmtree(root / "bounding_box_train")
    for place in (root, zipped(root, "sets/a/"), f"{zipped(root, 'sets/a/')}/sets/a"):
        assert detect(place) == "market_layout"
        data = load("market_layout", place)
        assert len(data.train) == 0 and data.facts()["train"]["images"] == 0
        for key in ("query", "gallery"):
            np.testing.assert_array_equal(data.splits[key].identities, whole.splits[key].identities)
        assert any("no training images" in note for note in data.notes)
    with pytest.raises(DataError, match="0 train identities"):
        load("market_layout", root, fold="validation")
    with pytest.raises(DataError, match="does not hold all of Market-1501, for train has 0 images"):
        load("market1501", root)
    shutil.rmtree(root / "bounding_box_test")
    with pytest.raises(DataError, match="no files in bounding_box_test"):
        load("market_layout", root)


def test_several_sets_in_one_zip_are_named(tiny_market) -> None:
    root = tiny_market("sets/a").parent
    shutil.copytree(root / "a", root / "b")
    archive = zipped(root)
    with pytest.raises(DataError, match=rf"2 times: pass {archive}/a or {archive}/b"):
        load("market_layout", archive)
    assert len(load("market_layout", f"{archive}/b").query) == 6
