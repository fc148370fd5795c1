"""Folders of tracklets, synthetic tracklets, and sequences of the MOTChallenge."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from resight.datasets import detect, load
from resight.datasets.tracklets.mot import cut_crops, sequences_in
from resight.datasets.tracklets.mot_table import read_mot, write_mot
from resight.errors import DataError, RecipeError
from resight.images.check import check


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def people(root: Path, *, names: tuple[str, ...] = ("ann", "bob", "cem", "dan"), cameras: int = 2) -> Path:
    for name in names:
        for camera in range(1, cameras + 1):
            for track in ("t1", "t2"):
                for frame in (1, 2, 10):
                    touch(root / name / f"cam{camera}" / track / f"{frame}.jpg")
    return root


def test_a_folder_of_tracklets(tmp_path: Path) -> None:
    root = people(tmp_path / "mine")
    data = load("tracklets", root)
    assert data.protocol == "tracklets" and detect(root) == "tracklets"
    assert {key: (f["tracklets"], f["identities"], f["cameras"]) for key, f in data.facts().items()} == {
        "train": (8, 2, 2), "query": (4, 2, 2), "gallery": (4, 2, 2),
    }  # fmt: skip
    first = data.query.columns["tracks"] == data.query.columns["tracks"][0]
    assert [Path(path).name for path in data.query.paths[first]] == ["1.jpg", "2.jpg", "10.jpg"]
    assert not set(data.query.columns["tracks"].tolist()) & set(data.gallery.columns["tracks"].tolist())
    assert not set(data.query.identities.tolist()) & set(data.train.identities.tolist())
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*.jpg")):
            file.write(path, f"mine/{path.relative_to(root)}")
    assert load("tracklets", archive).fingerprint() == data.fingerprint() and detect(archive) == "tracklets"


def test_given_splits_and_a_single_camera(tmp_path: Path) -> None:
    people(tmp_path / "given" / "train", names=("ann",))
    people(tmp_path / "given" / "test", names=("bob", "cem"))
    data = load("tracklets", tmp_path / "given")
    assert set(data.train.columns["identity_names"]) == {"ann"} and data.facts()["query"]["tracklets"] == 4
    one = load("tracklets", people(tmp_path / "one", cameras=1))
    assert one.protocol == "tracklets_single_camera" and one.facts()["query"]["tracklets"] == 2


def test_odd_folders_are_refused(tmp_path: Path) -> None:
    root = people(tmp_path / "mine")
    (root / "ann" / "cam1" / "t3").mkdir()
    with pytest.raises(DataError, match=r"The tracklet .*/ann/cam1/t3 has no images"):
        load("tracklets", root)
    touch(root / "ann" / "cam1" / "t3" / "deeper" / "1.jpg")
    with pytest.raises(DataError, match=r"lies 4 folders deep where <identity>/<camera>/<tracklet>"):
        load("tracklets", root)
    with pytest.raises(DataError, match=r"There is 1 identity, but to train and to test takes two"):
        load("tracklets", people(tmp_path / "alone", names=("ann",)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images"):
        load("tracklets", tmp_path / "empty")


def test_synthetic_tracklets_are_the_same_every_time(tmp_path: Path) -> None:
    wanted = {"identities": 4, "cameras": 2, "seconds": 14.0, "rate": 2, "size": (64, 100)}
    one = load("synthetic_tracklets", tmp_path / "a", **wanted)
    other = load("synthetic_tracklets", tmp_path / "b", **wanted)
    assert one.fingerprint() == other.fingerprint() and one.protocol == "tracklets"
    for a, b in zip(one.query.paths, other.query.paths, strict=True):
        assert Path(a).read_bytes() == Path(b).read_bytes()
    assert one.facts()["train"]["identities"] == one.facts()["gallery"]["identities"] == 2
    assert cv2.imread(str(one.train.paths[0])).shape[0] >= 16
    assert load("synthetic_tracklets", tmp_path / "a", **wanted).fingerprint() == one.fingerprint()
    with pytest.raises(DataError, match=r"something other than this set of synthetic tracklets"):
        load("synthetic_tracklets", tmp_path / "a", **wanted | {"seed": 1})
    with pytest.raises(DataError, match=r"cannot have identities=1: pass 2 or more"):
        load("synthetic_tracklets", tmp_path / "c", identities=1)


# --- MOTChallenge

GT = (
    "1,1,10,20,20,40,1,1,1.0\n"
    "2,1,12,20,20,40,1,1,0.9\n"
    "2,2,50,10,20,40,1,1,0.1\n"
    "3,2,50,10,20,40,0,1,1\n"
    "3,7,-5,0,20,40,1,7,1\n"
)


def sequence(folder: Path, gt: str = GT, frames: int = 4) -> Path:
    (folder / "gt").mkdir(parents=True)
    (folder / "img1").mkdir()
    (folder / "gt" / "gt.txt").write_text(gt)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=30\nseqLength={frames}\nimWidth=100\nimHeight=80\nimExt=.jpg\n"
    )
    for frame in range(1, frames + 1):
        pixels = np.full((80, 100, 3), 10 * frame, np.uint8)
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), pixels)
    return folder


@pytest.mark.parametrize("separator", [",", ", ", " ", "\t", ";"])
def test_a_table_with_any_separator(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(GT.replace(",", separator))
    table = read_mot(path)
    assert table.frames.tolist() == [1, 2, 2, 3, 3] and table.identities.tolist() == [1, 1, 2, 2, 7]
    assert table.boxes[0].tolist() == [10, 20, 30, 60] and table.confidence.tolist() == [1, 1, 1, 0, 1]
    assert table.classes.tolist() == [1, 1, 1, 1, 7] and table.visibility.tolist() == [1.0, 0.9, 0.1, 1, 1]


def test_short_lines_of_trackers_and_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "found.txt"
    path.write_text("1,5,0.5,1,2,3,0.9,-1,-1,-1\n2,5,0.5,1,2,3\n")
    table = read_mot(path)
    assert (
        table.classes.tolist() == [-1, -1]
        and np.isnan(table.visibility).all()
        and table.confidence.tolist() == [0.9, 1]
    )
    write_mot(tmp_path / "again.txt", [(2, 5, np.array([0.5, 1, 2.5, 4])), (1, 5, np.array([0.5, 1, 2.5, 4]))])
    assert read_mot(tmp_path / "again.txt").boxes.tolist() == table.boxes.tolist()
    assert (tmp_path / "again.txt").read_text().splitlines()[0] == "1,5,0.50,1.00,2.00,3.00,1,-1,-1,-1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", r"gt\.txt line 2 is '1,2,3', but must begin with the numbers frame, identity, left"),
        ("a,b,c,d,e,f", r"line 2 is 'a,b,c,d,e,f'"),
        ("1.5,2,3,4,5,6", r"line 2 is frame 1\.5, identity 2: both are whole"),
        ("0,2,3,4,5,6", r"line 2 is frame 0, identity 2: .*frames count from 1"),
        ("1,2,3,4,0,6", r"line 2 has a box of 0 x 6 pixels"),
        ("1,1,3,4,5,6", r"line 2 gives identity 1 a second box in frame 1, after line 1"),
        ("1,2,nan,4,5,6", r"line 2 is '1,2,nan,4,5,6'"),
        ("1,2,3,4,5,6,1,nan,0.5", r"line 2 has the class nan, but classes are whole"),
        ("1,2,3,4,5,6,1,1.5,0.5", r"line 2 has the class 1\.5"),
        ("1,2,3,4,5,6,nan,1,0.5", r"line 2 has the confidence nan: write a number"),
        ("1,2,3,4,5,6,inf", r"line 2 has the confidence inf"),
        ("1e30,2,3,4,5,6", r"line 2 has a frame, identity or class beyond 2\^53 - 1"),
        ("1,-9007199254740993,3,4,5,6", r"line 2 has a frame, identity or class beyond"),
        ("1,2,3,4,5,6,1,1e19,1", r"line 2 has a frame, identity or class beyond"),
        ("2;1;10,5;20,5;30;60", r"line 2 is '2;1;10,5;20,5;30;60', but must begin with the numbers"),
        ("2\t1\t10,5\t20\t30\t60", r"line 2 is .*, but must begin with the numbers"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "gt.txt").write_text(f"1,1,1,1,5,5\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_mot(tmp_path / "gt.txt")


def test_crops_of_sequences_do_not_share_identities(tmp_path: Path) -> None:
    for name in ("MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-04-DPM"):
        sequence(tmp_path / "train" / name)
    assert list(sequences_in(tmp_path)) == ["MOT17-02", "MOT17-04"]
    counts = cut_crops(tmp_path, tmp_path / "crops")
    assert counts == {"crops": 4, "not counted": 4, "hidden": 2, "small": 0}
    data = load("mot", tmp_path / "crops", gap=1, stride=1)
    assert detect(tmp_path / "crops") == "mot" and data.protocol == "reassociation"
    names = {
        (str(Path(path).relative_to(tmp_path / "crops")), int(who))
        for path, who in zip(data.train.paths, data.train.identities, strict=True)
    }
    assert names == {
        ("MOT17-02/0001/000001.jpg", 1), ("MOT17-02/0001/000002.jpg", 1),
        ("MOT17-04/0001/000001.jpg", 2), ("MOT17-04/0001/000002.jpg", 2),
    }  # fmt: skip
    assert cv2.imread(str(tmp_path / "crops/MOT17-02/0001/000002.jpg")).shape == (40, 20, 3)


def test_reassociation_asks_the_second_half_or_whole_sequences(tmp_path: Path) -> None:
    lines = [f"{frame},{who},{10 * who},5,12,30,1,1,1" for frame in range(1, 13) for who in (1, 2, 3)]
    for name in ("A", "B"):
        sequence(tmp_path / "sets" / name, "\n".join(lines) + "\n", frames=12)
    cut_crops(tmp_path / "sets", tmp_path / "crops")
    data = load("mot", tmp_path / "crops", gap=2, stride=4)
    assert sorted(set(data.train.columns["frames"].tolist())) == list(range(1, 8))  # up to 12 // 2 + 1
    assert set(data.query.columns["frames"].tolist()) == {8, 12}
    assert set(data.gallery.columns["frames"].tolist()) == {10} and set(data.query.cameras.tolist()) == {1, 2}
    assert "6 identities are in both halves" in data.notes[0]
    (shared,) = [one for one in check(tmp_path / "crops", "mot", gap=2, stride=4) if "train and test" in one.what]
    assert shared.severity == "warning" and shared.count == 6 and "--set test_sequences=NAME" in shared.cure
    assert not [one for one in check(tmp_path / "crops", "mot", test_sequences="B") if "train and test" in one.what]
    whole = load("mot", tmp_path / "crops", gap=2, stride=4, test_sequences=["B"])
    assert set(whole.train.columns["sequence_names"]) == {"A"} and set(whole.query.columns["frames"].tolist()) == {
        4,
        8,
        12,
    }
    assert not set(whole.train.identities.tolist()) & set(whole.query.identities.tolist())
    far = load("mot", tmp_path / "crops", gap=20, stride=4)
    assert not len(far.gallery) and "no box lies 20 frames after a query's" in far.notes[1]
    assert (
        load("mot", tmp_path / "crops", test_sequences="B").fingerprint()
        == load("mot", tmp_path / "crops", test_sequences=["B"]).fingerprint()
    )
    with pytest.raises(RecipeError, match=r"has no sequence 'C': choose from A, B"):
        load("mot", tmp_path / "crops", test_sequences=["C"])


def test_missing_frames_and_infos_are_named(tmp_path: Path) -> None:
    folder = sequence(tmp_path / "A")
    with pytest.raises(DataError, match=r"is no crop such as .*cut its crops first: resight data crops"):
        load("mot", folder)
    for place in ("one", "other"):
        sequence(tmp_path / "both" / place / "A")
    with pytest.raises(DataError, match=r"one/A and .*other/A are sequences of one name"):
        sequences_in(tmp_path / "both")
    (folder / "img1" / "000002.jpg").unlink()
    with pytest.raises(DataError, match=r"img1/000002\.jpg cannot be read"):
        cut_crops(folder, tmp_path / "crops")
    assert not (tmp_path / "crops").exists()
    (folder / "seqinfo.ini").write_text("[Sequence]\nname=A\n")
    with pytest.raises(DataError, match=r"seqinfo\.ini has no \[Sequence\] with a whole seqLength"):
        cut_crops(folder, tmp_path / "crops")
    late = sequence(tmp_path / "late", GT.replace("3,2,", "9,2,"))
    with pytest.raises(DataError, match=r"gt\.txt has boxes up to frame 9, but seqinfo\.ini says seqLength=4"):
        cut_crops(late, tmp_path / "crops")
    nobody = sequence(tmp_path / "nobody", "1,1,10,20,20,40,0,1,1\n2,1,95,20,20,40,1,1,1\n")
    with pytest.raises(DataError, match=r"no box of which a crop can be cut \(1 not counted, 0 hidden, 1 small\)"):
        cut_crops(nobody, tmp_path / "crops")
    assert not (tmp_path / "crops").exists()
    detections = sequence(tmp_path / "detections", "1,-1,10,20,20,40,1\n1,-1,50,20,20,40,1\n")
    with pytest.raises(DataError, match=r"has 2 boxes of nobody \(identity -1\), as a file of detections"):
        cut_crops(detections, tmp_path / "crops")  # both would be one file
    with pytest.raises(DataError, match=r"holds no sequence, for there is no gt/gt\.txt"):
        sequences_in(tmp_path / "A" / "img1")
