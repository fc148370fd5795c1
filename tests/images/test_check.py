from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.errors import RecipeError
from resight.images.check import Finding, check
from resight.images.scan import DAMAGED, EMPTY, FOREIGN, UNREADABLE, WHOLE, scan


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, [str(finding) for finding in found]
    return found[0]


def test_good_data_has_no_findings(tiny_market) -> None:
    assert check(tiny_market()) == []


def test_wrong_counts_where_market_was_asked_for(tiny_market) -> None:
    finding = only(check(tiny_market(), "market1501"))
    assert finding.severity == "error" and finding.count == 8
    assert finding.what.endswith(": train has 16 images instead of 12,936 and 7 other number(s) differ")
    assert finding.as_dict()["cure"] == finding.cure


def test_bad_files_are_told_apart(tiny_market) -> None:
    root = tiny_market()
    images = sorted((root / "bounding_box_train").iterdir())
    images[0].write_bytes(b"")
    images[1].write_text("404 not found")
    images[2].write_bytes(images[2].read_bytes()[:-200])
    Image.fromarray(np.zeros((64, 32), np.float32)).save(images[3], "TIFF")
    (root / "query" / "0005_c1s1_000000_01.jpg").unlink()
    (root / "query" / "0005_c1s1_000000_01.jpg").symlink_to("nowhere")
    found = check(root)
    assert [(finding.severity, finding.count) for finding in found] == [("error", 1)] * 5
    by_path = {finding.where[0]: finding.what for finding in found}
    assert "empty (0 bytes)" in by_path[str(images[0])]
    assert "hold something else" in by_path[str(images[1])]
    assert "damaged or cut off" in by_path[str(images[2])]
    assert "without a known range" in by_path[str(images[3])]
    assert "cannot be read" in by_path[str(root / "query" / "0005_c1s1_000000_01.jpg")]


def test_a_damaged_zip_member_is_found(tiny_market) -> None:
    root = tiny_market()
    archive = Path(shutil.make_archive(str(root), "zip", root))
    with zipfile.ZipFile(archive) as file:
        member = file.getinfo("query/0005_c1s1_000000_01.jpg")
    data = bytearray(archive.read_bytes())
    data[member.header_offset + 200] ^= 255
    archive.write_bytes(bytes(data))
    assert only(check(archive)).where == (f"{archive}/query/0005_c1s1_000000_01.jpg",)


def test_tiny_crops(tiny_market) -> None:
    assert only(check(tiny_market("low", height=31, width=16))).what.startswith("30 images are less than 32 px")
    assert only(check(tiny_market("thin", height=32, width=15))).count == 30
    assert check(tiny_market("enough", height=32, width=16)) == []


def test_one_camera(tiny_market) -> None:
    found = check(tiny_market(cameras=1, images=3))
    assert [finding.severity for finding in found] == ["error", "warning"]
    assert found[0].what == "3 of 3 queries have no true match in another camera of the gallery"
    assert found[1].what == "All images are from one camera (1)"


def test_some_queries_without_a_match(tiny_market) -> None:
    root = tiny_market(images=2)
    (root / "bounding_box_test" / "0006_c2s1_000001_01.jpg").unlink()
    finding = only(check(root))
    assert finding.severity == "warning" and finding.count == 1
    assert finding.where == (str(root / "query" / "0006_c1s1_000000_01.jpg"),)


def test_an_identity_in_train_and_test(tiny_market) -> None:
    root = tiny_market()
    for path in (root / "bounding_box_train").glob("0002*"):
        path.rename(path.with_name(path.name.replace("0002", "0005")))
    finding = only(check(root))
    assert finding.severity == "error" and finding.what == "1 identities are in both train and test"
    assert finding.where == (str(root / "bounding_box_train" / "0005_c1s1_000000_01.jpg"),)


def copy(root: Path, source: str, target: str) -> None:
    shutil.copy(root / source, root / target)


@pytest.mark.parametrize(
    ("source", "target", "severity", "what"),
    [
        ("0001_c1s1_000000_01", "bounding_box_train/0002_c1s1_000009_01", "error", "under different identities"),
        ("0001_c1s1_000000_01", "bounding_box_train/0001_c2s1_000009_01", "warning", "more than once"),
        ("0001_c1s1_000000_01", "bounding_box_test/0000_c2s1_000009_01", "error", "under different identities"),
    ],
)
def test_copies(tiny_market, source: str, target: str, severity: str, what: str) -> None:
    root = tiny_market()
    copy(root, f"bounding_box_train/{source}.jpg", f"{target}.jpg")
    finding = only(check(root))
    assert (finding.severity, finding.count) == (severity, 1) and what in finding.what
    assert set(finding.where) == {str(root / f"bounding_box_train/{source}.jpg"), str(root / f"{target}.jpg")}


def test_a_picture_in_train_and_test(tiny_market) -> None:
    root = tiny_market()
    copy(root, "bounding_box_train/0001_c1s1_000000_01.jpg", "bounding_box_test/0001_c2s1_000000_01.jpg")
    assert {finding.what.split(" are in ")[1] for finding in check(root)} == {
        "both train and test",
        "both train and test, byte for byte",
    }


def test_lonely_identities(tiny_market) -> None:
    root = tiny_market()
    for path in list((root / "bounding_box_train").iterdir()):
        if (path.name.startswith("0001") and path.name != "0001_c1s1_000000_01.jpg") or path.name.startswith("0002_c2"):
            path.unlink()
    found = check(root)
    assert {finding.what for finding in found} == {
        "1 of 4 train identities have a single image",
        "1 of 4 train identities are seen by a single camera",
    }
    assert {Path(finding.where[0]).name[:4] for finding in found} == {"0001", "0002"}


def test_many_paths_are_cut_short(tiny_market) -> None:
    root = tiny_market(train=8)
    for path in (root / "bounding_box_train").iterdir():
        path.write_bytes(b"")
    finding = only(check(root))
    assert finding.count == 32 and len(finding.where) == 5
    assert str(finding).startswith("32 image file(s) are empty") and ", ...): " in str(finding)


def test_what_cannot_be_loaded_is_looked_at_all_the_same(tiny_market) -> None:
    root = tiny_market()
    (root / "query" / "cat.jpg").write_bytes(b"")
    found = check(root)
    assert [finding.severity for finding in found] == ["error", "error"]
    assert "query/cat.jpg has no name of Market-1501's kind" in found[0].what and found[0].cure.startswith("rename it")
    assert found[1].where == (str(root / "query" / "cat.jpg"),)


def test_what_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert "nowhere does not exist" in only(check(tmp_path / "nowhere")).what
    assert "holds no images" in only(check(tmp_path)).what
    (tmp_path / "bad.zip").write_text("no archive")
    assert "is not a readable zip archive" in only(check(tmp_path / "bad.zip")).what


def test_folders_of_ones_own(tiny_market, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for path in (tiny_market() / "bounding_box_train").iterdir():
        identity, camera, *_ = path.name.split("_")
        target = root / identity / f"{camera}_{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert check(root) == []
    for path in root.rglob("c2*"):
        path.unlink()
    assert only(check(root)).what == "All images are from one camera (1)"


def test_a_wrong_option_is_the_callers(tiny_market) -> None:
    with pytest.raises(RecipeError, match="did you mean 'fold'"):
        check(tiny_market(), fould="validation")


def test_progress_ends_with_all_files(tiny_market) -> None:
    calls: list[tuple[int, int]] = []
    check(tiny_market(train=40, cameras=3), progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 1 and calls == sorted(calls)
    assert calls[-1] == (260, 260)


@pytest.mark.parametrize("threads", [1, 3])
def test_scan_keeps_the_order_of_paths(tiny_market, threads: int) -> None:
    root = tiny_market(train=40, cameras=2, height=40, width=20)
    paths = sorted(map(str, (root / "bounding_box_train").iterdir()))
    Path(paths[7]).write_bytes(b"")
    Path(paths[130]).write_bytes(b"\xff\xd8\xff")
    Path(paths[131]).write_text("text")
    Path(paths[132]).unlink()
    scanned = scan(paths, threads=threads)
    expected = [WHOLE] * 160
    expected[7], expected[130:133] = EMPTY, [DAMAGED, FOREIGN, UNREADABLE]
    assert scanned.states.tolist() == expected
    assert set(zip(scanned.heights.tolist(), scanned.widths.tolist(), strict=True)) == {(40, 20), (0, 0)}
    assert [bool(digest) for digest in scanned.digests] == [state == WHOLE for state in expected]


@pytest.mark.long
def test_the_real_market_is_clean(market_zip: Path) -> None:
    assert check(market_zip, "market1501") == []
