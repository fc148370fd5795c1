from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from conftest import SHARED, write_noise
from resight.datasets import detect, load
from resight.datasets.catalog import Dataset
from resight.datasets.layouts import check_counts
from resight.datasets.vehicles import veri776
from resight.errors import DataError, RecipeError
from resight.records import Split


def write(root: Path, names: Iterable[str]) -> Path:
    for seed, name in enumerate(names):
        write_noise(root / name, 8, 8, seed)
    return root


def zipped(root: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, f"deep/{root.name}/{path.relative_to(root)}")
    return archive


def names(split: Split) -> list[str]:
    return [Path(path).name for path in split.paths]


def stripped(data: Dataset) -> list[object]:
    """What must not depend on where the data lies."""
    return [
        (
            names(split),
            split.identities.tolist(),
            split.cameras.tolist(),
            {k: v.tolist() for k, v in split.columns.items()},
        )
        for split in data.splits.values()
    ]


# --- VeRi-776

VERI = [
    f"image_train/{who:04d}_c{camera:03d}_000{who}{camera}600_0.jpg" for who in range(1, 7) for camera in (1, 2, 17)
]
VERI += ["image_query/0007_c002_00030600_0.jpg", "image_query/0008_c019_00000007_1.jpg"]
VERI += [
    "image_test/0007_c002_00030600_0.jpg",
    "image_test/0007_c003_00030605_2.jpg",
    "image_test/0008_c001_00000009_0.jpg",
]


def test_veri_labels_come_from_names(tmp_path: Path) -> None:
    root = write(tmp_path / "VeRi", VERI)
    data = load("veri776", root, strict=False)
    assert data.query.identities.tolist() == [7, 8] and data.query.cameras.tolist() == [2, 19]
    assert data.query.columns["times"].tolist() == [30600, 7]
    assert data.gallery.cameras.tolist() == [2, 3, 1]
    assert data.train.identities.tolist() == [who for who in range(1, 7) for _ in range(3)]
    assert data.protocol == "market1501" and data.notes == ("The numbers of images are not VeRi-776's own.",)
    archive = load("veri776", zipped(root, tmp_path / "v.zip"), strict=False)
    assert stripped(archive) == stripped(data) and archive.fingerprint() == data.fingerprint()


def test_veri_is_strict_about_its_numbers_and_names(tmp_path: Path) -> None:
    root = write(tmp_path / "VeRi", VERI)
    with pytest.raises(DataError, match=r"train has 18 images instead of 37,778 or 37,781: .*strict=False"):
        load("veri776", root)
    write_noise(root / "image_test" / "0007_c2s1_000001_00.jpg", 8, 8)
    with pytest.raises(DataError, match=r"0007_c2s1_000001_00\.jpg has no name such as 0002_c002_00030600_0\.jpg"):
        load("veri776", root, strict=False)


@pytest.mark.parametrize(("images", "right"), [(37_778, True), (37_781, True), (37_779, False), (37_746, False)])
def test_both_of_veris_train_counts_are_right(images: int, right: bool) -> None:
    def split(images: int, identities: int) -> Split:
        return Split(np.full(images, "a.jpg"), 1 + np.arange(images) % identities, np.ones(images, dtype=np.int64))

    data = Dataset("veri776", split(images, 576), split(1_678, 200), split(11_579, 200))
    if right:
        assert check_counts(data, veri776.OFFICIAL, "VeRi", "VeRi-776", strict=True) is data
    else:
        with pytest.raises(DataError, match=f"train has {images:,} images"):
            check_counts(data, veri776.OFFICIAL, "VeRi", "VeRi-776", strict=True)


def test_a_test_set_of_veri_alone_is_read(tmp_path: Path) -> None:
    root = write(tmp_path / "VeRi", [name for name in VERI if "train" not in name])
    assert detect(root) == "veri776"
    data = load("veri776", root, strict=False)
    assert len(data.train) == 0 and len(data.query) and len(data.gallery)
    with pytest.raises(DataError, match="train has 0 images"):
        load("veri776", root)


def test_veri_leaves_strays_out_and_holds_out_for_validation(tmp_path: Path) -> None:
    root = write(tmp_path / "VeRi", VERI)
    (root / "image_test" / "Thumbs.db").write_bytes(b"")
    data = load("veri776", root, strict=False, fold="validation", held_out=2, seed=1)
    assert data.notes[0].startswith("1 file that is not a readable image was left out (1 .db; first ")
    held = set(data.query.identities.tolist())
    assert len(held) == 2 and held | set(data.train.identities.tolist()) == set(range(1, 7))
    assert not held & set(data.train.identities.tolist()) and held == set(data.gallery.identities.tolist())


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    root = write(tmp_path / "VeRi", [name for name in VERI if "query" not in name])
    with pytest.raises(DataError, match=r"VeRi has no files in image_query"):
        load("veri776", root)
    with pytest.raises(DataError, match=r"is not VeRi-776, for there is no image_query in it"):
        load("veri776", root / "image_train")
    write(tmp_path / "a", VERI)
    write(tmp_path / "b", VERI)
    with pytest.raises(DataError, match=r"VeRi-776 2 times: pass .*/a or .*/b"):
        load("veri776", tmp_path)


@pytest.mark.parametrize("name", ["veri776", "vehicleid", "veriwild", "two_camera_vehicles"])
def test_an_unknown_fold_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"{name} has no fold 'train': choose 'test' or 'validation'"):
        load(name, tmp_path, fold="train")


# --- VehicleID


@pytest.fixture
def vehicleid(tmp_path: Path) -> Path:
    """Vehicles 0 to 5 to train on, three images each; 6 to 9 to test, with 2, 3, 4 and 5 images."""
    root = tmp_path / "VehicleID_V1.0"
    lists: dict[str, list[str]] = {"train_list": [], "test_list_800": []}
    image = 0
    for vehicle in range(10):
        for _ in range(3 if vehicle < 6 else vehicle - 4):
            image += 1
            write_noise(root / "image" / f"{image:07d}.jpg", 8, 8, image)
            lists["train_list" if vehicle < 6 else "test_list_800"].append(f"{image:07d} {vehicle}")
    (root / "train_test_split").mkdir()
    for name, lines in lists.items():
        (root / "train_test_split" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_vehicleid_draws_one_gallery_image_of_each_vehicle(vehicleid: Path) -> None:
    data = load("vehicleid", vehicleid, strict=False)
    assert data.protocol == "single_camera"
    assert sorted(data.gallery.identities.tolist()) == [7, 8, 9, 10]
    assert sorted(data.query.identities.tolist()) == [7] * 1 + [8] * 2 + [9] * 3 + [10] * 4
    everyone = [*names(data.train), *names(data.query), *names(data.gallery)]
    assert sorted(everyone) == sorted(path.name for path in (vehicleid / "image").iterdir())
    for split in data.splits.values():
        assert (split.columns["vehicles"] == split.identities - 1).all() and not split.cameras.any()
    assert data.train.columns["vehicles"].min() == 0 and data.facts()["train"]["distractors"] == 0
    listed = dict(
        line.split() for line in (vehicleid / "train_test_split" / "test_list_800.txt").read_text().splitlines()
    )
    assert all(
        listed[name[:7]] == str(who - 1) for name, who in zip(names(data.query), data.query.identities, strict=True)
    )


def test_vehicleid_repeats_are_ten_reproducible_draws(vehicleid: Path) -> None:
    draws = [tuple(names(load("vehicleid", vehicleid, strict=False, repeat=repeat).gallery)) for repeat in range(10)]
    again = [tuple(names(load("vehicleid", vehicleid, strict=False, repeat=repeat).gallery)) for repeat in range(10)]
    assert draws == again
    assert len(set(draws)) >= 7  # of 2 * 3 * 4 * 5 = 120 possible ones
    with pytest.raises(RecipeError, match="no repeat 10: choose 0 to 9"):
        load("vehicleid", vehicleid, repeat=10)
    with pytest.raises(RecipeError, match="no test list of size 801: choose 800, 1600 or 2400"):
        load("vehicleid", vehicleid, size=801)


def test_vehicleid_validation_follows_the_same_protocol(vehicleid: Path) -> None:
    data = load("vehicleid", vehicleid, strict=False, fold="validation", held_out=2)
    held = sorted(set(data.gallery.identities.tolist()))
    assert len(data.gallery) == len(held) == 2 and len(data.query) == 4
    assert set(held) == set(data.query.identities.tolist())
    assert set(data.train.identities.tolist()) == set(range(1, 7)) - set(held)
    with pytest.raises(DataError, match="6 train identities, so 6 cannot be held out"):
        load("vehicleid", vehicleid, strict=False, fold="validation", held_out=6)


def test_vehicleid_says_what_is_wrong(vehicleid: Path) -> None:
    with pytest.raises(DataError, match=r"train has 18 images instead of 113,346"):
        load("vehicleid", vehicleid)
    with pytest.raises(DataError, match=r"test_list_1600\.txt cannot be read"):
        load("vehicleid", vehicleid, size=1600, strict=False)
    listed = vehicleid / "train_test_split" / "train_list.txt"
    before = listed.read_text()
    listed.write_text(before + "\n9999999 5\n")
    with pytest.raises(DataError, match=r"lists 19 images but 1 of them are not there, first .*/9999999\.jpg"):
        load("vehicleid", vehicleid, strict=False)
    for line in ("0000001", "0000001 x", "0000001 1 2"):
        listed.write_text(before + f"\n{line}\n")
        with pytest.raises(DataError, match=rf"train_list\.txt line 20 is '{line}'"):
            load("vehicleid", vehicleid, strict=False)


# --- VERI-Wild


def veriwild(root: Path, *, ids: bool, info: bool = True) -> Path:
    """Vehicles 1 to 4 to train on and 5 to 7 to test, each once in the cameras 11 to 13; the first asks.

    ``ids`` writes the version of the lists with labels and cameras, where the gallery list repeats the queries.
    """
    (root / "train_test_split").mkdir(parents=True)
    lists: dict[str, list[str]] = {"train": [], "query": [], "gallery": []}
    about = ["id/image;Camera ID;Time;Model;Type;Color"]
    image = 0
    for vehicle in range(1, 8):
        for camera in (11, 12, 13):
            image += 1
            name = f"{vehicle:05d}/{image:06d}"
            write_noise(root / "images" / f"{name}.jpg", 8, 8, image)
            line = f"{name}.jpg {vehicle - 1} {camera}" if ids else name
            lists["train" if vehicle < 5 else "query" if camera == 11 else "gallery"].append(line)
            about.append(f"{name};{camera};2018-03-{vehicle:02d} 10:00:{camera};大众 Polo;SUV;white")
    if ids:
        lists["gallery"] += lists["query"]
    files = {"train": "train_list_start0" if ids else "train_list"}
    files |= {"query": "test_3000_id_query", "gallery": "test_3000_id"} if ids else {}
    files = {"query": "test_3000_query", "gallery": "test_3000"} | files
    for key, name in files.items():
        (root / "train_test_split" / f"{name}.txt").write_text("\n".join(lists[key]))
    if info:
        (root / "train_test_split" / "vehicle_info.txt").write_bytes("\n".join(about).encode("gb18030"))
    return root


def test_veriwild_reads_both_versions_of_its_lists(tmp_path: Path) -> None:
    one = load("veriwild", veriwild(tmp_path / "one", ids=False), strict=False)
    two = load("veriwild", veriwild(tmp_path / "two", ids=True), strict=False)
    bare = load("veriwild", veriwild(tmp_path / "bare", ids=True, info=False), strict=False)
    assert stripped(one) == stripped(two)
    assert one.train.identities.tolist() == [2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert one.query.columns["vehicles"].tolist() == [5, 6, 7] and one.query.cameras.tolist() == [11] * 3
    assert one.gallery.cameras.tolist() == [12, 13] * 3 and bare.gallery.cameras.tolist() == [12, 13] * 3
    assert one.query.columns["times"][0] == "2018-03-05 10:00:11"
    assert [one.query.columns[key][0] for key in ("models", "types", "colours")] == ["大众 Polo", "SUV", "white"]
    assert set(bare.query.columns["times"].tolist()) == {""}
    assert one.protocol == "market1501"


def test_veriwild_says_what_is_wrong(tmp_path: Path) -> None:
    root = veriwild(tmp_path / "wild", ids=False)
    with pytest.raises(DataError, match="train has 12 images instead of 277,797"):
        load("veriwild", root)
    with pytest.raises(DataError, match=r"has no test_5000_query\.txt nor test_5000_id_query\.txt"):
        load("veriwild", root, size=5000)
    with pytest.raises(RecipeError, match="no test list of size 1: choose 3000, 5000 or 10000"):
        load("veriwild", root, size=1)
    (root / "train_test_split" / "vehicle_info.txt").unlink()
    with pytest.raises(
        DataError, match=r"train_list\.txt line 1: no camera is known of 00001/000001: put .*vehicle_info"
    ):
        load("veriwild", root, strict=False)
    (root / "train_test_split" / "train_list.txt").write_text("\nx/1.jpg 0 1\n")
    with pytest.raises(DataError, match=r"train_list\.txt line 2 is 'x/1\.jpg 0 1'"):
        load("veriwild", root, strict=False)
    (root / "train_test_split" / "train_list.txt").write_text("00001/9.jpg 0 1\n")
    with pytest.raises(DataError, match=r"lists 1 images but 1 of them are not there, first .*/images/00001/9\.jpg"):
        load("veriwild", root, strict=False)


def test_veriwild_validation_uses_train_images_alone(tmp_path: Path) -> None:
    data = load("veriwild", veriwild(tmp_path / "wild", ids=True), strict=False, fold="validation", held_out=1)
    assert len(data.train) == 9 and len(data.query) + len(data.gallery) == 3
    assert max(split.columns["vehicles"].max() for split in data.splits.values()) == 4


# --- two cameras

PAIRS = [
    "train/car_0001",
    "train/car_0002",
    "train/truck_0001",
    "train/motorcycle_153",
    "test/car_0001",
    "test/bus_0003",
]


def two_cameras(root: Path) -> Path:
    return write(root, [f"images/{pair}_cam{camera}.jpg" for pair in PAIRS for camera in (1, 2)])


def test_two_cameras_ask_and_answer(tmp_path: Path) -> None:
    data = load("two_camera_vehicles", two_cameras(tmp_path / "two"), strict=False)
    assert names(data.query) == ["bus_0003_cam1.jpg", "car_0001_cam1.jpg"]
    assert names(data.gallery) == ["bus_0003_cam2.jpg", "car_0001_cam2.jpg"]
    assert data.query.identities.tolist() == data.gallery.identities.tolist()
    assert data.query.columns["types"].tolist() == ["bus", "car"]
    assert sorted(set(data.train.columns["types"].tolist())) == ["car", "motorcycle", "truck"]
    identities = {
        Path(p).parent.name + Path(p).name[:-9]: i
        for s in data.splits.values()
        for p, i in zip(s.paths, s.identities, strict=True)
    }
    assert len(identities) == len(set(identities.values())) == len(PAIRS)  # car 1 of train is not car 1 of test
    assert min(identities.values()) == 1


@pytest.mark.parametrize("seed", range(5))
def test_two_cameras_validation_asks_with_camera_1(tmp_path: Path, seed: int) -> None:
    root = two_cameras(tmp_path / "two")
    data = load("two_camera_vehicles", root, strict=False, fold="validation", held_out=3, seed=seed)
    assert data.query.cameras.tolist() == [1] * 3 and data.gallery.cameras.tolist() == [2] * 3
    assert data.query.identities.tolist() == data.gallery.identities.tolist()
    assert not np.isin(data.query.identities, data.train.identities).any() and len(data.train) == 2
    assert all("/train/" in path for split in data.splits.values() for path in split.paths)


def test_two_cameras_refuse_other_names_and_numbers(tmp_path: Path) -> None:
    root = two_cameras(tmp_path / "two")
    with pytest.raises(DataError, match=r"train has 8 images instead of 1,014"):
        load("two_camera_vehicles", root)
    write_noise(root / "images/test/car_0001_cam3.jpg", 8, 8)
    with pytest.raises(DataError, match=r"car_0001_cam3\.jpg has no name such as car_0001_cam1\.jpg"):
        load("two_camera_vehicles", root)


@pytest.fixture(scope="module")
def vehicles_zip() -> Path:
    path = SHARED / "data" / "two_camera_vehicles.zip"
    if not path.is_file():
        pytest.skip(f"needs the real vehicles at {path}")
    return path


def test_the_real_vehicles_have_the_facts_that_folder_reads(vehicles_zip: Path) -> None:
    data = load("two_camera_vehicles", vehicles_zip)
    pattern = r"(?P<identity>(?:train|test)/[a-z]+_\d+)_cam(?P<camera>\d)"
    other = load("folder", vehicles_zip, pattern=pattern)
    assert data.facts()["train"] == other.facts()["train"]
    assert data.facts()["train"] | {"junk": 0} == {
        "images": 1014,
        "identities": 507,
        "cameras": 2,
        "junk": 0,
        "distractors": 0,
    }
    who = {
        path: int(i) for split in other.splits.values() for path, i in zip(split.paths, split.identities, strict=True)
    }
    for split in data.splits.values():
        assert [who[path] for path in split.paths] == split.identities.tolist()
    assert len(data.query) == len(data.gallery) == len(np.unique(data.query.identities)) == 60
    kinds = dict(zip(*np.unique(data.train.columns["types"], return_counts=True), strict=True))
    assert kinds == {"car": 250, "motorcycle": 644, "truck": 112, "bus": 8}  # by the data set's own read-me, doubled
    held = load("two_camera_vehicles", vehicles_zip, fold="validation")
    assert [held.facts()[key]["identities"] for key in ("train", "query", "gallery")] == [405, 102, 102]


# --- which is which


def test_the_layouts_are_detected(tmp_path: Path, vehicleid: Path) -> None:
    veri = write(tmp_path / "VeRi", VERI)
    wild = veriwild(tmp_path / "wild", ids=True)
    two = two_cameras(tmp_path / "two")
    assert [detect(root) for root in (veri, vehicleid, wild, two)] == [
        "veri776",
        "vehicleid",
        "veriwild",
        "two_camera_vehicles",
    ]
    assert detect(zipped(two, tmp_path / "two.zip")) == "two_camera_vehicles"
    assert detect(veri / "image_train") == "folder"
    write_noise(two / "images" / "train" / "other.jpg", 8, 8)
    assert detect(two) == "folder"


def test_the_real_vehicles_are_detected(vehicles_zip: Path) -> None:
    assert detect(vehicles_zip) == "two_camera_vehicles"
