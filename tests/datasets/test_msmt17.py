"""MSMT17 on hand-made copies of its two layouts."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from conftest import write_noise
from resight.datasets import detect, load, msmt17
from resight.datasets.catalog import Dataset
from resight.datasets.layouts import check_counts
from resight.errors import DataError, RecipeError
from resight.images.check import check
from resight.records import Split

LISTS = {
    "list_train.txt": [
        f"{who:04d}/{who:04d}_00{n}_0{n + 1}_0303morning_0015_{n}.jpg" for who in (0, 1) for n in (0, 1)
    ],
    "list_val.txt": [f"{who:04d}/{who:04d}_002_15_0113noon_1402_0_ex.jpg" for who in (0, 1)],
    "list_query.txt": ["0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_000_12_0114afternoon_0012_2.jpg"],
    "list_gallery.txt": [f"{who:04d}/{who:04d}_00{n}_{n:02d}_0302noon_0007_0.jpg" for who in (0, 1) for n in (4, 5)],
}


def write(root: Path, train: str = "train", test: str = "test") -> Path:
    for at, (name, images) in enumerate(LISTS.items()):
        for seed, image in enumerate(images):
            write_noise(root / (train if at < 2 else test) / image, 8, 8, 100 * at + seed)
        (root / name).write_text("".join(f"{image} {int(image[:4])}\n" for image in images))
    return root


def test_both_versions_are_read_alike(tmp_path: Path) -> None:
    one = load("msmt17", write(tmp_path / "MSMT17_V1"), strict=False)
    two = load("msmt17", write(tmp_path / "MSMT17_V2", "mask_train_v2", "mask_test_v2"), strict=False)
    for data in (one, two):
        assert data.train.identities.tolist() == [1, 1, 2, 2, 1, 2]
        assert data.train.cameras.tolist() == [1, 2, 1, 2, 15, 15]
        assert data.query.identities.tolist() == [3, 4] and data.query.cameras.tolist() == [1, 12]
        assert data.gallery.identities.tolist() == [3, 3, 4, 4]
        assert data.query.columns["people"].tolist() == [0, 1]
        assert data.query.columns["times"].tolist() == ["0303morning", "0114afternoon"]
        assert data.protocol == "market1501" and data.facts()["gallery"]["distractors"] == 0
        assert all(Path(path).is_file() for split in data.splits.values() for path in split.paths)
    assert one.train.paths[0] == f"{tmp_path}/MSMT17_V1/train/0000/0000_000_01_0303morning_0015_0.jpg"
    assert "/mask_test_v2/" in two.query.paths[0]


def test_it_is_known_by_its_lists_also_in_a_zip(tmp_path: Path) -> None:
    root = write(tmp_path / "MSMT17_V1")
    archive = tmp_path / "m.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, f"deep/MSMT17_V1/{path.relative_to(root)}")
    assert detect(tmp_path / "MSMT17_V1") == detect(archive) == "msmt17"
    one, two = (load("msmt17", place, strict=False) for place in (root, archive))
    assert one.fingerprint() == two.fingerprint()


def test_a_data_check_finds_what_is_wrong(tmp_path: Path) -> None:
    root = write(tmp_path / "MSMT17_V1")
    found = [str(finding) for finding in check(root) if finding.severity == "error"]
    assert len(found) == 1 and "train has 6 images instead of 32,621" in found[0]
    whole = check(root, strict=False)
    assert not [finding for finding in whole if finding.severity == "error"]
    (root / "test" / LISTS["list_gallery.txt"][0]).write_bytes(b"")
    assert any(LISTS["list_gallery.txt"][0] in str(finding) for finding in check(root, strict=False))


def test_validation_holds_out_people(tmp_path: Path) -> None:
    data = load("msmt17", write(tmp_path / "MSMT17_V1"), strict=False, fold="validation", held_out=1)
    assert set(data.train.identities.tolist()) | set(data.query.identities.tolist()) == {1, 2}
    assert not set(data.train.identities.tolist()) & set(data.gallery.identities.tolist())
    with pytest.raises(RecipeError, match="msmt17 has no fold 'val': choose 'test' or 'validation'"):
        load("msmt17", tmp_path, fold="val")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    root = write(tmp_path / "MSMT17_V1")
    with pytest.raises(DataError, match=r"train has 6 images instead of 32,621: .*strict=False"):
        load("msmt17", root)
    for line in ("0000/0000_000_01_0303morning_0015_0.jpg", "0000/0000_c1_1.jpg 0", "0000/x.jpg 1 2"):
        (root / "list_query.txt").write_text(f"\n{line}\n")
        with pytest.raises(DataError, match=rf"list_query\.txt line 2 is '{line}'"):
            load("msmt17", root, strict=False)
    (root / "list_query.txt").write_text("0009/0009_000_01_0303morning_0015_0.jpg 9\n")
    with pytest.raises(DataError, match=r"lists 1 images but 1 of them are not there, first .*/test/0009/0009_000"):
        load("msmt17", root, strict=False)
    (root / "list_query.txt").unlink()
    with pytest.raises(DataError, match=r"list_query\.txt cannot be read"):
        load("msmt17", root, strict=False)
    with pytest.raises(DataError, match="is not MSMT17, for there is no train in it"):
        load("msmt17", root / "train" / "0000")


def test_the_official_numbers_are_right() -> None:
    def split(images: int, identities: int) -> Split:
        return Split(np.full(images, "a.jpg"), 1 + np.arange(images) % identities, np.ones(images, dtype=np.int64))

    data = Dataset("msmt17", split(30_248 + 2_373, 1_041), split(11_659, 3_060), split(82_161, 3_060))
    assert check_counts(data, msmt17.OFFICIAL, "MSMT17", "MSMT17", strict=True) is data
    assert sum(map(len, data.splits.values())) == 126_441  # as the paper counts them
