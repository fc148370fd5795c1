"""The contact sheet of searches: whole HTML, frames by decision, gaps that are told."""

import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from report.test_html import VOID
from resight.report.found import Found, Search, write_found


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 32, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def found(number: int, decision: str | None, picture: bytes | None = None) -> Found:
    return Found(picture, "Anna & <b>Ben</b>", ("camera 1",), f"{number:012x}", 0.1 * number, decision)


def test_one_file_with_frames_and_gaps(tmp_path: Path) -> None:
    (tmp_path / "asked.jpg").write_bytes(jpeg(0))
    searches = [
        Search(str(tmp_path / "asked.jpg"), "asked.jpg", (found(1, "match", jpeg(1)), found(2, "unsure", jpeg(2)))),
        Search(str(tmp_path / "gone.jpg"), "gone.jpg", (found(3, "no match"), found(4, None, b"no picture"))),
        Search(None, "a record", ()),
    ]
    page = write_found(
        tmp_path / "sheet.html",
        title="Found",
        searches=searches,
        where="4 records",
        metric="cosine",
        rule="match up to 1",
        warning="These pictures are unlike <others>.",
    ).read_text(encoding="utf-8")
    opened: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in VOID:
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balanced().feed(page)
    assert not opened
    frames = re.findall(r'<figure class="shot (\w*)">', page)
    assert frames == ["asked", "right", "unsure", "asked", "wrong", "", "asked"]
    assert page.count("data:image/jpeg") == 3 and page.count("no picture") == 4
    assert "2 pictures could not be read" in page and "gone.jpg" in page
    assert "<b>Ben</b>" not in page and "Anna &amp; &lt;b&gt;Ben" in page
    assert 'role="alert"><b>These pictures are unlike &lt;others&gt;.</b>' in page
    assert "match up to 1" in page and "%" not in page.split("<main>")[1] and "0 found" in page and "http" not in page


def test_without_a_calibration_there_are_no_decisions(tmp_path: Path) -> None:
    searches = [Search(jpeg(0), "asked", (Found(jpeg(1), "", (), "0a", 0.25, None),))]
    page = write_found(
        tmp_path / "sheet.html", title="Found", searches=searches, where="1 record", metric="euclidean"
    ).read_text(encoding="utf-8")
    assert (
        "never calibrated" in page
        and "unknown" in page
        and "distance 0.250" in page
        and 'role="alert"' not in page
        and "%" not in page.split("<main>")[1]
    )
