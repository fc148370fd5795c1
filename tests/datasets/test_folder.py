from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from resight.datasets import load
from resight.datasets.folder import folder
from resight.datasets.labels import number_cameras, number_identities
from resight.errors import DataError, RecipeError


def place(root: Path, names: Iterable[str]) -> Path:
    """Files of these names below ``root``; a folder is read by names alone, so they hold nothing."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def crops(identities: int = 6, cameras: int = 2, images: int = 2, prefix: str = "") -> list[str]:
    return [
        f"{prefix}person {i:02}/cam{c}_{k}.jpg"
        for i in range(identities)
        for c in range(cameras)
        for k in range(images)
    ]


def test_identities_and_cameras_are_read(tmp_path: Path) -> None:
    data = folder(place(tmp_path, crops()), train_fraction=0)
    everything = {
        Path(path).relative_to(tmp_path).as_posix(): (int(identity), int(camera), str(name))
        for split in (data.query, data.gallery)
        for path, identity, camera, name in zip(
            split.paths, split.identities, split.cameras, split.columns["identity_names"], strict=True
        )
    }
    assert everything == {
        f"person {i:02}/cam{c}_{k}.jpg": (i + 1, c, f"person {i:02}")
        for i in range(6)
        for c in range(2)
        for k in range(2)
    }
    assert len(data.train) == 0 and data.protocol == "market1501"


def test_the_automatic_split_shares_no_identity_and_is_seeded(tmp_path: Path) -> None:
    place(tmp_path, crops(identities=10))
    data = folder(tmp_path, train_fraction=0.3, seed=1)
    assert {key: fact["identities"] for key, fact in data.facts().items()} == {"train": 3, "query": 7, "gallery": 7}
    assert not np.isin(data.train.identities, data.gallery.identities).any()
    assert len(data.train) + len(data.query) + len(data.gallery) == 40
    assert len(data.query) == 14  # one per identity and camera
    assert folder(tmp_path, train_fraction=0.3, seed=1).fingerprint() == data.fingerprint()
    assert folder(tmp_path, train_fraction=0.3, seed=2).fingerprint() != data.fingerprint()


@pytest.mark.parametrize("prefix", ["", "crops/", "a/b/"])
def test_a_zip_holds_what_its_folder_holds(tmp_path: Path, prefix: str) -> None:
    place(tmp_path / "crops", crops())
    with zipfile.ZipFile(tmp_path / "crops.zip", "w") as file:
        for name in crops():
            file.writestr(prefix + name, b"")
    assert load("folder", tmp_path / "crops.zip").fingerprint() == load("folder", tmp_path / "crops").fingerprint()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1", "3", "2"], [1, 3, 2]),
        (["c3", "C1", "c3"], [3, 1, 3]),
        (["cam03", "camera-7", "12"], [3, 7, 12]),
        (["c3s1", "c3s2", "c1s1"], [3, 3, 1]),
        (["north", "east", "north"], [2, 1, 2]),
        (["c9", "door"], [1, 2]),
    ],
)
def test_camera_numbers(names: list[str], expected: list[int]) -> None:
    assert number_cameras(names).tolist() == expected


def test_identity_numbers() -> None:
    assert number_identities(["b", "a", "b", "0000"]).tolist() == [3, 2, 3, 1]
    assert number_identities(["0002", "-1", "0000"]).tolist() == [1, -1, 0]


def test_a_repeated_identity_in_the_file_name_is_passed_over(tmp_path: Path) -> None:
    place(tmp_path, [f"000{i}/000{i}_c{c}s1_{k:06}_00.jpg" for i in (2, 7) for c in (1, 4) for k in range(2)])
    data = folder(tmp_path)
    assert set(data.train.cameras.tolist()) == {1, 4}


def test_a_pattern_reads_a_flat_folder(tmp_path: Path) -> None:
    place(tmp_path, [f"car-{i}@gate{c}.{k}.png" for i in "xyz" for c in (1, 2) for k in range(2)])
    data = folder(tmp_path, pattern=r"car-(?P<identity>\w+)@(?P<camera>\w+)", train_fraction=0.34)
    assert data.facts()["train"] == {"images": 4, "identities": 1, "cameras": 2, "junk": 0, "distractors": 0}
    assert data.facts()["query"]["images"] == 4
    assert set(data.gallery.columns["camera_names"].tolist()) == {"gate1", "gate2"}


def test_a_pattern_without_camera_makes_a_single_camera_set(tmp_path: Path) -> None:
    place(tmp_path, [f"{i}-{k}.jpg" for i in "ab" for k in range(3)])
    data = folder(tmp_path, pattern="(?P<identity>.)-")
    assert data.protocol == "single_camera"


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("(", RecipeError, "is no regular expression"),
        ("(.)", RecipeError, "has no group called identity"),
        ("(?P<identity>a)-", DataError, r"does not fit 2 of 4 images, first b-0\.jpg"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(tmp_path: Path, pattern: str, error: type, message: str) -> None:
    place(tmp_path, ["a-0.jpg", "a-1.jpg", "b-0.jpg", "b-1.jpg"])
    with pytest.raises(error, match=message):
        folder(tmp_path, pattern=pattern)


@pytest.mark.parametrize(
    ("name", "note"),
    [("{}/{}.jpg", "No camera can be read from names"), ("{}/IMG_{}.jpg", r"All images share one camera \(IMG\)")],
)
def test_one_camera_turns_to_the_single_camera_protocol(tmp_path: Path, name: str, note: str) -> None:
    place(tmp_path, [name.format(identity, k) for identity in "abcd" for k in range(3)])
    data = folder(tmp_path)
    assert data.protocol == "single_camera"
    assert (len(data.train), len(data.query), len(data.gallery)) == (6, 2, 4)
    assert sorted(data.query.identities.tolist()) == sorted(set(data.gallery.identities.tolist()))
    assert any(re.match(note, line) for line in data.notes)


def test_single_camera_can_be_asked_for(tmp_path: Path) -> None:
    data = folder(place(tmp_path, crops()), single_camera=True, train_fraction=0)
    assert data.protocol == "single_camera" and len(data.query) == 6
    assert set(data.query.cameras.tolist()) | set(data.gallery.cameras.tolist()) == {0, 1}


def test_given_splits_are_used(tmp_path: Path) -> None:
    names = ["train/a/1_0.jpg", "train/b/2_0.jpg", "query/c/1_0.jpg", "gallery/c/2_0.jpg", "Gallery2/x/1_0.jpg"]
    data = folder(place(tmp_path, names))
    assert [split.columns["identity_names"].tolist() for split in data.splits.values()] == [["a", "b"], ["c"], ["c"]]
    assert "1 image(s) outside gallery, query, train were left out (gallery2)." in data.notes


def test_train_and_test_are_used(tmp_path: Path) -> None:
    place(
        tmp_path, [*crops(2, prefix="train/"), *(name.replace("person", "other") for name in crops(3, prefix="test/"))]
    )
    data = folder(tmp_path)
    assert {key: len(split) for key, split in data.splits.items()} == {"train": 8, "query": 6, "gallery": 6}
    assert set(data.gallery.columns["identity_names"].tolist()) == {"other 00", "other 01", "other 02"}
    assert "/test/" in data.query.paths[0]


def test_an_identity_in_train_and_test_is_noted(tmp_path: Path) -> None:
    data = folder(place(tmp_path, [*crops(2, prefix="train/"), *crops(1, prefix="test/")]))
    assert "1 identity(ies) are in both train and test." in data.notes


def test_oddities_are_notes(tmp_path: Path) -> None:
    place(tmp_path, [*crops(4), "lonely/cam1_0.jpg", "list.txt"])
    notes = folder(tmp_path, train_fraction=0).notes
    assert "1 identity(ies) have a single image." in notes
    assert f"1 file that is not a readable image was left out (1 .txt; first {tmp_path}/list.txt)." in notes
    assert "The names give 2 cameras (cam0, cam1)." in notes


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no images nor any other file"),
        (["a/readme.txt"], r"holds no images, only 1 other file\(s\) such as .*readme\.txt"),
        (["a/1_0.jpg", "loose.jpg"], r"loose\.jpg lies in no identity's folder"),
        (["a/b/1_0.jpg", "c/d/1_0.jpg"], "lies 2 folders deep"),
        (["a/1_0.jpg", "b/x.jpg"], r"camera cannot be read of 1 of 2 images, first .*b/x\.jpg"),
        (["a/1_0.jpg", "b/1_0.jpg"], "no query with a true match in the gallery.*identities with two images"),
        (["a/1_0.jpg", "a/1_1.jpg", "b/2_0.jpg", "b/2_1.jpg"], "two cameras, or pass single_camera=True"),
        (["query/a/1_0.jpg", "gallery/b/2_0.jpg"], "no query with a true match"),
        (["bounding_box_train/0001_c1s1_1_0.jpg", "query/0002_c1s1_1_0.jpg"], "load it as 'market1501'"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        folder(place(tmp_path, names))


def test_one_identity_can_be_tested_but_not_split(tmp_path: Path) -> None:
    place(tmp_path, ["crops/a/1_0.jpg", "crops/a/2_0.jpg"])
    with pytest.raises(DataError, match=r"holds 1 identity\(ies\)"):
        folder(tmp_path)
    data = folder(tmp_path, train_fraction=0)
    assert len(data.query) == len(data.gallery) == 1
    assert data.query.columns["identity_names"].tolist() == ["a"]


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_senseless_fraction_is_refused(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(RecipeError, match="train_fraction is"):
        folder(place(tmp_path, crops()), train_fraction=fraction)
