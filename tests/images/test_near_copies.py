"""Near copies, and camera labels that cannot be right: on synthetic people, against pairs that are known."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from resight.datasets import load
from resight.images.camera_labels import same_camera_share
from resight.images.check import Finding, check
from resight.images.decode import decode
from resight.images.near_copies import contrast, groups, near_copies
from resight.images.scan import scan


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people") / "set"
    load("synthetic", root, identities=20, cameras=3, images_per_camera=3, seed=1)
    return root


def thumbnails(*pictures: Image.Image) -> np.ndarray:
    return np.stack(
        [cv2.resize(np.asarray(one.convert("RGB")), (8, 16), interpolation=cv2.INTER_AREA) for one in pictures]
    )


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def test_a_picture_saved_again_is_found_and_others_are_not(people: Path) -> None:
    pictures = [Image.fromarray(decode(path)) for path in sorted(map(str, people.rglob("*.jpg")))[:60]]
    assert near_copies(thumbnails(*pictures)).tolist() == []
    one = pictures[7]
    changed = [
        saved(one, 40),
        one.resize((32, 64), Image.Resampling.BILINEAR),
        one.resize((200, 400)),
        ImageEnhance.Brightness(one).enhance(0.7),
        ImageOps.mirror(one),
    ]
    pairs = near_copies(thumbnails(*pictures, *changed))
    assert groups(pairs, 65) == [[7, 60, 61, 62, 63, 64]]


def test_many_copies_and_flat_pictures(people: Path) -> None:
    one = Image.fromarray(decode(next(people.rglob("*.jpg"))))
    flat = [Image.new("RGB", (64, 128), shade) for shade in ("black", "grey", "grey")]
    every = thumbnails(*[saved(one, quality) for quality in range(40, 95)], *flat)
    assert [len(group) for group in groups(near_copies(every), len(every))] == [55]
    assert contrast(every)[-3:].tolist() == [0, 0, 0] and contrast(every)[0] > 50
    assert near_copies(every[-3:]).shape == near_copies(every[:0]).shape == (0, 2)


def test_the_share_of_the_same_camera_by_hand() -> None:
    shade = np.array([10, 12, 200, 202, 10, 13, 90, 99], np.uint8)
    pictures = np.broadcast_to(shade[:, None, None, None], (8, 16, 8, 3))
    identities, cameras = np.array([1, 1, 1, 1, 2, 2, 2, 3]), np.array([1, 1, 2, 2, 1, 2, 1, 1])
    # of identity 1 all four are beside their own camera, where chance gives 1/3; of identity 2 the two of camera 1
    # count, both nearest to camera 2's, where chance gives 1/2; identity 3 has one image
    share = same_camera_share(np.ascontiguousarray(pictures), identities, cameras)
    assert share.images == 6 and share.found == pytest.approx(4 / 6) and share.chance == pytest.approx((4 / 3 + 1) / 6)


def test_shuffled_cameras_are_found(people: Path) -> None:
    data = load("market_layout", people)
    scanned = scan(data.train.paths.tolist())
    rng = np.random.default_rng(0)
    good = same_camera_share(scanned.thumbnails, data.train.identities, data.train.cameras)
    bad = same_camera_share(scanned.thumbnails, data.train.identities, rng.permutation(data.train.cameras))
    assert good.images >= 100 and good.found > good.chance + 0.3 and not good.is_chance()
    assert abs(bad.found - bad.chance) < 0.15 and bad.is_chance()


def what(found: list[Finding]) -> list[str]:
    return [finding.what for finding in found]


@pytest.mark.parametrize(
    ("source", "target", "does"),
    [
        ("bounding_box_train", "bounding_box_train/{other}_c1s1_900000_01.jpg", "different identities"),
        ("query", "bounding_box_train/{other}_c1s1_900000_01.jpg", "different identities"),
        ("query", "bounding_box_test/{own}_c9s1_900000_01.jpg", "true match of its own copy"),
        ("bounding_box_train", "bounding_box_train/{own}_c9s1_900000_01.jpg", "under different cameras"),
    ],
)
def test_near_copies_where_they_spoil_numbers(
    people: Path, tmp_path: Path, source: str, target: str, does: str
) -> None:
    root = tmp_path / "set"
    shutil.copytree(people, root)
    assert what(check(root)) == []
    first = sorted((root / source).iterdir())[0]
    other = sorted((root / "bounding_box_train").iterdir())[-1].name[:4]
    copy = root / target.format(own=first.name[:4], other=other)
    saved(Image.open(first), 50).save(copy)
    found = check(root)
    (finding,) = [one for one in found if "look the same" in one.what]
    assert does in finding.what and finding.severity == "warning" and finding.count == 1
    assert {str(first), str(copy)} <= set(finding.examples[0])


def test_cameras_that_are_dates_or_shuffled(people: Path, tmp_path: Path) -> None:
    paths = sorted(people.rglob("*.jpg"))
    rng = np.random.default_rng(1)
    for name, cameras in (("dates", range(1, len(paths) + 1)), ("shuffled", rng.integers(1, 4, len(paths)))):
        for path, camera in zip(paths, cameras, strict=True):
            target = tmp_path / name / path.name[:4] / f"{camera}_{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    assert any("180 cameras for 180 images" in one for one in what(check(tmp_path / "dates")))
    assert any("camera labels look wrong" in one for one in what(check(tmp_path / "shuffled")))


def test_files_that_hold_no_picture(people: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(people, root)
    names = sorted(path.name for path in (root / "bounding_box_train").iterdir())
    (root / "bounding_box_train" / names[0]).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
    )
    Image.fromarray(np.full((128, 64), 3000, np.uint16)).save(root / "bounding_box_train" / names[1], "PNG")
    (root / "extra.svg").write_text("<svg/>")
    found = what(check(root))
    assert [one for one in found if "pointers of Git LFS" in one] and [one for one in found if "almost empty" in one]
    assert "1 pictures have unsupported formats (.svg) and are skipped" in found
