"""Pixels decoded once and kept: the same as decoding every time, and never half-written."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import write_noise
from limits import files_no_larger_than
from resight.errors import DataError
from resight.files import list_files
from resight.images import cache
from resight.images.cache import Images, cache_folder
from resight.images.decode import decode, fit
from resight.models.card import Preprocessing
from resight.records import Split

SMALL = Preprocessing(height=16, width=8)


def split(root: Path) -> Split:
    paths = [path for path, _ in list_files(root)]
    return Split(paths, [1] * len(paths), [1] * len(paths))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(7):
        write_noise(tmp_path / "images" / f"{seed}.jpg", 30 + seed, 20, seed)
    return tmp_path / "images"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are decoded from now on."""
    seen: list[str] = []

    def spy(path: str) -> np.ndarray:
        seen.append(path)
        return decode(path)

    monkeypatch.setattr(cache, "decode", spy)
    return seen


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_cached_and_read_through_pixels_are_the_same(folder: Path, tmp_path: Path) -> None:
    images = split(folder)
    for change in ({}, {"resize": "letterbox"}, {"resize": "letterbox_corner"}, {"interpolation": "bicubic"}):
        to = SMALL.model_copy(update=change)
        through = Images(images, to)
        kept = Images(images, to, folder=tmp_path / "cache")
        assert kept.cached and not through.cached and len(kept) == len(through) == 7
        which = np.array([3, 0, 3, 6])
        for found in (through.read(which), kept.read(which)):
            assert found.shape == (4, 16, 8, 3) and found.dtype == np.uint8
            for row, at in zip(found, which, strict=True):
                expected = fit(decode(str(images.paths[at])), 16, 8, how=to.resize, interpolation=to.interpolation)
                np.testing.assert_array_equal(row, expected)
    assert len(names(tmp_path / "cache")) == 4  # one for each way of resizing


def test_a_second_run_decodes_nothing(folder: Path, tmp_path: Path, decoded: list[str]) -> None:
    told: list[tuple[int, int]] = []
    first = Images(split(folder), SMALL, folder=tmp_path / "cache", progress=lambda *done: told.append(done))
    assert len(decoded) == 7 and told == [(7, 7)]
    again = Images(split(folder), SMALL, folder=tmp_path / "cache")
    np.testing.assert_array_equal(again.read(np.arange(7)), first.read(np.arange(7)))
    assert len(decoded) == 7


@pytest.mark.parametrize("change", ["content", "time", "order", "size", "interpolation"])
def test_what_changes_is_decoded_again(folder: Path, tmp_path: Path, decoded: list[str], change: str) -> None:
    Images(split(folder), SMALL, folder=tmp_path / "cache")
    images, to = split(folder), SMALL
    if change == "content":
        write_noise(folder / "3.jpg", 33, 20, seed=99)
    elif change == "time":
        os.utime(folder / "3.jpg", ns=(1, 1))
    elif change == "order":
        images = images.take(np.arange(7)[::-1])
    elif change == "size":
        to = SMALL.model_copy(update={"height": 24})
    else:
        to = SMALL.model_copy(update={"interpolation": "bicubic"})
    found = Images(images, to, folder=tmp_path / "cache").read(np.arange(7))
    assert len(decoded) == 14
    for row, path in zip(found, images.paths, strict=True):
        np.testing.assert_array_equal(row, fit(decode(str(path)), to.height, 8, interpolation=to.interpolation))


def test_a_zip_gives_the_same_pixels_as_its_folder(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    kept = Images(split(tmp_path / "images.zip"), SMALL, folder=tmp_path / "cache")
    np.testing.assert_array_equal(kept.read(np.arange(7)), Images(split(folder), SMALL).read(np.arange(7)))
    os.utime(tmp_path / "images.zip", ns=(1, 1))
    Images(split(tmp_path / "images.zip"), SMALL, folder=tmp_path / "cache")
    assert len(names(tmp_path / "cache")) == 2


def test_a_damaged_image_is_named_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    data = (folder / "5.jpg").read_bytes()
    (folder / "5.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"5\.jpg is not a complete image"):
        Images(split(folder), SMALL, folder=tmp_path / "cache")
    assert names(tmp_path / "cache") == []
    with pytest.raises(DataError, match=r"5\.jpg is not a complete image"):
        Images(split(folder), SMALL).read(np.arange(7))
    (folder / "5.jpg").unlink()
    (folder / "5.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"5\.jpg does not exist"):
        Images(split(folder), SMALL, folder=tmp_path / "cache")


def test_an_interrupted_fill_leaves_nothing_and_is_made_up_for(folder: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Images(split(folder), SMALL, folder=tmp_path / "cache", progress=interrupt)
    assert names(tmp_path / "cache") == []
    assert Images(split(folder), SMALL, folder=tmp_path / "cache").cached


def test_a_cache_of_the_wrong_size_is_made_again(folder: Path, tmp_path: Path) -> None:
    images = Images(split(folder), SMALL, folder=tmp_path / "cache")
    file = next((tmp_path / "cache").iterdir())
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:-1])
    again = Images(split(folder), SMALL, folder=tmp_path / "cache")
    np.testing.assert_array_equal(again.read(np.arange(7)), images.read(np.arange(7)))


def test_little_space_means_no_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Callable[[int], object] = lambda free: lambda _: type("Usage", (), {"free": free})  # noqa: E731
    needed = 7 * 16 * 8 * 3
    monkeypatch.setattr(shutil, "disk_usage", usage(2 * needed))
    images = Images(split(folder), SMALL, folder=tmp_path / "cache")
    assert not images.cached and images.read(np.arange(7)).shape == (7, 16, 8, 3)
    assert names(tmp_path / "cache") == []
    monkeypatch.setattr(shutil, "disk_usage", usage(2 * needed + 2))
    assert Images(split(folder), SMALL, folder=tmp_path / "cache").cached


def test_a_full_disk_or_a_forbidden_place_costs_the_cache_and_not_the_work(folder: Path, tmp_path: Path) -> None:
    right = Images(split(folder), SMALL).read(np.arange(7))
    with files_no_larger_than(1024):
        full = Images(split(folder), SMALL, folder=tmp_path / "cache")
    assert names(tmp_path / "cache") == []
    (tmp_path / "file").touch()
    forbidden = Images(split(folder), SMALL, folder=tmp_path / "file" / "cache")
    for images in (full, forbidden):
        assert not images.cached and np.array_equal(images.read(np.arange(7)), right)


def test_where_pixels_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", "/mine")
    assert cache_folder() == Path("/mine/pixels")
    monkeypatch.delenv("RESIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/theirs")
    assert cache_folder() == Path("/theirs/resight/pixels")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "resight" / "pixels"


def test_a_forked_process_leaves_its_parents_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    script = """
import os, sys
from resight.images.cache import engines_folder
folder = engines_folder()
if not os.fork():
    sys.exit()
os.wait()
print(folder, folder.is_dir())
"""
    environment = os.environ | {"RESIGHT_CACHE": str(tmp_path / "file" / "cache"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    folder, there = done.stdout.split()
    assert there == "True" and Path(folder).parent == tmp_path and not Path(folder).exists()
