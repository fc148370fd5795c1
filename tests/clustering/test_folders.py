"""Groups as folders of links or copies."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from resight.clustering.folders import write_folders
from resight.errors import DataError, ResightError


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Five files, of which two share a name and a third differs in case only."""
    names = ["a/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.JPG", "c/3.jpg"]
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_text(f"the bytes of {name}")
    return [str(tmp_path / "images" / name) for name in names]


@pytest.mark.parametrize("copy", [True, False])
def test_a_folder_for_each_group(tmp_path: Path, files: list[str], copy: bool) -> None:
    groups = np.array([0, 0, 10, 0, 10])
    found = write_folders(tmp_path / "new" / "groups", files, groups, copy=copy)
    there = {path.relative_to(found).as_posix(): path for path in found.rglob("*") if not path.is_dir()}
    assert sorted(there) == ["00/1.jpg", "00/1_2.jpg", "00/1_3.JPG", "10/2.jpg", "10/3.jpg"]
    texts = {name: path.read_text() for name, path in there.items()}
    assert sorted(texts.values()) == sorted(Path(file).read_text() for file in files)
    assert texts["00/1_3.JPG"] == "the bytes of c/1.JPG" and texts["10/2.jpg"] == "the bytes of b/2.jpg"
    assert all(path.is_symlink() != copy for path in there.values())
    assert [path.name for path in found.parent.iterdir()] == ["groups"]
    Path(files[0]).write_text("changed")
    assert there["00/1.jpg"].read_text() == ("the bytes of a/1.jpg" if copy else "changed")


def test_nothing_is_written_over_or_left_half_written(tmp_path: Path, files: list[str]) -> None:
    groups, target = np.zeros(5, np.int64), tmp_path / "groups"
    target.mkdir()
    with pytest.raises(DataError, match="exists already and is never written over"):
        write_folders(target, files, groups)
    target.rmdir()
    target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="exists already"):
        write_folders(target, files, groups, copy=True)
    target.unlink()
    Path(files[3]).unlink()
    with pytest.raises(DataError, match=r"c/1\.JPG cannot be read"):
        write_folders(target, files, groups, copy=True)
    with pytest.raises(DataError, match="5 groups for 4 images"):
        write_folders(target, files[:4], groups)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResightError, match="file/groups cannot be written"):
        write_folders(tmp_path / "file" / "groups", files[:2], groups[:2])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "images"]


def test_images_in_a_zip_can_only_be_copied(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a/1.jpg", "first")
    inside = [f"{tmp_path}/images.zip/a/1.jpg"]
    with pytest.raises(DataError, match=r"cannot be linked to: copy them \(--copy\) or unpack it"):
        write_folders(tmp_path / "groups", inside, np.array([0]))
    found = write_folders(tmp_path / "groups", inside, np.array([0]), copy=True)
    assert (found / "0" / "1.jpg").read_text() == "first"
