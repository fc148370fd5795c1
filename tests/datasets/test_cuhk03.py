"""CUHK03 on hand-made copies: unpacked images with configs, and the big file that they come from."""

import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from conftest import write_noise
from resight.datasets import detect, load
from resight.datasets.cuhk03_mat import unpack
from resight.errors import DataError, RecipeError
from resight.images.check import check
from resight.records import Split

PEOPLE = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (5, 1)]
NAMES = [f"{pair}_{who:03d}_{1 + n // 2}_{(1, 2, 6, 7)[n]:02d}.png" for pair, who in PEOPLE for n in range(4)]
TESTED = [(1, 2), (2, 1)]


def config(path: Path, names: list[str]) -> None:
    """As the new protocol's: three people to train on; of the others the first image of each camera asks."""
    files = np.empty((len(names), 1), object)
    files[:, 0] = names
    number = 1 + np.arange(len(names))
    train, first = number <= 12, (number - 1) % 2 == 0
    parts = {"train": train, "query": ~train & first, "gallery": ~train & ~first}
    labels = (number - 1) // 4 + 1
    savemat(
        path,
        {"filelist": files, "labels": labels[:, None]}
        | {f"{part}_idx": number[which][:, None].astype(np.uint16) for part, which in parts.items()},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Unpacked: in the labeled images one of the first person's is missing."""
    folder = tmp_path / "cuhk03"
    for boxes, names in (("detected", NAMES), ("labeled", NAMES[1:])):
        for seed, name in enumerate(names):
            write_noise(folder / f"images_{boxes}" / name, 8, 8, seed + 100 * (boxes == "labeled"))
        config(folder / f"cuhk03_new_protocol_config_{boxes}.mat", names)
    lines = [f"{at} {pair} {who}\n" for at in range(20) for pair, who in (TESTED if at == 3 else [(1, 1), (5, 1)])]
    (folder / "testsets.txt").write_text("".join(lines))
    return folder


def names(split: Split) -> list[str]:
    return [Path(path).name for path in split.paths]


def test_the_new_protocol_is_that_of_the_config(root: Path) -> None:
    data = load("cuhk03", root, strict=False)
    assert names(data.train) == NAMES[:12]
    assert names(data.query) == NAMES[12::2] and names(data.gallery) == NAMES[13::2]
    assert data.query.identities.tolist() == [2001, 2001, 2002, 2002, 5001, 5001]
    assert data.query.cameras.tolist() == [3, 4, 3, 4, 9, 10] and data.protocol == "market1501"
    assert all("/images_detected/" in path for path in data.query.paths)
    labeled = load("cuhk03", root, strict=False, boxes="labeled")
    assert names(labeled.train) == NAMES[1:13] and all("/images_labeled/" in path for path in labeled.query.paths)


def test_the_classic_protocol_asks_camera_2_for_one_image_each(root: Path) -> None:
    draws = [load("cuhk03", root, strict=False, protocol="classic", test_set=3, repeat=at) for at in range(20)]
    for data in draws:
        assert names(data.query) == ["1_002_1_01.png", "1_002_1_02.png", "2_001_1_01.png", "2_001_1_02.png"]
        assert data.gallery.identities.tolist() == [1002, 2001]
        assert [name[:7] for name in names(data.gallery)] == ["1_002_2", "2_001_2"]
        assert len(data.train) == len(NAMES) - 8 and not np.isin(data.train.identities, [1002, 2001]).any()
    assert {tuple(names(data.gallery)) for data in draws} == {
        (f"1_002_2_{one}.png", f"2_001_2_{two}.png") for one in ("06", "07") for two in ("06", "07")
    }
    again = load("cuhk03", root, strict=False, protocol="classic", test_set=3, repeat=7)
    assert names(again.gallery) == names(draws[7].gallery)
    other = load("cuhk03", root, strict=False, protocol="classic")
    assert sorted(set(other.query.identities.tolist())) == [1001, 5001] and "draw 0 of 20" in other.notes[0]


def test_it_is_found_checked_and_held_out_also_in_a_zip(root: Path, tmp_path: Path) -> None:
    archive = tmp_path / "c.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, f"deep/{path.relative_to(root)}")
    assert detect(root) == detect(archive) == "cuhk03"
    assert load("cuhk03", archive, strict=False).fingerprint() == load("cuhk03", root, strict=False).fingerprint()
    found = [str(finding) for finding in check(root) if finding.severity == "error"]
    assert len(found) == 1 and "instead of 7,365" in found[0]
    assert not [finding for finding in check(root, strict=False) if finding.severity == "error"]
    data = load("cuhk03", root, strict=False, fold="validation", held_out=1)
    assert len(data.train) == 8 and len(data.query) + len(data.gallery) == 4


def test_what_is_wrong_is_said(root: Path) -> None:
    for options, message in (
        ({"boxes": "label"}, "cuhk03 has no boxes 'label': choose 'detected' or 'labeled'"),
        ({"protocol": "old"}, "cuhk03 has no protocol 'old': choose 'new' or 'classic'"),
        ({"test_set": 20}, "cuhk03 has no test_set 20: choose 0 to 19"),
        ({"repeat": -1}, "cuhk03 has no repeat -1: choose 0 to 19"),
        ({"fold": "train"}, "cuhk03 has no fold 'train'"),
    ):
        with pytest.raises(RecipeError, match=message):
            load("cuhk03", root, **options)
    with pytest.raises(DataError, match=r"train has 12 images instead of 7,365: .*strict=False"):
        load("cuhk03", root)
    with pytest.raises(DataError, match="identities instead of 1,367"):
        load("cuhk03", root, protocol="classic")
    lists = root / "testsets.txt"
    lists.write_text("0 1 2\n0 1\n")
    with pytest.raises(DataError, match=r"testsets\.txt line 2 is '0 1'"):
        load("cuhk03", root, strict=False, protocol="classic")
    lists.unlink()
    with pytest.raises(DataError, match=r"cuhk03 has no testsets\.txt: unpack cuhk-03\.mat again"):
        load("cuhk03", root, strict=False, protocol="classic")
    (root / "images_detected" / NAMES[0]).unlink()
    with pytest.raises(DataError, match=f"lists 24 images but 1 of them are not there, first {NAMES[0]}"):
        load("cuhk03", root, strict=False)
    mat = root / "cuhk03_new_protocol_config_detected.mat"
    mat.write_bytes(b"none of scipy's")
    with pytest.raises(DataError, match=r"config_detected\.mat is not CUHK03's config \(.*\): download it again"):
        load("cuhk03", root, strict=False)
    mat.unlink()
    with pytest.raises(DataError, match=r"has no cuhk03_new_protocol_config_detected\.mat: put the published file"):
        load("cuhk03", root, strict=False)
    write_noise(root / "images_detected" / "0001_c1.png", 8, 8)
    with pytest.raises(DataError, match=r"0001_c1\.png has no name such as 1_002_2_07\.png"):
        load("cuhk03", root, strict=False)


def test_what_is_not_unpacked_is_said(tmp_path: Path) -> None:
    (tmp_path / "cuhk03_release").mkdir()
    with pytest.raises(DataError, match="is not CUHK03, for there is no images_detected in it"):
        load("cuhk03", tmp_path)
    (tmp_path / "cuhk03_release" / "cuhk-03.mat").write_bytes(b"x")
    assert detect(tmp_path) == "cuhk03"
    with pytest.raises(DataError, match=r"cuhk-03\.mat is not unpacked, .* call resight\.datasets\.cuhk03_mat\.unpack"):
        load("cuhk03", tmp_path)


def test_the_big_file_is_unpacked(tmp_path: Path) -> None:
    """The file is laid out as MATLAB does: every axis in reverse, cells as references, empty cells as (2,) numbers."""
    h5py = pytest.importorskip("h5py")
    rng, pictures = np.random.default_rng(0), {}
    mat = tmp_path / "cuhk-03.mat"
    with h5py.File(mat, "w") as file:

        def put(values: np.ndarray) -> object:
            return file.create_dataset(f"#refs#/{len(file['#refs#']) if '#refs#' in file else 0}", data=values).ref

        def cells(rows: list[list[object]]) -> np.ndarray:
            return np.array(rows, dtype=h5py.ref_dtype)

        for boxes in ("detected", "labeled"):
            pairs = []
            for pair in (1, 2):
                grid = []
                for number in range(1, 11):
                    row = []
                    for person in (1, 2):
                        if number in (1, 2, 7):
                            image = rng.integers(0, 256, (9 + person, 5, 3), dtype=np.uint8)
                            pictures[boxes, f"{pair}_{person:03d}_{1 if number < 6 else 2}_{number:02d}.png"] = image
                            row.append(put(image.T))
                        else:
                            row.append(put(np.zeros(2, np.uint64)))
                    grid.append(row)
                pairs.append(put(cells(grid)))
            file.create_dataset(boxes, data=cells([pairs]))
        sets = [put(np.array([[1.0, 2.0], [2.0, 1.0]]).T), put(np.array([[1.0, 1.0]]).T)]
        file.create_dataset("testsets", data=cells([sets]))
    assert unpack(mat, tmp_path / "out") == len(pictures) == 24
    for (boxes, name), image in pictures.items():
        read = cv2.imread(str(tmp_path / "out" / f"images_{boxes}" / name))
        np.testing.assert_array_equal(read[..., ::-1], image)
    assert len(list(tmp_path.glob("out/*/*"))) == 24
    assert (tmp_path / "out" / "testsets.txt").read_text() == "0 1 2\n0 2 1\n1 1 1\n"
    kept = tmp_path / "out" / "images_labeled" / "1_001_1_01.png"
    kept.write_bytes(b"mine")
    assert unpack(mat, tmp_path / "out") == 24 and kept.read_bytes() == b"mine"
    data = load("cuhk03", tmp_path / "out", protocol="classic", strict=False)
    assert sorted(set(data.query.identities.tolist())) == [1002, 2001] and len(data.query) == 4


def test_what_it_needs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    with pytest.raises(DataError, match=r"cuhk-03\.mat can be read with h5py only: pip install h5py"):
        unpack(tmp_path / "cuhk-03.mat", tmp_path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "a.mat").write_bytes(b"none of h5py's")
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["detected"] = [1]
    for name in ("a.mat", "b.mat", "none.mat"):
        with pytest.raises(DataError, match=rf"{name} is not CUHK03's cuhk-03\.mat \(.*\): download it again"):
            unpack(tmp_path / name, tmp_path)
