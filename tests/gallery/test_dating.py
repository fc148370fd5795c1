"""When pictures were taken: EXIF, names, files."""

from __future__ import annotations

import os
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from PIL import Image

from resight import DataError
from resight.gallery.adding.dating import times_of


def at(*parts: int, fraction: float = 0, hours: float = 0) -> float:
    return datetime(*parts, tzinfo=timezone.utc).timestamp() + fraction - 3600 * hours  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "time", "loose"),
    [
        ("IMG_20261121_133005.jpg", at(2026, 11, 21, 13, 30, 5), 1),
        ("PXL_20261121_133005123.jpg", at(2026, 11, 21, 13, 30, 5, fraction=0.123), 1),
        ("2026-11-21T13:30:05+01:00.png", at(2026, 11, 21, 13, 30, 5, hours=1), 0),
        ("gate 2026-11-21 13.30.05.jpg", at(2026, 11, 21, 13, 30, 5), 1),
        ("WhatsApp Image 2026-11-21 at 13.30.05.jpeg", at(2026, 11, 21, 13, 30, 5), 1),
        ("cam3_2026-11-21_13-30-05.250Z_crop7.jpg", at(2026, 11, 21, 13, 30, 5, fraction=0.25), 0),
        ("cam_20261121T1330.jpg", at(2026, 11, 21, 13, 30), 1),
        ("1795267805.jpg", 1795267805.0, 0),
        ("cam2_1795267805123_0.jpg", 1795267805.123, 0),
        ("20261321_133005.jpg", None, 0),  # there is no thirteenth month
        ("IMG-20261121-WA0001.jpg", None, 0),  # a day is no time
        ("0002_c1s1_000451_03.jpg", None, 0),
        ("20261121133005999.jpg", None, 0),  # not a form that is known
    ],
)
def test_names(name: str, time: float | None, loose: int) -> None:
    (found,), notes = times_of([f"/m.zip.d/{name}"], "name")
    assert found == (None if time is None else pytest.approx(time, abs=1e-4))
    assert len(notes) == loose + (time is None)


def picture(path: Path, taken: str = "", offset: str = "", fraction: str = "") -> str:
    exif = Image.Exif()
    ifd = exif.get_ifd(0x8769)
    ifd.update({tag: text for tag, text in ((36867, taken), (36881, offset), (37521, fraction)) if text})
    Image.new("RGB", (8, 16), "red").save(path, exif=exif)
    return str(path)


def test_exif(tmp_path: Path) -> None:
    paths = [
        picture(tmp_path / "a.jpg", "2026:11:21 13:30:05", "+02:30", "25"),
        picture(tmp_path / "b.jpg", "2026:11:21 13:30:05", "-08:00"),
        picture(tmp_path / "c.jpeg", "2026:11:21 13:30:05"),
        picture(tmp_path / "d.jpg", "0000:00:00 00:00:00"),
        picture(tmp_path / "e.jpg"),
        str(tmp_path / "f.jpg"),
    ]
    (tmp_path / "f.jpg").write_bytes(b"no picture")
    found, notes = times_of(paths, "exif")
    plain = at(2026, 11, 21, 13, 30, 5)
    assert found == [plain + 0.25 - 2.5 * 3600, plain + 8 * 3600, plain, None, None, None]
    assert notes == (
        "3 of 6 images have no time in their EXIF: their times are unknown.",
        "1 time without a time zone, taken as UTC.",
    )
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(paths[0], "a.jpg")
    assert times_of([f"{tmp_path}/all.zip/a.jpg"], "exif")[0] == found[:1]
    with pytest.raises(DataError, match="in an archive, whose times have no time zone"):
        times_of([f"{tmp_path}/all.zip/a.jpg"], "file")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    os.utime(path, (1_700_000_000.5, 1_700_000_000.5))
    assert times_of([str(path)], "file") == ([1_700_000_000.5], ())
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read"):
        times_of([str(tmp_path / "gone.jpg")], "file")
