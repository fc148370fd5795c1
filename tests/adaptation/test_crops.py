"""What crops are read from, and what is known of each."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import resight
import tiny
from resight.adaptation.constraints import Constraints
from resight.adaptation.crops import read
from resight.errors import DataError, RecipeError
from resight.gallery.gallery import Gallery
from resight.models.model import Model
from resight.watch.link import Rules


def crop(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), tiny.picture(seed, 1, 0)[..., ::-1])
    return path


def test_names_like_market_give_cameras_and_frames(tmp_path: Path) -> None:
    for name in ("0001_c1s1_000010_01", "0002_c1s1_000010_02", "0003_c1s2_000010_01", "0001_c2s1_000010_01"):
        crop(tmp_path / f"{name}.png", 1)
    found = read(tmp_path)
    assert found.camera_names == ("1", "2")
    np.testing.assert_array_equal(found.cameras, [0, 1, 0, 0])  # sorted by name
    frames = dict(zip([Path(path).name[:7] for path in found.images.paths], found.frames, strict=True))
    assert len(set(found.frames.tolist())) == 3, "two of camera 1, sequence 1, were in one frame"
    assert frames["0001_c1"] == frames["0002_c1"] != frames["0003_c1"]


def test_counters_are_no_frames(tmp_path: Path) -> None:
    table = {"path": np.array([str(crop(tmp_path / "a.png", 1))] * 124), "camera": np.tile(["x", "y"], 62)}
    frames = np.repeat(np.arange(62), 2)
    assert (read(table | {"frame": frames}).frames >= 0).all()
    found = read(table | {"frame": frames % 4 // 2})
    assert (found.frames == -1).all() and "share one number" in found.notes[-1]


def test_folders_named_like_cameras(tmp_path: Path) -> None:
    for at, name in enumerate(("cam1/a.png", "cam1/b.png", "cam_hall/a.png")):
        crop(tmp_path / name, at)
    found = read(tmp_path)
    assert found.camera_names == ("cam1", "cam_hall") and found.cameras.tolist() == [0, 0, 1]
    assert "The folders give 2 cameras" in found.notes[-1]


def test_a_pattern_and_its_errors(tmp_path: Path) -> None:
    for name in ("gate-t1-5.0.png", "gate-t1-6.0.png", "hall-t1-7.5.png"):
        crop(tmp_path / name, 1)
    found = read(tmp_path, cameras=r"(?P<camera>\w+)-t(?P<track>\d)-(?P<time>[\d.]+)\.png$")
    assert found.camera_names == ("gate", "hall") and found.times.tolist() == [5.0, 6.0, 7.5]
    assert found.tracks[0] == found.tracks[1] != found.tracks[2], "tracks count anew in each camera"
    with pytest.raises(DataError, match="does not fit 1 of 3"):
        read(tmp_path, cameras=r"(?P<camera>gate)-")
    with pytest.raises(RecipeError, match="no group called camera"):
        read(tmp_path, cameras="gate")
    with pytest.raises(RecipeError, match="regular expression"):
        read(tmp_path, cameras="(")
    assert not read(tmp_path).camera_names and "No camera can be read" in read(tmp_path).notes[-1]


def test_a_table(tmp_path: Path) -> None:
    crop(tmp_path / "a.png", 1), crop(tmp_path / "b.png", 2), crop(tmp_path / "c.png", 3)
    table = tmp_path / "crops.csv"
    table.write_text("path,cam,track,frame,time,identity\na.png,x,7,1,0.5,anna\nb.png,x,7,2,,\nc.png,y,,1,2.5,ben\n")
    found = read(table, cameras="cam")
    assert found.camera_names == ("x", "y") and found.tracks[0] == found.tracks[1] >= 0 and found.tracks[2] == -1
    assert len(set(found.frames.tolist())) == 3 and np.isnan(found.times[1]) and found.times[2] == 2.5
    assert found.labelled and found.images.identities[1] == -1
    assert not read(table).camera_names, "there is no column camera"
    with pytest.raises(DataError, match="no column 'room'"):
        read(table, cameras="room")
    pandas_like = {"path": np.array([str(tmp_path / "a.png")]), "camera": np.array([3]), "time": np.array(["later"])}
    with pytest.raises(DataError, match="'later', which is no number"):
        read(pandas_like)


def test_a_data_set_gives_its_training_images(tiny_market) -> None:  # type: ignore[no-untyped-def]
    found = read(tiny_market())
    assert len(found) == 16 and found.labelled and (found.frames >= 0).all()


def test_people_in_folders(tmp_path: Path) -> None:
    for at, name in enumerate(("anna/1_a.png", "anna/2_a.png", "ben/1_a.png")):
        crop(tmp_path / name, at)
    found = read(tmp_path, name="people")
    assert found.labelled and found.camera_names == ("1", "2")
    assert found.images.columns["identity_names"].tolist() == ["anna", "anna", "ben"]


def test_a_gallery_gives_its_records(model: Model, tmp_path: Path) -> None:
    files = [crop(tmp_path / f"{at}.png", at) for at in range(4)]
    with Gallery.open(tmp_path / "seen", model) as gallery:
        gallery.add([str(one) for one in files], cameras=["x", "x", "y", "y"], times=[1.0, 2.0, 3.0, 4.0])
    files[0].unlink()  # its thumbnail suffices
    found = read(str(tmp_path / "seen"), pictures=tmp_path / "pictures")
    assert len(found) == 4 and sorted(found.times.tolist()) == [1.0, 2.0, 3.0, 4.0]
    assert found.camera_names == ("x", "y")
    assert resight.Embedder(model, engine="torch")(found.images).vectors.shape == (4, 48)
    with pytest.raises(RecipeError, match="knows cameras itself"):
        read(str(tmp_path / "seen"), cameras="x", pictures=tmp_path / "pictures")


@pytest.mark.parametrize("kind", ["csv", "parquet", "pandas", "dictionary"])
def test_empty_cells_of_a_table_are_unknown_however_they_are_written(tmp_path: Path, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    columns = {
        "path": [str(crop(tmp_path / f"{at}.png", at)) for at in range(4)],
        "camera": pandas.array([1, None, 1, 10], "Int64"),
        "track": pandas.array([7, 7, None, None], "Int64"),
        "frame": [3.0, np.nan, 3.0, 3.0],
        "sequence": ["a", "a", None, "a"],
        "identity": pandas.array([0, 1, None, 1], "Int64"),
        "time": pandas.to_datetime(["2026-11-21 10:00:00.0", None, "2026-11-21 10:00:02.5", None]),
    }
    frame = pandas.DataFrame(columns)
    source: object = frame
    if kind == "csv":
        seconds = pandas.Series([1795255200.0, np.nan, 1795255202.5, np.nan])
        frame.assign(time=seconds).to_csv(tmp_path / "t.csv", index=False)
        source = tmp_path / "t.csv"
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / "t.parquet")
        source = tmp_path / "t.parquet"
    elif kind == "dictionary":
        source = {name: list(frame[name]) for name in frame}
        source["time"] = [None if pandas.isna(one) else one.timestamp() for one in source["time"]]
    found = read(source)
    assert found.camera_names == ("1", "10") and found.cameras.tolist() == [0, -1, 0, 1]
    assert "1 of 4 images have no camera" in found.notes[0]
    assert found.tracks[2] == found.tracks[3] == -1, "two images without a track are not of one track"
    assert found.tracks[0] >= 0 and found.frames[0] >= 0 and found.frames[3] >= 0
    assert found.frames[1] == found.frames[2] == -1, "no frame, and no sequence"
    who = found.images.identities
    assert who[2] == -1 and who[1] == who[3] > 0 and who[0] > 0, "0 is a person among others"
    np.testing.assert_array_equal(found.times, [1795255200.0, np.nan, 1795255202.5, np.nan])


@pytest.mark.parametrize("cell", ["2026-11-21", "1.2.3", "-", "inf", "12-34"])
def test_a_time_that_is_no_number_is_named(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match=f"'{cell}', which is no number"):
        read({"path": [str(crop(tmp_path / "a.png", 1))], "camera": ["x"], "time": [cell]})


def test_no_rule_of_place_is_for_images_without_a_camera(tmp_path: Path) -> None:
    path = str(crop(tmp_path / "a.png", 1))
    two = {"path": [path] * 4, "track": ["t", "u"] * 2, "time": [1.0, 2.0, 3.0, 4.0]}
    pair = np.array([0]), np.array([1])
    rules = Rules(travel=60.0)
    assert not Constraints(read(two | {"camera": ["x"] * 4}), rules).allowed(*pair).any()
    assert not Constraints(read(two | {"camera": ["x", "y"] * 2}), rules).allowed(*pair).any()
    for known in ({"camera": ["x", None] * 2}, {"camera": [None] * 4}, {}):
        assert Constraints(read(two | known), rules).allowed(*pair).all()
