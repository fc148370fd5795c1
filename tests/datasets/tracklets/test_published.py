"""MARS, LS-VID, iLIDS-VID and PRID-2011, on layouts made by hand to the published formats."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from resight.datasets import detect, load
from resight.errors import DataError, RecipeError
from resight.records import Split


def touch(path: Path) -> None:
    """A file that is no image: reading a data set must not open it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def tracklets(split: Split) -> list[tuple[int, int, int, list[str]]]:
    """(number, identity, camera, names) of each tracklet, in the order of the split."""
    found: dict[int, tuple[int, int, int, list[str]]] = {}
    rows = zip(
        split.columns["tracks"].tolist(), split.identities.tolist(), split.cameras.tolist(), split.paths, strict=True
    )
    for track, who, camera, path in rows:
        found.setdefault(track, (track, who, camera, []))[3].append(Path(path).name)
    return list(found.values())


# --- MARS

TRAIN = [("0001", 1, 1, 3), ("0001", 2, 1, 2), ("0003", 4, 1, 1)]  # person, camera, tracklet, frames
TEST = [
    ("00-1", 1, 1, 2),
    ("0000", 2, 1, 2),
    ("0002", 1, 1, 3),
    ("0002", 5, 1, 2),
    ("0002", 5, 2, 1),
    ("0004", 6, 1, 2),
]


def mars(root: Path) -> Path:
    for half, rows in (("train", TRAIN), ("test", TEST)):
        names, table = [], []
        for person, camera, tracklet, frames in rows:
            first = len(names) + 1
            names += [f"{person}C{camera}T{tracklet:04d}F{frame:03d}.jpg" for frame in range(1, frames + 1)]
            table.append((first, len(names), -1 if person == "00-1" else int(person), camera))
        for name in names:
            touch(root / f"bbox_{half}" / name[:4] / name)
        (root / "info").mkdir(exist_ok=True)
        (root / "info" / f"{half}_name.txt").write_text("\n".join(names) + "\n")
        savemat(root / "info" / f"tracks_{half}_info.mat", {f"track_{half}_info": np.array(table, np.float64)})
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array([[3, 6]], np.uint16)})
    return root


def test_mars_rows_are_tracklets(tmp_path: Path) -> None:
    root = mars(tmp_path / "MARS")
    data = load("mars", root, strict=False)
    assert data.protocol == "mars_torchreid"
    assert tracklets(data.train) == [
        (1, 1, 1, ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg", "0001C1T0001F003.jpg"]),
        (2, 1, 2, ["0001C2T0001F001.jpg", "0001C2T0001F002.jpg"]),
        (3, 3, 4, ["0003C4T0001F001.jpg"]),
    ]
    assert [(t, who, camera, len(names)) for t, who, camera, names in tracklets(data.query)] == [
        (3, 2, 1, 3),
        (6, 4, 6, 2),
    ]
    assert [(t, who, camera, len(names)) for t, who, camera, names in tracklets(data.gallery)] == [
        (1, -1, 1, 2), (2, 0, 2, 2), (4, 2, 5, 2), (5, 2, 5, 1),
    ]  # fmt: skip
    assert data.query.paths[0] == f"{root}/bbox_test/0002/0002C1T0001F001.jpg"
    assert data.facts()["gallery"] == {
        "tracklets": 4, "images": 7, "identities": 1, "cameras": 3, "junk": 2, "distractors": 2,
    }  # fmt: skip
    assert detect(tmp_path) == detect(root) == "mars"


def test_mars_in_an_archive_is_the_same(tmp_path: Path) -> None:
    root = mars(tmp_path / "MARS")
    archive = tmp_path / "mars.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*.*")):
            file.write(path, f"deep/MARS/{path.relative_to(root)}")
    one, other = load("mars", root, strict=False), load("mars", archive, strict=False)
    assert one.fingerprint() == other.fingerprint() and tracklets(one.gallery) == tracklets(other.gallery)
    assert detect(archive) == "mars"


def test_mars_counts_are_checked_and_wrong_rows_are_told(tmp_path: Path) -> None:
    root = mars(tmp_path / "MARS")
    with pytest.raises(DataError, match=r"train has 3 tracklets instead of 8,298: .*strict=False"):
        load("mars", root)
    with pytest.raises(RecipeError, match=r"no protocol 'mars': choose one of mars_torchreid, mars_official"):
        load("mars", root, protocol="mars")
    table = root / "info" / "tracks_train_info.mat"
    rows = np.array([[1, 3, 1, 1], [4, 5, 1, 2], [6, 6, 3, 4]])
    for wrong, message in (
        (
            rows - np.array([1, 1, 0, 0]),
            r"row 1 is the lines 0 to 2 of .*train_name\.txt, which has 6",
        ),  # counted from 0
        (rows + np.array([1, 0, 0, 0]), r"row 3 is the lines 7 to 6"),  # an empty tracklet
        (
            np.array([[1, 4, 1, 1], [4, 5, 1, 2], [6, 6, 3, 4]]),
            r"row 1 says identity 1, camera 1, but holds 0001C2T0001F001\.jpg",
        ),
        (np.array([[1, 3, 1, 1], [3, 3, 1, 1], [6, 6, 3, 4]]), r"rows 1 and 2 share lines of .*train_name\.txt"),
        (rows[:, :3], r"of shape \(3, 3\) and type .*, but \(N, 4\) whole numbers are needed"),
    ):
        savemat(table, {"track_train_info": wrong})
        with pytest.raises(DataError, match=message):
            load("mars", root, strict=False)
    savemat(table, {"track_train_info": rows})
    for wrong, message in (
        ([[0, 2]], r"query_IDX\.mat asks with row 0 of \d, which count from 1"),
        ([[2, 99]], r"query_IDX\.mat asks with row 99 of"),
        ([[2, 2]], r"query_IDX\.mat asks with row 2 more than once"),
    ):
        savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array(wrong)})
        with pytest.raises(DataError, match=message):
            load("mars", root, strict=False)
    names = root / "info" / "train_name.txt"
    text = names.read_text()
    names.write_text(text.replace("\n", "\n\n", 1))  # all tracklets after it would be one line late
    with pytest.raises(DataError, match=r"train_name\.txt line 2 is blank, but other files count its lines"):
        load("mars", root, strict=False)
    names.write_text(text + "\n\n")  # after the last it does no harm: what is wrong now is the query
    with pytest.raises(DataError, match=r"asks with row 2 more than once"):
        load("mars", root, strict=False)
    table.write_bytes(b"no matrix")
    with pytest.raises(DataError, match=r"tracks_train_info\.mat is not a readable MATLAB file"):
        load("mars", root, strict=False)
    savemat(table, {"other": rows})
    with pytest.raises(DataError, match=r"tracks_train_info\.mat has no 'track_train_info'"):
        load("mars", root, strict=False)
    with pytest.raises(DataError, match=r"is not MARS, for there is no info/tracks_test_info\.mat in it"):
        load("mars", root / "bbox_test")
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        load("mars", tmp_path / "nowhere")


def test_mars_validation_asks_with_whole_tracklets(tmp_path: Path) -> None:
    data = load("mars", mars(tmp_path / "MARS"), strict=False, fold="validation", held_out=1, seed=2)
    assert data.protocol == "mars_torchreid"
    asked, answers = set(data.query.columns["tracks"].tolist()), set(data.gallery.columns["tracks"].tolist())
    assert (asked, answers) == ({1}, {2}) or (asked, answers) == ({2}, {1})
    assert set(data.train.identities.tolist()) == {3}


# --- LS-VID


def lsvid(root: Path) -> Path:
    lists = {
        "train": [("0000", 0, 1, 3), ("0000", 0, 11, 2)],
        "test": [("0007", 7, 2, 2), ("0007", 7, 15, 1), ("0009", 9, 1, 2)],
    }
    for half, rows in lists.items():
        lines = []
        for folder, person, camera, frames in rows:
            prefix = f"tracklet_{half}/{folder}/{folder}_01_{camera}_"
            lines.append(f"{prefix} {person}")
            for frame in range(frames):
                touch(root / f"{prefix}{frame:06d}.jpg")
        path = root / "info" / "list_sequence" / f"list_seq_{half}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    (root / "info" / "data").mkdir()
    with h5py.File(root / "info" / "data" / "info_test.mat", "w") as file:
        file["query"] = np.array([[2.0, 3.0]]).T.reshape(2, 1).T  # as MATLAB writes a (2, 1) column: (1, 2) in HDF5
    return root


def test_lsvid_prefixes_are_tracklets(tmp_path: Path) -> None:
    root = lsvid(tmp_path / "LS-VID")
    data = load("lsvid", root, strict=False)
    assert [(who, camera, len(names)) for _, who, camera, names in tracklets(data.train)] == [(1, 1, 3), (1, 11, 2)]
    assert [(who, camera, len(names)) for _, who, camera, names in tracklets(data.query)] == [(8, 15, 1), (10, 1, 2)]
    assert [(who, camera, len(names)) for _, who, camera, names in tracklets(data.gallery)] == [(8, 2, 2)]
    assert data.notes[0] == "Its lists have a person 0, so identities count one more here."
    assert detect(root) == "lsvid" and data.protocol == "tracklets"
    with pytest.raises(DataError, match=r"train has 2 tracklets instead of 2,831"):
        load("lsvid", root)


def test_lsvid_without_frames_or_with_odd_lines(tmp_path: Path) -> None:
    root = lsvid(tmp_path / "LS-VID")
    for path in (root / "tracklet_test" / "0009").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"Tracklet 2 of lsvid query \(identity 10, camera 0\) has no images"):
        load("lsvid", root, strict=False)
    listed = root / "info" / "list_sequence" / "list_seq_test.txt"
    lines = listed.read_text().splitlines()
    for wrong, message in (
        ([lines[0], "", *lines[1:]], r"list_seq_test\.txt line 2 is blank"),
        ([*lines[:2], lines[0]], r"0007_01_2_000000\.jpg is in two tracklets of"),
        ([*lines[:2], "tracklet_test/0007/0007_01_ 9"], r"is in two tracklets of .*none may begin another"),
    ):
        listed.write_text("\n".join(wrong) + "\n")
        with pytest.raises(DataError, match=message):
            load("lsvid", root, strict=False)
    listed.write_text("only_a_path\n")
    with pytest.raises(DataError, match=r"line 1 is 'only_a_path', but each must be '<path prefix> <identity>'"):
        load("lsvid", root, strict=False)


# --- iLIDS-VID


def ilidsvid(root: Path, people: tuple[int, ...] = (1, 2, 5, 319)) -> Path:
    for camera in (1, 2):
        for person in people:
            for frame in (2, 10, 1):
                name = f"cam{camera}_person{person:03d}_{frame}.png"
                touch(root / "i-LIDS-VID" / "sequences" / f"cam{camera}" / f"person{person:03d}" / name)
    splits = root / "train-test people splits" / "train_test_splits_ilidsvid.mat"
    splits.parent.mkdir()
    rows = np.stack([np.roll(np.arange(1, len(people) + 1), row) for row in range(10)])
    savemat(splits, {"ls_set": rows.astype(np.uint16)})
    return root


def test_ilidsvid_says_which_half_is_tested(tmp_path: Path) -> None:
    root = ilidsvid(tmp_path / "ilids")
    first, last = (load("ilidsvid", root, strict=False, test_half=half) for half in ("first", "last"))
    assert set(first.query.identities.tolist()) == {1, 2} == set(last.train.identities.tolist())
    assert set(last.query.identities.tolist()) == {3, 4} == set(first.train.identities.tolist())
    assert "its first half is tested, as torchreid does" in first.notes[0]
    assert "its last half is tested, as AGRL, PSTA and TF-CLIP do" in last.notes[0]
    assert set(first.query.cameras.tolist()) == {1} and set(first.gallery.cameras.tolist()) == {2}
    assert tracklets(first.query)[0][3] == [f"cam1_person001_{frame}.png" for frame in (1, 2, 10)]  # in order of time
    second = load("ilidsvid", root, strict=False, repeat=1)
    assert set(second.query.identities.tolist()) == {4, 1} and detect(root) == "ilidsvid"
    with pytest.raises(DataError, match=r"train has 4 tracklets instead of 300"):
        load("ilidsvid", root)
    with pytest.raises(RecipeError, match=r"ilidsvid has no repeat 10: choose 0 to 9"):
        load("ilidsvid", root, repeat=10)
    with pytest.raises(RecipeError, match=r"no test_half 'second': choose 'first' or 'last'"):
        load("ilidsvid", root, test_half="second")


def test_ilidsvid_refuses_what_is_incomplete(tmp_path: Path) -> None:
    root = ilidsvid(tmp_path / "ilids")
    stray = root / "i-LIDS-VID" / "sequences" / "cam1" / "person400" / "x.png"
    touch(stray)
    with pytest.raises(DataError, match=r"has person400 in one camera alone"):
        load("ilidsvid", root, strict=False)
    touch(root / "i-LIDS-VID" / "sequences" / "cam2" / "person400" / "x.png")
    with pytest.raises(DataError, match=r"'ls_set' of shape \(10, 4\)"):
        load("ilidsvid", root, strict=False)


# --- PRID-2011


def prid(root: Path, people: int = 6, frames: int = 30) -> Path:
    for camera in "ab":
        for person in [*range(1, people + 1), 250]:
            for frame in range(frames if person != 4 else 5):
                touch(root / "multi_shot" / f"cam_{camera}" / f"person_{person:04d}" / f"{frame + 1:04d}.png")
    return root


def test_prid_follows_its_split_file(tmp_path: Path) -> None:
    root = prid(tmp_path / "prid_2011")
    with pytest.raises(DataError, match=r"splits_prid2011\.json is missing, .*splits=drawn"):
        load("prid2011", root, strict=False)
    halves = [{"train": ["person_0001", "person_0002"], "test": ["person_0005", "person_0003"]}] * 10
    (tmp_path / "splits_prid2011.json").write_text(json.dumps(halves))
    data = load("prid2011", root, strict=False)
    assert [(who, camera) for _, who, camera, _ in tracklets(data.query)] == [(3, 1), (5, 1)]
    assert [(who, camera) for _, who, camera, _ in tracklets(data.gallery)] == [(3, 2), (5, 2)]
    assert set(data.train.identities.tolist()) == {1, 2} and detect(root) == "prid2011"
    with pytest.raises(DataError, match=r"train has 4 tracklets instead of 178"):
        load("prid2011", root)
    halves[3] = {"train": ["person_0001"], "test": ["person_0250"]}
    (tmp_path / "splits_prid2011.json").write_text(json.dumps(halves))
    with pytest.raises(DataError, match=r"has no person_0250 in both cameras"):  # two people of one number
        load("prid2011", root, strict=False, repeat=3)
    (tmp_path / "splits_prid2011.json").write_text("[1]")
    with pytest.raises(DataError, match=r"is no list of \{'train'"):
        load("prid2011", root, strict=False)


def test_prid_halves_of_our_own_are_named_as_such(tmp_path: Path) -> None:
    data = load("prid2011", prid(tmp_path / "prid_2011"), strict=False, splits="drawn", repeat=2)
    everyone = set(data.train.identities.tolist()) | set(data.query.identities.tolist())
    assert everyone == {1, 2, 3, 5, 6}  # 4 is seen too briefly, 250 is two people
    assert data.notes[0].startswith("Half 2 of 10 of our own drawing: numbers are not comparable")
